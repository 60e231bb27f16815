//! Rule S1: whole blocks against the executable Ethereum specification (vectors/evm.json), which
//! knows no reward; so each block also runs with one (Rule S2).

use std::{collections::BTreeMap, slice};

use alloy_primitives::{Address, U256, keccak256};
use chain::{
    Account, BlockEnv, BlockHash, ChainSpec, CheckedTransaction, Execution, Root, merkle,
    receipt::receipts_root,
};
use serde_json::Value as Json;
use state::{Evm, State};

use crate::support::{Content, LGN, bytes, spec, state_of, text, vectors, wei_made, word};

const CHAIN_ID: u64 = 1337;

/// A block of the vectors.
struct Vector {
    json: Json,
    spec: ChainSpec,
    hashes: BTreeMap<u64, BlockHash>,
    /// With the rule that rejects it, if any.
    transactions: Vec<(CheckedTransaction, Option<String>)>,
}

impl Vector {
    fn all() -> Vec<Self> {
        let mut file = vectors("evm.json");
        let Json::Array(blocks) = file["blocks"].take() else {
            panic!("no blocks");
        };
        blocks.into_iter().map(Self::new).collect()
    }

    fn new(json: Json) -> Self {
        let hashes = json["env"]["block_hashes"].as_object().unwrap().iter();
        let hashes =
            hashes.map(|(height, hash)| (height.parse().unwrap(), text(hash).parse().unwrap()));
        let transactions = json["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|transaction| {
                let checked =
                    CheckedTransaction::check(&bytes(&transaction["raw"]), CHAIN_ID).unwrap();
                assert_eq!(checked.hash().0, word(&transaction["hash"]));
                let rule = transaction["rejected"]["rule"].as_str().map(String::from);
                (checked, rule)
            });
        Self {
            hashes: hashes.collect(),
            transactions: transactions.collect(),
            spec: spec(CHAIN_ID, 0),
            json,
        }
    }

    fn name(&self) -> &str {
        text(&self.json["name"])
    }

    fn number(&self, field: &str) -> u64 {
        self.json["env"][field].as_u64().unwrap()
    }

    fn with_env<T>(&self, spec: &ChainSpec, run: impl FnOnce(&BlockEnv<'_>) -> T) -> T {
        let env = BlockEnv {
            spec,
            height: self.number("number"),
            time: self.number("time").try_into().unwrap(),
            beneficiary: self.beneficiary(),
            gas_limit: self.number("gas_limit"),
            base_fee: self.number("base_fee"),
            parent: text(&self.json["env"]["parent_hash"]).parse().unwrap(),
            block_hash: &|height| self.hashes.get(&height).copied(),
        };
        assert_eq!(env.prevrandao(), word(&self.json["env"]["prevrandao"]));
        run(&env)
    }

    fn beneficiary(&self) -> Address {
        Address::from_slice(&bytes(&self.json["env"]["beneficiary"]))
    }

    fn pre(&self) -> State {
        let state = state_of(&contents(&self.json["pre"]));
        assert_eq!(
            state.root(),
            Root(word(&self.json["pre_state_root"])),
            "{}",
            self.name()
        );
        state
    }

    fn included(&self) -> Vec<CheckedTransaction> {
        let fit = self.transactions.iter().filter(|(_, rule)| rule.is_none());
        fit.map(|(transaction, _)| transaction.clone()).collect()
    }

    /// Base fees burnt and ether destroyed, as a negative number of wei made.
    fn wei_burnt(&self) -> i128 {
        let destroyed: i128 = text(&self.json["destroyed_wei"]).parse().unwrap();
        let gas = i128::from(self.json["gas_used"].as_u64().unwrap());
        -(gas * i128::from(self.number("base_fee"))) - destroyed
    }
}

fn contents(json: &Json) -> BTreeMap<Address, Content> {
    let accounts = json.as_object().unwrap().iter();
    accounts
        .map(|(address, json)| (address.parse().unwrap(), content(json)))
        .collect()
}

fn content(json: &Json) -> Content {
    let code = bytes(&json["code"]);
    let number = |text| U256::from_str_radix(text, 16).unwrap();
    let storage = json["storage"].as_object().unwrap().iter();
    Content {
        account: Account {
            nonce: text(&json["nonce"]).parse().unwrap(),
            balance: text(&json["balance"]).parse().unwrap(),
            code_hash: (!code.is_empty()).then(|| keccak256(&code).0),
        },
        code,
        storage: storage
            .map(|(slot, value)| (number(slot), number(text(value))))
            .collect(),
    }
}

#[test]
fn blocks_give_the_specifications_gas_receipts_and_state() {
    let evm = Evm::new();
    for vector in Vector::all() {
        let (name, json, pre) = (vector.name(), &vector.json, vector.pre());
        let included = vector.included();
        let run = vector
            .with_env(&vector.spec, |env| evm.execute(&pre, env, &included))
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let receipts = json["transactions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| !t["receipt"].is_null());
        assert_eq!(receipts.clone().count(), run.receipts.len(), "{name}");
        for (transaction, receipt) in receipts.zip(&run.receipts) {
            let wanted = bytes(&transaction["receipt"]["raw"]);
            assert_eq!(
                receipt.encode(),
                wanted,
                "{name}: {}: {receipt:?}",
                transaction["label"]
            );
        }
        assert_eq!(run.gas_used, json["gas_used"].as_u64().unwrap(), "{name}");
        assert_eq!(
            receipts_root(&run.receipts),
            Root(word(&json["receipts_root"])),
            "{name}"
        );
        let raw: Vec<_> = included.iter().map(CheckedTransaction::bytes).collect();
        assert_eq!(
            merkle::root(&raw),
            Root(word(&json["transactions_root"])),
            "{name}"
        );
        for (address, content) in contents(&json["post"]) {
            check_content(&run.state, &address, &content, name);
        }
        assert_eq!(
            run.state_root,
            Root(word(&json["post_state_root"])),
            "{name}"
        );
        assert_eq!(run.state_root, run.state.root(), "{name}");
        assert_eq!(wei_made(&run.changes), vector.wei_burnt(), "{name}: supply");
        check_moves(&evm, &pre, &run.state, &run.changes);
    }
}

fn check_content(state: &State, address: &Address, content: &Content, name: &str) {
    assert_eq!(
        state.account(address),
        Some(content.account.clone()),
        "{name}: {address}"
    );
    for (slot, value) in &content.storage {
        assert_eq!(
            state.storage(address, *slot),
            *value,
            "{name}: {address}: {slot}"
        );
    }
    if let Some(hash) = &content.account.code_hash {
        assert_eq!(
            state.code(hash).as_deref(),
            Some(content.code.as_slice()),
            "{name}"
        );
    }
}

/// Applying a block's changes does what executing it did; reverting undoes it.
fn check_moves(evm: &Evm, pre: &State, post: &State, changes: &chain::ChangeSet) {
    assert_eq!(evm.apply(pre, changes).root(), post.root());
    assert_eq!(evm.revert(post, changes).root(), pre.root());
    assert!(changes.accounts.is_sorted_by(|a, b| a.address < b.address));
    assert!(
        changes
            .slots
            .is_sorted_by(|a, b| (a.address, a.slot) < (b.address, b.slot))
    );
    assert!(changes.codes.is_sorted_by(|a, b| a.hash < b.hash));
    assert!(
        changes
            .accounts
            .iter()
            .all(|change| change.old != change.new)
    );
    assert!(changes.slots.iter().all(|change| change.old != change.new));
    let absent = Some(Account::default());
    assert!(
        changes
            .accounts
            .iter()
            .all(|change| change.old != absent && change.new != absent)
    );
    for change in &changes.accounts {
        assert_eq!(pre.account(&change.address.into()), change.old);
    }
    for change in &changes.slots {
        let slot = U256::from_be_bytes(change.slot);
        assert_eq!(
            pre.storage(&change.address.into(), slot),
            U256::from_be_bytes(change.old)
        );
    }
}

/// Rule T4, Rule T5, Rule T6, Rule T7: what the specification rejects at a place is rejected there.
#[test]
fn what_the_specification_rejects_is_rejected_in_its_place() {
    let evm = Evm::new();
    let mut rejected = 0;
    for vector in Vector::all() {
        let pre = vector.pre();
        let mut before = Vec::new();
        for (transaction, rule) in &vector.transactions {
            before.push(transaction.clone());
            let Some(rule) = rule else { continue };
            let fault = vector
                .with_env(&vector.spec, |env| evm.execute(&pre, env, &before))
                .expect_err(vector.name());
            before.pop();
            assert_eq!(fault.index, before.len(), "{}", vector.name());
            let words: &[&str] = match rule.as_str() {
                "T4" => &["nonce", "EIP-3607"],
                "T5" => &["base fee", "priority fee"],
                "T6" => &["may cost"],
                _ => &["gas limit", "creation code"],
            };
            assert!(
                words.iter().any(|word| fault.reason.contains(word)),
                "{rule}: {fault}"
            );
            rejected += 1;
        }
    }
    assert!(rejected >= 17);
}

/// A template made of the same list is the same block.
#[test]
fn selection_takes_exactly_the_fit_ones() {
    let evm = Evm::new();
    for vector in Vector::all() {
        let pre = vector.pre();
        let candidates: Vec<_> = vector.transactions.iter().map(|(t, _)| t.clone()).collect();
        let body_bytes = vector.json["body_bytes"]
            .as_u64()
            .unwrap()
            .try_into()
            .unwrap();
        let (run, taken) = vector.with_env(&vector.spec, |env| {
            evm.select(&pre, env, &candidates, body_bytes)
        });
        let fit = vector
            .transactions
            .iter()
            .enumerate()
            .filter(|(_, (_, rule))| rule.is_none());
        assert_eq!(
            taken,
            fit.map(|(index, _)| index).collect::<Vec<_>>(),
            "{}",
            vector.name()
        );
        assert_eq!(run.state_root, Root(word(&vector.json["post_state_root"])));
        // One byte less, and the last one that is taken does not fit.
        let Some(last) = taken.last() else { continue };
        let (_, fewer) = vector.with_env(&vector.spec, |env| {
            evm.select(&pre, env, &candidates, body_bytes - 1)
        });
        assert!(
            !fewer.contains(last) || fewer.len() < taken.len(),
            "{}",
            vector.name()
        );
    }
}

/// Rule S2: with a reward nothing else differs, even where the beneficiary was just deleted.
#[test]
fn the_reward_comes_last_and_changes_nothing_else() {
    let evm = Evm::new();
    let rewarding = spec(CHAIN_ID, 5 * LGN);
    for vector in Vector::all() {
        let (pre, included) = (vector.pre(), vector.included());
        let mut post = contents(&vector.json["post"]);
        post.entry(vector.beneficiary())
            .or_default()
            .account
            .balance += 5 * LGN;
        let run = vector
            .with_env(&rewarding, |env| evm.execute(&pre, env, &included))
            .unwrap();
        assert_eq!(run.state_root, state_of(&post).root(), "{}", vector.name());
        let reward = i128::try_from(5 * LGN).unwrap();
        assert_eq!(
            wei_made(&run.changes),
            vector.wei_burnt() + reward,
            "{}",
            vector.name()
        );
        check_moves(&evm, &pre, &run.state, &run.changes);
    }
}

/// A change set carries all that the next block needs, deployed code included.
#[test]
fn transactions_in_blocks_of_their_own_lead_to_the_same_state() {
    let evm = Evm::new();
    for vector in Vector::all() {
        let included = vector.included();
        let mut state = vector.pre();
        for transaction in &included {
            let run = vector.with_env(&vector.spec, |env| {
                evm.execute(&state, env, slice::from_ref(transaction))
            });
            // Moved by the changes alone, as after a restart.
            state = evm.apply(&state, &run.unwrap().changes);
        }
        assert_eq!(
            state.root(),
            Root(word(&vector.json["post_state_root"])),
            "{}",
            vector.name()
        );
    }
}
