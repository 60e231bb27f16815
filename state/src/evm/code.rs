//! Contract code, analysed once when it is deployed and shared by all versions of the state.

use revm::{bytecode::Bytecode, primitives::B256};

use crate::tree::{Digest, Value};

/// Bytes of memory that code takes beside itself and its jump destinations.
const BYTES_BESIDE: usize = 128;

/// Code with its jump destinations.
#[derive(Clone)]
pub(crate) struct Code {
    hash: [u8; 32],
    bytecode: Bytecode,
}

impl Code {
    /// Takes the hash from a change set, which this node made itself and checked by a root.
    pub(crate) fn new(hash: [u8; 32], bytes: Vec<u8>) -> Self {
        let bytecode = Bytecode::new_legacy(bytes.into());
        Self { hash, bytecode }
    }

    pub(super) fn deployed(hash: B256, bytecode: Bytecode) -> Self {
        let hash = hash.0;
        Self { hash, bytecode }
    }

    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytecode.original_byte_slice()
    }

    pub(super) fn bytecode(&self) -> Bytecode {
        self.bytecode.clone()
    }
}

/// Code lies in a tree for its sharing alone; no protocol rule names that tree's root.
impl Value for Code {
    fn digest(&self) -> Digest {
        self.hash
    }

    /// The code, a bit a byte for its jump destinations, and what holds them together.
    fn bytes_apart(&self) -> u64 {
        let bytes = self.bytes().len();
        u64::try_from(bytes + bytes / 8 + BYTES_BESIDE).expect("code is in memory")
    }
}
