//! Templates on views made by hand.

use std::sync::Arc;

use chain::{Address, Bits, ChainSpec, CheckedTransaction, MemoryStore, Reader, Store};
use tokio::sync::{mpsc, watch};
use wallet::{
    dev_key,
    sign::{Transfer, sign_transfer},
};

use super::{NoTemplate, Site};
use crate::shell::{
    clock::Clock,
    metrics::Metrics,
    view::{View, tests::of_genesis},
};

/// A contract that stores the hash of block 0: PUSH0 BLOCKHASH PUSH0 SSTORE.
const CONTRACT: &str =
    r#""alloc": { "0xcccccccccccccccccccccccccccccccccccccccc": { "code": "0x5f405f55" },"#;

/// A devnet with the contract, and the view of its genesis block.
fn view() -> View {
    let text = ChainSpec::devnet(1_700_000_000, Bits(0x207f_ffff));
    let text = text.replacen(r#""alloc": {"#, CONTRACT, 1);
    of_genesis(&text)
}

/// The same with another store behind it.
fn with_reader(view: &View, reader: Arc<dyn Reader + Send + Sync>) -> View {
    let mut view = view.clone();
    Arc::make_mut(&mut view.api).reader = reader;
    view
}

/// A call of the contract.
fn call() -> CheckedTransaction {
    let transfer = Transfer {
        chain_id: 1_337,
        nonce: 0,
        to: Address::repeat_byte(0xcc),
        value: 0,
        gas_limit: 100_000,
        max_fee: 2_000_000_000,
        tip: 1,
        input: Vec::new(),
    };
    CheckedTransaction::check(&sign_transfer(&dev_key(0), &transfer), 1_337).unwrap()
}

/// A false hash gives another state than that which all other nodes come to, and so a block that
/// they refuse: no template is made on one. The next try, with a store that answers, succeeds.
#[test]
fn no_template_on_a_block_hash_that_was_not_read() {
    let view = view();
    let site = Site {
        beneficiary: Address::ZERO,
        extra_data: [0; 32],
        extra_nonce: [0; 16],
        views: watch::channel(Arc::new(view.clone())).1,
        inbox: mpsc::channel(1).0,
        clock: Clock::start(),
        metrics: Arc::<Metrics>::default(),
    };
    let call = call();
    let empty = MemoryStore::default().snapshot().unwrap();
    let broken = with_reader(&view, Arc::new(empty));
    let refused = site.template_of(&broken, [&call]).unwrap_err();
    assert_eq!(refused, NoTemplate::Hash);
    assert_eq!(site.empty_template(&broken).unwrap().body.0.len(), 0);
    let block = site.template_of(&view, [&call]).unwrap();
    assert_eq!(block.body.0, [call.bytes().to_vec()]);
}
