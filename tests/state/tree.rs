//! The tree against a slow specification, and state roots and proofs against vectors made by
//! another program.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use chain::{Account, Root, hash::sha256};
use proptest::prelude::*;
use serde_json::Value as Json;
use state::{
    Proof, ProofError, ProofLeaf, account_key, slot_key,
    tree::{Digest, Key, Tree, Value},
};

use crate::support::{Content, bytes, state_of, text, vectors, word};

/// Any bytes as a value.
#[derive(Clone, Debug, PartialEq)]
struct Plain(Vec<u8>);

impl Value for Plain {
    fn digest(&self) -> Digest {
        sha256(&self.0)
    }
}

type Entries = BTreeMap<Key, Vec<u8>>;

/// Section 6, word by word: everything is computed anew from the whole set.
fn slow_root(entries: &Entries, depth: usize) -> Digest {
    let mut hash = match entries.len() {
        0 => return [0; 32],
        1 => {
            let (key, value) = entries.iter().next().unwrap();
            let mut hash = sha256(&[key.as_slice(), &sha256(value)].concat());
            hash[0] |= 0x80;
            return hash;
        }
        _ => {
            let half = |side| slow_root(&half(entries, depth, side), depth + 1);
            sha256(&[half(0), half(1)].concat())
        }
    };
    hash[0] &= 0x7f;
    hash
}

fn half(entries: &Entries, depth: usize, side: u8) -> Entries {
    let of_side = |key: &Key| key[depth / 8] >> (7 - depth % 8) & 1 == side;
    let chosen = entries.iter().filter(|(key, _)| of_side(key));
    chosen.map(|(key, value)| (*key, value.clone())).collect()
}

fn proof(tree: &Tree<Plain>, key: &Key) -> Proof {
    let path = tree.path(key);
    let leaf = path.leaf.map(|(key, value)| ProofLeaf {
        key: *key,
        value: value.0.clone(),
    });
    Proof {
        siblings: path.siblings,
        leaf,
    }
}

fn compare(tree: &Tree<Plain>, entries: &Entries) {
    let root = Root(tree.root());
    assert_eq!(root, Root(slow_root(entries, 0)));
    let found: Vec<_> = tree
        .iter()
        .map(|(key, value)| (*key, value.0.clone()))
        .collect();
    assert_eq!(found, entries.clone().into_iter().collect::<Vec<_>>());
}

fn compare_key(tree: &Tree<Plain>, entries: &Entries, key: &Key) {
    let want = entries.get(key).map(Vec::as_slice);
    assert_eq!(tree.get(key).map(|value| value.0.as_slice()), want);
    assert_eq!(proof(tree, key).verify(&Root(tree.root()), key), Ok(want));
}

/// Keys of which many share long prefixes, up to all bits but the last.
fn key() -> impl Strategy<Value = Key> {
    (0..4_u8, proptest::option::of(0..256_usize)).prop_map(|(base, flip)| {
        let mut key = sha256(&[base]);
        if let Some(bit) = flip {
            key[bit / 8] ^= 0x80 >> (bit % 8);
        }
        key
    })
}

fn batch() -> impl Strategy<Value = BTreeMap<Key, Option<Vec<u8>>>> {
    let value = proptest::option::weighted(0.6, proptest::collection::vec(any::<u8>(), 1..4));
    proptest::collection::btree_map(key(), value, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_version_agrees_with_the_specification(
        batches in proptest::collection::vec(batch(), 1..8),
        probes in proptest::collection::vec(key(), 8),
    ) {
        let (mut tree, mut entries) = (Tree::default(), Entries::new());
        let mut versions = Vec::new();
        for batch in batches {
            let changes = batch.iter().map(|(key, value)| (*key, value.clone().map(Plain)));
            tree = tree.update(changes.collect());
            for (key, value) in batch {
                match value {
                    Some(value) => entries.insert(key, value),
                    None => entries.remove(&key),
                };
            }
            versions.push((tree.clone(), entries.clone()));
        }
        // Compared at the end, so that a version changed by a later one would show.
        for (tree, entries) in &versions {
            compare(tree, entries);
            for key in entries.keys().chain(&probes) {
                compare_key(tree, entries, key);
            }
        }
    }

    #[test]
    fn the_root_depends_on_the_set_alone(batch in batch(), detour in batch()) {
        let puts = |batch: &BTreeMap<Key, Option<Vec<u8>>>| {
            let set = batch.iter().filter_map(|(key, value)| Some((*key, Some(Plain(value.clone()?)))));
            set.collect::<Vec<_>>()
        };
        let direct = Tree::default().update(puts(&batch));
        let away = Tree::default().update(puts(&detour));
        let gone = detour.keys().map(|key| (*key, None)).collect();
        let back = away.update(puts(&batch).into_iter().rev().collect());
        let only_detour = detour.keys().filter(|key| batch.get(*key).is_none_or(Option::is_none));
        let back = back.update(only_detour.map(|key| (*key, None)).collect());
        prop_assert_eq!(back.root(), direct.root());
        prop_assert_eq!(away.update(gone).root(), [0; 32]);
    }

    /// Whatever key a true proof is held against, it says nothing that is not so.
    #[test]
    fn a_proof_held_against_another_key_does_not_lie(batch in batch(), keys in (key(), key())) {
        let puts = batch.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let entries: Entries = puts.collect();
        let tree = entries.iter().map(|(key, value)| (*key, Some(Plain(value.clone()))));
        let tree = Tree::default().update(tree.collect());
        let own = entries.keys().copied().chain([keys.0]);
        for key in own {
            for other in entries.keys().copied().chain([keys.0, keys.1]) {
                let said = proof(&tree, &key);
                if let Ok(said) = said.verify(&Root(tree.root()), &other) {
                    prop_assert_eq!(said, entries.get(&other).map(Vec::as_slice));
                }
            }
        }
    }

    #[test]
    fn an_altered_proof_proves_nothing(
        batch in batch(), key in key(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let puts = batch.into_iter().filter_map(|(key, value)| Some((key, Some(Plain(value?)))));
        let tree = Tree::default().update(puts.collect());
        let root = Root(tree.root());
        let good = proof(&tree, &key);
        let mut bad = good.clone();
        if !bad.siblings.is_empty() {
            let at = at.index(bad.siblings.len());
            bad.siblings[at][usize::from(bit)] ^= 1 << bit;
            prop_assert!(bad.verify(&root, &key).is_err());
        }
        let mut bad = good.clone();
        bad.leaf = match bad.leaf {
            Some(mut leaf) => {
                leaf.value.push(0);
                Some(leaf)
            }
            None => Some(ProofLeaf { key, value: vec![1] }),
        };
        prop_assert!(bad.verify(&root, &key).is_err());
        let hidden = Proof { leaf: None, ..good.clone() };
        prop_assert!(good.leaf.is_none() || hidden.verify(&root, &key).is_err());
    }
}

#[test]
fn a_leaf_from_elsewhere_does_not_show_absence() {
    let (here, there) = ([0; 32], [0xff; 32]);
    let tree = Tree::default().update(vec![
        (here, Some(Plain(vec![1]))),
        (there, Some(Plain(vec![2]))),
    ]);
    // The true path to one key, offered as a proof that another key is absent.
    let path = proof(&tree, &there);
    let refused = path.verify(&Root(tree.root()), &here);
    assert_eq!(refused, Err(ProofError::Elsewhere(1)));
    let deep = Proof {
        siblings: vec![[0; 32]; 257],
        leaf: None,
    };
    assert_eq!(
        deep.verify(&Root([0; 32]), &here),
        Err(ProofError::TooDeep(257))
    );
}

fn entries_of(json: &Json) -> Vec<(Key, Option<Plain>)> {
    let list = json.as_array().unwrap().iter();
    list.map(|entry| {
        let value = &entry["value"];
        (
            word(&entry["key"]),
            (!value.is_null()).then(|| Plain(bytes(value))),
        )
    })
    .collect()
}

#[test]
fn maps_of_the_vectors_have_their_roots_and_proofs() {
    for map in vectors("state_root.json")["maps"].as_array().unwrap() {
        let tree = Tree::default().update(entries_of(&map["entries"]));
        assert_eq!(tree.root(), word(&map["root"]), "{}", map["name"]);
        for wanted in map["proofs"].as_array().unwrap() {
            let key = word(&wanted["key"]);
            let siblings = wanted["siblings"]
                .as_array()
                .unwrap()
                .iter()
                .map(word)
                .collect();
            let leaf = wanted["leaf"].as_object().map(|leaf| ProofLeaf {
                key: word(&leaf["key"]),
                value: bytes(&leaf["value"]),
            });
            let wanted_proof = Proof { siblings, leaf };
            assert_eq!(proof(&tree, &key), wanted_proof, "{}", map["name"]);
            let found = wanted_proof.verify(&Root(tree.root()), &key).unwrap();
            assert_eq!(found.is_some(), wanted["kind"] == "inclusion");
        }
    }
}

#[test]
fn histories_of_the_vectors_have_their_roots() {
    for history in vectors("state_root.json")["sequences"].as_array().unwrap() {
        let mut tree = Tree::default();
        for step in history["steps"].as_array().unwrap() {
            tree = tree.update(entries_of(&step["changes"]));
            assert_eq!(tree.root(), word(&step["root"]), "{}", history["name"]);
        }
    }
}

/// An account of the vectors; `None` for a balance above any supply, which no account can have.
fn content_of(json: &Json) -> Option<Content> {
    let code_hash =
        Some(word(&json["code_hash"])).filter(|hash| *hash != alloy_primitives::KECCAK256_EMPTY);
    let slots = json["storage"].as_object().unwrap().iter();
    Some(Content {
        account: Account {
            nonce: text(&json["nonce"]).parse().unwrap(),
            balance: text(&json["balance"]).parse().ok()?,
            code_hash,
        },
        code: Vec::new(),
        storage: slots
            .map(|(slot, value)| {
                let number = |text| U256::from_str_radix(text, 16).unwrap();
                (number(slot), number(text(value)))
            })
            .collect(),
    })
}

#[test]
fn accounts_of_the_vectors_have_their_keys_values_and_roots() {
    let mut checked = 0;
    for case in vectors("state_root.json")["accounts"].as_array().unwrap() {
        let accounts = case["accounts"].as_array().unwrap();
        let contents: Option<BTreeMap<_, _>> = accounts
            .iter()
            .map(|json| {
                Some((
                    Address::from_slice(&bytes(&json["address"])),
                    content_of(json)?,
                ))
            })
            .collect();
        let Some(contents) = contents else { continue };
        let state = state_of(&contents);
        assert_eq!(state.root(), Root(word(&case["root"])), "{}", case["name"]);
        let mut wanted = entries_of(&case["entries"]);
        wanted.sort_by_key(|(key, _)| *key);
        let leaves = state
            .leaves()
            .map(|leaf| (leaf.key, Some(Plain(leaf.value))));
        assert_eq!(leaves.collect::<Vec<_>>(), wanted, "{}", case["name"]);
        for (address, content) in &contents {
            check_account(&state, address, content);
        }
        checked += 1;
    }
    assert!(checked >= 9);
}

fn check_account(state: &state::State, address: &Address, content: &Content) {
    let account = Some(content.account.clone()).filter(|account| !account.is_absent());
    assert_eq!(state.account(address), account);
    let key = account_key(address);
    let proof = state.proof(&key);
    let proved = proof.verify(&state.root(), &key).unwrap();
    assert_eq!(proved.and_then(state::account::decode_account), account);
    for (slot, value) in &content.storage {
        assert_eq!(state.storage(address, *slot), *value);
        let key = slot_key(address, slot);
        let proof = state.proof(&key);
        let proved = proof.verify(&state.root(), &key).unwrap();
        assert_eq!(proved.map_or(U256::ZERO, U256::from_be_slice), *value);
    }
}
