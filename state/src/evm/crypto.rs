//! Signature recovery for the precompile at address 1, by the library that checks transactions.
//!
//! The machine's own, in pure Rust, takes four times as long for the same price in gas.

use alloy_primitives::keccak256;
use revm::precompile::{Crypto, PrecompileHalt};
use secp256k1::{Message, ecdsa};

#[derive(Debug)]
pub(super) struct Libsecp;

impl Crypto for Libsecp {
    /// The address in the last 20 of 32 bytes. Unlike transactions, the precompile takes a high
    /// s too; r or s of zero or beyond the group order, or no point at r, is a failure.
    fn secp256k1_ecrecover(
        &self,
        signature: &[u8; 64],
        parity: u8,
        digest: &[u8; 32],
    ) -> Result<[u8; 32], PrecompileHalt> {
        let parity = ecdsa::RecoveryId::from_u8_masked(parity);
        let key = ecdsa::RecoverableSignature::from_compact(signature, parity)
            .and_then(|signature| signature.recover_ecdsa(Message::from_digest(*digest)))
            .map_err(|_| PrecompileHalt::Secp256k1RecoverFailed)?;
        let mut hash = keccak256(&key.serialize_uncompressed()[1..]).0;
        hash[..12].fill(0);
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;
    use revm::precompile::DefaultCrypto;
    use secp256k1::{SecretKey, constants::CURVE_ORDER, ecdsa::RecoverableSignature};

    use super::*;

    fn recover(crypto: &dyn Crypto, r: U256, s: U256, parity: u8) -> Option<[u8; 32]> {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r.to_be_bytes::<32>());
        signature[32..].copy_from_slice(&s.to_be_bytes::<32>());
        crypto
            .secp256k1_ecrecover(&signature, parity, &[7; 32])
            .ok()
    }

    /// Both libraries on one input, which must agree; whether it recovers.
    fn agree(r: U256, s: U256, parity: u8) -> bool {
        let ours = recover(&Libsecp, r, s, parity);
        assert_eq!(
            ours,
            recover(&DefaultCrypto, r, s, parity),
            "{r} {s} {parity}"
        );
        ours.is_some()
    }

    #[test]
    fn edges_are_judged_as_the_machines_own_library_judges_them() {
        let order = U256::from_be_bytes(CURVE_ORDER);
        let one = U256::from(1);
        let values = [
            U256::ZERO,
            one,
            order >> 1,
            order - one,
            order,
            order + one,
            U256::MAX,
        ];
        let mut recovered = 0;
        for r in values {
            for s in values {
                for parity in [0, 1] {
                    recovered += u32::from(agree(r, s, parity));
                }
            }
        }
        assert!(recovered > 0);
        assert!(!agree(one, U256::ZERO, 0) && !agree(one, order, 0) && !agree(order, one, 0));
    }

    proptest! {
        #[test]
        fn signatures_with_either_s_recover_as_by_the_machines_own_library(key in 1..u128::MAX) {
            let mut secret = [0; 32];
            secret[16..].copy_from_slice(&key.to_be_bytes());
            let secret = SecretKey::from_secret_bytes(secret).unwrap();
            let digest = Message::from_digest([7; 32]);
            let signature = RecoverableSignature::sign_ecdsa_recoverable(digest, &secret);
            let (parity, compact) = signature.serialize_compact();
            let (r, s) = (U256::from_be_slice(&compact[..32]), U256::from_be_slice(&compact[32..]));
            let high = U256::from_be_bytes(CURVE_ORDER) - s;
            for parity in [parity.to_u8(), 1 - parity.to_u8()] {
                prop_assert!(agree(r, s, parity) && agree(r, high, parity));
            }
        }

        #[test]
        fn noise_is_judged_as_by_the_machines_own_library(
            r in any::<[u64; 4]>(), s in any::<[u64; 4]>(), parity in 0..2_u8,
        ) {
            agree(U256::from_limbs(r), U256::from_limbs(s), parity);
        }
    }
}
