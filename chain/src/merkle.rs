//! Merkle tree hash over byte strings, RFC 6962 section 2.1.
//!
//! Leaves and inner nodes are hashed with different prefixes, so no node passes for a leaf.
//! Called for transactions and receipts.

use sha2::{Digest, Sha256};

use crate::hash::{Root, sha256};

/// The root over `leaves` in order; of none, SHA-256 of nothing.
pub fn root<T: AsRef<[u8]>>(leaves: &[T]) -> Root {
    match leaves {
        [] => Root(sha256(&[])),
        [leaf] => Root(hash_with_prefix(0, leaf.as_ref(), &[])),
        _ => {
            // The largest power of two below the count.
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            Root(hash_with_prefix(1, &root(left).0, &root(right).0))
        }
    }
}

fn hash_with_prefix(prefix: u8, first: &[u8], second: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update([prefix])
        .chain_update(first)
        .chain_update(second)
        .finalize()
        .into()
}
