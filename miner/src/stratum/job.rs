//! A template as Stratum shows it, and the header that a share makes of it.
//!
//! The traps of the format are all here. The parent's hash goes out with the bytes of each 4-byte
//! word reversed; version, bits, time and nonce are written most significant byte first, though the
//! header has them the other way round; a miner's version is `(job & !mask) | (bits & mask)`.
//! Called by `session` and by the shell that makes jobs.

use alloy_primitives::hex;
use chain::{BlockHash, Extension, Header, Target, params::EXTENSION_BYTES};
use serde_json::{Value, json};

use super::message::{EXTRA_NONCE_1_BYTES, EXTRA_NONCE_2_BYTES, Share};

/// Work for miners of one beneficiary.
#[derive(Clone, Debug)]
pub struct Job {
    id: String,
    header: Header,
    target: Target,
}

impl Job {
    /// A job of this number, which no other job of the server has, on a template's header. `None`
    /// if the header's bits are no target.
    pub fn new(number: u64, header: Header) -> Option<Self> {
        let target = header.pow.bits.target()?;
        Some(Self {
            id: format!("{number:x}"),
            header,
            target,
        })
    }

    /// What shares call it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The block it stands on.
    pub fn parent(&self) -> BlockHash {
        self.header.pow.parent
    }

    /// What a block's hash must meet.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The template's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The line that gives the job out and voids all before it: it stands on another block.
    pub fn notify_clean(&self) -> String {
        self.notify(&Value::Bool(true))
    }

    /// The line that gives the job out beside those before it.
    pub fn notify_more(&self) -> String {
        self.notify(&Value::Bool(false))
    }

    fn notify(&self, clean_jobs: &Value) -> String {
        let pow = &self.header.pow;
        let extension = self.header.extension.encode();
        let tail = EXTRA_NONCE_1_BYTES + EXTRA_NONCE_2_BYTES;
        let params = json!([
            self.id,
            hex::encode(swapped_words(&pow.parent)),
            hex::encode(&extension[..EXTENSION_BYTES - tail]),
            "",
            [],
            format!("{:08x}", pow.version),
            format!("{:08x}", pow.bits.0),
            format!("{:08x}", pow.time),
            clean_jobs,
        ]);
        let line = json!({"id": null, "method": "mining.notify", "params": params});
        format!("{line}\n")
    }

    /// The header that a share stands for.
    pub fn assemble(
        &self,
        extra_nonce_1: &[u8; EXTRA_NONCE_1_BYTES],
        share: &Share,
        version_mask: u32,
    ) -> Header {
        let mut extra_nonce = [0; EXTRA_NONCE_1_BYTES + EXTRA_NONCE_2_BYTES];
        extra_nonce[..EXTRA_NONCE_1_BYTES].copy_from_slice(extra_nonce_1);
        extra_nonce[EXTRA_NONCE_1_BYTES..].copy_from_slice(&share.extra_nonce_2);
        let mut pow = self.header.pow;
        pow.version = (pow.version & !version_mask) | (share.version_bits & version_mask);
        (pow.time, pow.nonce) = (share.time, share.nonce);
        let extension = Extension {
            extra_nonce,
            ..self.header.extension.clone()
        };
        Header::sealed(pow, extension)
    }
}

/// A hash in Stratum's order: each 4-byte word reversed in itself.
fn swapped_words(hash: &BlockHash) -> [u8; 32] {
    let mut bytes = hash.0;
    bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    bytes
}
