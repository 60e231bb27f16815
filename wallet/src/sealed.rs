//! A secret under a password: the `crypto` section of Web3 Secret Storage, version 3.
//!
//! A key derivation function (scrypt, or PBKDF2 when reading) stretches the password to 32 bytes;
//! the first half is the key of AES-128 in counter mode, the second goes into keccak256 together
//! with the ciphertext, so that a wrong password is known from a right one. What a file asks for
//! is limited before anything is allocated. Called by `keystore` and `words`.

use aes::Aes128;
use alloy_primitives::{hex, keccak256};
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the longest secret: the entropy of 24 words, or a key.
pub const SECRET_BYTES_MAX: usize = 32;
/// The binary logarithm of scrypt's N in files of ours: 128 MiB, some tenths of a second.
pub const LOG_N: u8 = 17;
/// The largest N that is read, as its binary logarithm: 1 GiB with the usual r of 8.
pub const LOG_N_MAX: u32 = 20;
/// The largest product of N and r that is read; scrypt takes 128 bytes for each.
const MEMORY_MAX: u64 = 1 << 23;
/// The largest product of N, r and p that is read: some seconds.
const WORK_MAX: u64 = 1 << 24;
/// The most rounds of PBKDF2 that are read: some seconds.
const ROUNDS_MAX: u32 = 10_000_000;
/// The longest salt that is read.
const SALT_BYTES_MAX: usize = 256;

/// An encrypted secret, as it is written into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: Bytes,
    #[serde(flatten)]
    kdf: Kdf,
    mac: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CipherParams {
    iv: Bytes,
}

/// How the password is stretched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt {
        dklen: u32,
        n: u64,
        r: u32,
        p: u32,
        salt: Bytes,
    },
    Pbkdf2 {
        dklen: u32,
        c: u32,
        prf: String,
        salt: Bytes,
    },
}

/// Bytes as hex digits, written without `0x` and read with or without.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(|_| D::Error::custom("wanted hex digits"))?;
        Ok(Self(bytes))
    }
}

/// Why a secret was not sealed or opened. Never contains secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The check value does not match.
    #[error("wrong password")]
    Password,
    /// A method that is not known here.
    #[error("{what} is {got:?}, only {want} can be read")]
    Unsupported {
        /// Which part of the method.
        what: &'static str,
        /// What can be read.
        want: &'static str,
        /// What the file says.
        got: String,
    },
    /// More memory, time or bytes than any wallet asks for.
    #[error("{what} is {got}, wanted {want}: no wallet writes such a file, it is not opened")]
    Limit {
        /// Which number.
        what: &'static str,
        /// What is allowed.
        want: String,
        /// What the file says.
        got: String,
    },
    /// The system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
}

impl Sealed {
    /// Encrypts a secret with fresh randomness. The cost is scrypt's N as a power of two:
    /// [`LOG_N`], but for tests.
    pub fn seal_at(log_n: u8, secret: &[u8], password: &str) -> Result<Self, SealError> {
        let kdf = Kdf::Scrypt {
            dklen: 32,
            n: 1 << log_n,
            r: 8,
            p: 1,
            salt: Bytes(random::<32>()?.to_vec()),
        };
        let (iv, stretched) = (random::<16>()?, kdf.stretch(password)?);
        let ciphertext = apply_cipher(&stretched, &iv, secret).to_vec();
        Ok(Self {
            cipher: "aes-128-ctr".to_string(),
            cipherparams: CipherParams {
                iv: Bytes(iv.to_vec()),
            },
            mac: Bytes(mac(&stretched, &ciphertext).to_vec()),
            ciphertext: Bytes(ciphertext),
            kdf,
        })
    }

    /// Decrypts the secret; all limits are checked first.
    pub fn open(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if !self.cipher.eq_ignore_ascii_case("aes-128-ctr") {
            return Err(unsupported("the cipher", "aes-128-ctr", &self.cipher));
        }
        let iv = exactly::<16>("the length of iv", &self.cipherparams.iv)?;
        let wanted_mac = exactly::<32>("the length of mac", &self.mac)?;
        let length = self.ciphertext.0.len();
        if !(1..=SECRET_BYTES_MAX).contains(&length) {
            let want = format!("1 to {SECRET_BYTES_MAX}");
            return Err(limit("the length of ciphertext", &want, &length));
        }
        let stretched = self.kdf.stretch(password)?;
        if mac(&stretched, &self.ciphertext.0) != wanted_mac {
            return Err(SealError::Password);
        }
        Ok(apply_cipher(&stretched, &iv, &self.ciphertext.0))
    }
}

impl Kdf {
    fn stretch(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let mut output = Zeroizing::new([0; 32]);
        match self {
            Self::Scrypt {
                dklen,
                n,
                r,
                p,
                salt,
            } => {
                check_lengths(*dklen, salt)?;
                let params = scrypt_params(*n, *r, *p)?;
                scrypt::scrypt(password.as_bytes(), &salt.0, &params, &mut output[..])
                    .expect("32 bytes are a length that scrypt gives");
            }
            Self::Pbkdf2 {
                dklen,
                c,
                prf,
                salt,
            } => {
                check_lengths(*dklen, salt)?;
                if prf != "hmac-sha256" {
                    return Err(unsupported("prf", "hmac-sha256", prf));
                }
                if !(1..=ROUNDS_MAX).contains(c) {
                    return Err(limit("c", &format!("1 to {ROUNDS_MAX}"), c));
                }
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt.0, *c, &mut output[..]);
            }
        }
        Ok(output)
    }
}

fn check_lengths(dklen: u32, salt: &Bytes) -> Result<(), SealError> {
    if dklen != 32 {
        return Err(limit("dklen", &32, &dklen));
    }
    if salt.0.len() > SALT_BYTES_MAX {
        let want = format!("at most {SALT_BYTES_MAX}");
        return Err(limit("the length of salt", &want, &salt.0.len()));
    }
    Ok(())
}

fn scrypt_params(n: u64, r: u32, p: u32) -> Result<scrypt::Params, SealError> {
    let log_n = n.trailing_zeros();
    if !n.is_power_of_two() || !(1..=LOG_N_MAX).contains(&log_n) {
        let want = format!("a power of two from 2 to 2^{LOG_N_MAX}");
        return Err(limit("scrypt's n", &want, &n));
    }
    let memory = n.saturating_mul(u64::from(r).max(u64::from(r).saturating_mul(p.into()) / n));
    let work = n.saturating_mul(r.into()).saturating_mul(p.into());
    if memory > MEMORY_MAX || work > WORK_MAX {
        let want = format!("n * r at most {MEMORY_MAX}, n * r * p at most {WORK_MAX}");
        return Err(limit("scrypt's cost", &want, &format!("{n} * {r} * {p}")));
    }
    let log_n = u8::try_from(log_n).expect("at most 63");
    scrypt::Params::new(log_n, r, p).map_err(|_| {
        limit(
            "scrypt's cost",
            &"r and p of 1 or more",
            &format!("{r}, {p}"),
        )
    })
}

/// Encrypts or decrypts, which is the same in counter mode.
fn apply_cipher(stretched: &[u8; 32], iv: &[u8; 16], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(half(&stretched[..16]));
    let mut output = Zeroizing::new(bytes.to_vec());
    Ctr128BE::<Aes128>::new((&*key).into(), iv.into()).apply_keystream(&mut output);
    output
}

fn half(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().expect("half of 32 bytes")
}

fn mac(stretched: &[u8; 32], ciphertext: &[u8]) -> [u8; 32] {
    // With room from the start no copy is left behind where the text grew.
    let mut text = Zeroizing::new(Vec::with_capacity(16 + ciphertext.len()));
    text.extend_from_slice(&stretched[16..]);
    text.extend_from_slice(ciphertext);
    keccak256(&text[..]).0
}

/// Fresh bytes from the operating system.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SealError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut bytes[..]).map_err(|error| SealError::Random(error.to_string()))?;
    Ok(bytes)
}

fn exactly<const N: usize>(what: &'static str, bytes: &Bytes) -> Result<[u8; N], SealError> {
    let array = bytes.0.as_slice().try_into();
    array.map_err(|_| limit(what, &N, &bytes.0.len()))
}

fn limit(what: &'static str, want: &dyn ToString, got: &dyn ToString) -> SealError {
    let (want, got) = (want.to_string(), got.to_string());
    SealError::Limit { what, want, got }
}

fn unsupported(what: &'static str, want: &'static str, got: &str) -> SealError {
    let got = crate::answers::printable(got).chars().take(40).collect();
    SealError::Unsupported { what, want, got }
}
