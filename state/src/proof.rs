//! Proofs that a key is in the state, with its value, or is not. Checked against a root alone.

use chain::{Root, hash::sha256};

use crate::tree::{Digest, Key, TERMINATOR, bit, inner_hash, leaf_hash};

/// A key has this many bits, so a path has at most this many siblings.
const DEPTH_MAX: usize = 256;

/// The sibling path to a key and the leaf found at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Hashes beside the path, from the root downwards.
    pub siblings: Vec<Digest>,
    /// The key's own leaf (inclusion), another one in its place, or nothing (exclusion).
    pub leaf: Option<ProofLeaf>,
}

/// An entry of the state tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofLeaf {
    /// Where it lives.
    pub key: Key,
    /// 72 bytes of an account or 32 of a storage slot.
    pub value: Vec<u8>,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Deeper than keys are long.
    #[error("a path has at most {DEPTH_MAX} siblings, got {0}")]
    TooDeep(usize),
    /// The leaf shown could not stand where the path ends.
    #[error("the leaf belongs to another place: it shares fewer than {0} bits with the key")]
    Elsewhere(usize),
    /// Path and leaf hash to another root.
    #[error("the proof is for root {got}, wanted {want}")]
    Root {
        /// The root given.
        want: Root,
        /// The root that the proof leads to.
        got: Root,
    },
}

impl Proof {
    /// The value at `key` in the state with this root, or `None` if the proof shows its absence.
    pub fn verify(&self, root: &Root, key: &Key) -> Result<Option<&[u8]>, ProofError> {
        let depth = self.siblings.len();
        if depth > DEPTH_MAX {
            return Err(ProofError::TooDeep(depth));
        }
        if let Some(leaf) = &self.leaf
            && (0..depth).any(|at| bit(&leaf.key, at) != bit(key, at))
        {
            return Err(ProofError::Elsewhere(depth));
        }
        let got = Root(self.root(key));
        if got != *root {
            return Err(ProofError::Root { want: *root, got });
        }
        let own = self.leaf.as_ref().filter(|leaf| leaf.key == *key);
        Ok(own.map(|leaf| leaf.value.as_slice()))
    }

    fn root(&self, key: &Key) -> Digest {
        let start = self.leaf.as_ref().map_or(TERMINATOR, |leaf| {
            leaf_hash(&leaf.key, &sha256(&leaf.value))
        });
        let path = self.siblings.iter().enumerate().rev();
        path.fold(start, |node, (depth, sibling)| {
            if bit(key, depth) {
                inner_hash(sibling, &node)
            } else {
                inner_hash(&node, sibling)
            }
        })
    }
}
