//! The wallet against published vectors, and its client and verbs against a node that lies.
//!
//! Vectors: BIP-32 and BIP-39 from the proposals, BIP-44 from the development mnemonic that
//! Hardhat and Anvil print, EIP-55 and EIP-155 from the proposals, signatures by `eth-account`
//! (tests/vectors/transactions.py).

#![expect(clippy::unwrap_used, reason = "in a test it is an assertion")]

#[path = "wallet/client.rs"]
mod client;
#[path = "wallet/desk.rs"]
mod desk;
#[path = "wallet/guards.rs"]
mod guards;
#[path = "wallet/keystore.rs"]
mod keystore;
#[path = "wallet/node.rs"]
mod node;
#[path = "wallet/payments.rs"]
mod payments;
#[path = "wallet/verbs.rs"]
mod verbs;
#[path = "wallet/wallets.rs"]
mod wallets;

use alloy_primitives::{Address, hex};
use chain::CheckedTransaction;
use proptest::prelude::*;
use serde_json::Value;
use wallet::{
    Amount, Key, Party,
    address::parse_address,
    amount::{AmountError, parse_fee},
    derive::{DEV_WORDS, ExtendedKey, HARDENED, KeyError, Seed},
    dev_key,
    sign::{Transfer, sign_digest, sign_transfer},
};

const ABOUT: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon about";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode_to_array(text).unwrap()
}

// Keys

#[test]
fn the_development_accounts_are_those_that_everybody_knows() {
    for (n, address, secret) in [
        (
            0,
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        ),
        (
            1,
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        ),
        (
            9,
            "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
            "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
        ),
    ] {
        let key = dev_key(n);
        assert_eq!(key.address().to_string(), address);
        assert_eq!(hex::encode(&key.secret()[..]), secret);
    }
}

#[test]
fn words_become_the_seeds_of_bip_39() {
    let seed = Seed::from_words(ABOUT, "TREZOR").unwrap();
    assert_eq!(
        hex::encode(seed.bytes()),
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c9\
         2f2cf141630c7a3c4ab7c81b2f001698e7463b04"
    );
    // Worked out by Python's hashlib and unicodedata.
    for passphrase in ["caf\u{e9} \u{fb01}sh \u{2460}", "cafe\u{301} fish 1"] {
        let seed = Seed::from_words(DEV_WORDS, passphrase).unwrap();
        assert_eq!(
            hex::encode(seed.bytes()),
            "e8b0a168b88d3e1fa440d5e55bcb2d1c79a5ef1a1e15d91782776c73a3fa6e8f0a97f65645cc6e927386339e\
             f8ab5537fbde2a206ba60f41226ea3ac6304bfb4"
        );
    }
    let key = Seed::from_words(ABOUT, "").unwrap().key(0).unwrap();
    assert_eq!(
        key.address().to_string(),
        "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
    );
}

#[test]
fn wrong_words_are_refused_without_repeating_them() {
    let refused = |words: &str| Seed::from_words(words, "").unwrap_err();
    assert_eq!(
        refused(&ABOUT.replace("about", "abuot")),
        KeyError::Word(12)
    );
    assert_eq!(
        refused(&ABOUT.replace("about", "abandon")),
        KeyError::Checksum
    );
    assert_eq!(refused("abandon about"), KeyError::WordCount(2));
    assert!(!refused("zzyzx").to_string().contains("zzyzx"));
    assert_eq!(
        Key::from_secret(&[0; 32]).unwrap_err(),
        KeyError::OutOfRange
    );
    assert_eq!(
        Key::from_secret(&[0xff; 32]).unwrap_err(),
        KeyError::OutOfRange
    );
}

/// Test vectors 1 and 4 of BIP-32, as (path, key); 4 has keys with leading zeros.
#[test]
fn seeds_become_the_trees_of_bip_32() {
    let first: (&str, &[(u32, &str)]) = (
        "000102030405060708090a0b0c0d0e0f",
        &[
            (
                HARDENED,
                "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea",
            ),
            (
                1,
                "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368",
            ),
            (
                2 | HARDENED,
                "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca",
            ),
            (
                2,
                "0f479245fb19a38a1954c5c7c0ebab2f9bdfd96a17563ef28a6a4b1a2a764ef4",
            ),
            (
                1_000_000_000,
                "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8",
            ),
        ],
    );
    let fourth: (&str, &[(u32, &str)]) = (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        &[
            (
                HARDENED,
                "00d948e9261e41362a688b916f297121ba6bfb2274a3575ac0e456551dfd7f7e",
            ),
            (
                1 | HARDENED,
                "3a2086edd7d9df86c3487a5905a1712a9aa664bce8cc268141e07549eaa8661d",
            ),
        ],
    );
    for (seed, path) in [first, fourth] {
        let mut node = ExtendedKey::master(&hex::decode(seed).unwrap()).unwrap();
        for &(index, key) in path {
            node = node.child(index).unwrap();
            assert_eq!(hex::encode(&node.key().secret()[..]), key);
        }
    }
}

#[test]
fn secrets_are_not_shown() {
    let key = dev_key(0);
    assert_eq!(format!("{key:?}"), format!("Key({})", key.address()));
    let seed = Seed::from_words(ABOUT, "").unwrap();
    assert_eq!(format!("{seed:?}"), "Seed(..)");
    let node = ExtendedKey::master(seed.bytes()).unwrap();
    let shown = format!("{node:?}");
    assert!(!shown.contains(&hex::encode(&node.key().secret()[..])));
}

// Addresses

#[test]
fn checksums_of_eip_55_are_shown_and_checked() {
    for text in [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        let address = parse_address(text).unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(parse_address(&text.to_lowercase()), Ok(address));
        assert_eq!(
            parse_address(&format!("0x{}", text[2..].to_uppercase())),
            Ok(address)
        );
        let (head, last) = text.split_at(41);
        let typo = format!("{head}{}", if last == "1" { "2" } else { "1" });
        if text.bytes().skip(2).any(|b| b.is_ascii_lowercase())
            && text.bytes().skip(2).any(|b| b.is_ascii_uppercase())
        {
            let error = parse_address(&typo).unwrap_err().to_string();
            assert!(
                error.contains("EIP-55") && error.contains("again"),
                "{error}"
            );
        }
    }
}

#[test]
fn what_names_nobody_is_refused_with_what_to_write() {
    for (text, reason) in [
        ("", "write 0x"),
        ("alice", "dev:0 to dev:99"),
        ("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "write 0x"),
        ("0x5aae", "got 4"),
        ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed00", "got 42"),
        ("0xzzaeb6053f3e94c9b9a09f33669435e7ef1beaed", "write 0x"),
        ("dev:100", "dev:0 to dev:99"),
        ("dev:+1", "dev:0 to dev:99"),
        ("dev:", "dev:0 to dev:99"),
    ] {
        let error = text.parse::<Party>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert_eq!("dev:7".parse(), Ok(Party::Dev(7)));
}

// Amounts

proptest! {
    #[test]
    fn an_amount_reads_back_as_it_is_shown(wei: u128, shift in 0..128_u32) {
        let amount = Amount(wei >> shift);
        let shown = amount.to_string();
        prop_assert_eq!(shown.parse(), Ok(amount));
        prop_assert_eq!(shown.trim_end_matches(" LGN").parse(), Ok(amount));
        prop_assert_eq!(format!("{}wei", amount.wei()).parse(), Ok(amount));
        prop_assert_eq!(parse_fee(&shown), Ok(amount.wei()));
    }

    #[test]
    fn no_text_makes_an_amount_panic(text in "\\PC{0,50}|[0-9.]{0,60}[a-z ]{0,6}") {
        let amount: Result<Amount, AmountError> = text.parse();
        if let Ok(amount) = amount {
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }

    #[test]
    fn no_text_makes_a_party_panic(text in "\\PC{0,50}|(0x|dev:)[0-9a-fA-F]{0,41}") {
        let _ = text.parse::<Party>();
    }

    #[test]
    fn what_is_signed_recovers_to_its_sender(
        n in 0..3_u32,
        (chain_id, nonce, value) in (1..u64::MAX, 0..u64::MAX, any::<u128>()),
        (gas_limit, max_fee, tip) in (any::<u64>(), any::<u128>(), any::<u128>()),
        to: [u8; 20],
        input in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let to = Address::from(to);
        let transfer = Transfer { chain_id, nonce, to, value, gas_limit, max_fee, tip, input };
        let key = dev_key(n);
        let raw = sign_transfer(&key, &transfer);
        prop_assert_eq!(&raw, &sign_transfer(&key, &transfer));
        let checked = CheckedTransaction::check(&raw, chain_id).unwrap();
        prop_assert_eq!(checked.sender(), key.address());
        prop_assert_eq!(checked.to(), Some(to));
        prop_assert_eq!(checked.nonce(), nonce);
        prop_assert_eq!(checked.value().to::<u128>(), value);
        prop_assert_eq!(checked.gas_limit(), gas_limit);
        prop_assert_eq!((checked.max_fee(), checked.priority_fee()), (max_fee, tip));
        prop_assert_eq!(checked.input(), &transfer.input[..]);
    }
}

// Signatures

#[test]
fn signatures_are_those_of_eth_account() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/transactions.json")).unwrap();
    let (mut digests, mut transfers) = (0, 0);
    for case in vectors["valid"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let Some(secret) = case["secret_key"].as_str() else {
            continue;
        };
        let key = Key::from_secret(&bytes(secret)).unwrap();
        assert_eq!(key.address(), Address::from(bytes(text("sender"))));
        let signature = sign_digest(&key, &bytes(text("signing_hash")));
        assert_eq!(format!("{:064x}", signature.r()), text("r"));
        assert_eq!(format!("{:064x}", signature.s()), text("s"));
        assert_eq!(u64::from(signature.v()), case["y_parity"].as_u64().unwrap());
        digests += 1;

        let is_list_empty = case["access_list"].as_array().unwrap().is_empty();
        let (Some(to), Ok(value)) = (case["to"].as_str(), text("value").parse()) else {
            continue;
        };
        if case["type"] != 2 || !is_list_empty {
            continue;
        }
        let transfer = Transfer {
            chain_id: case["chain_id"].as_u64().unwrap(),
            nonce: text("nonce").parse().unwrap(),
            to: Address::from(bytes(to)),
            value,
            gas_limit: text("gas_limit").parse().unwrap(),
            max_fee: text("max_fee").parse().unwrap(),
            tip: text("priority_fee").parse().unwrap(),
            input: hex::decode(text("data")).unwrap(),
        };
        assert_eq!(hex::encode(sign_transfer(&key, &transfer)), text("raw"));
        transfers += 1;
    }
    assert!(digests > 60 && transfers > 20, "{digests}, {transfers}");
}
