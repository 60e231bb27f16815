//! What a node writes: batches one by one or as one, bodies of side branches, damaged stores.

use std::sync::Arc;

use chain::{
    Batch, BlockHash, CheckedBlock, CheckedTransaction, Input, MemoryStore, Node, Peer, Reader,
    Stage, Store, U256, Verdict,
    params::{
        EARLY_BYTES_MAX, ORPHAN_BYTES_MAX, ORPHANS_MAX, ORPHANS_PER_PEER, SIDE_BYTES_PER_PEER,
    },
};
use proptest::{
    collection::vec,
    prelude::{any, prop_assert_eq, proptest},
};

use crate::{
    codec::config,
    support::{
        builder::{Builder, Plan, Wallet, hash, regtest, transfer},
        ledger::Ledger,
        shell::Shell,
    },
};

/// All that may be read of a store, as text.
fn picture(store: &MemoryStore, hashes: &[BlockHash]) -> String {
    let db = store.snapshot().unwrap();
    let mut out = format!("{:?}", db.head());
    db.for_each_header(&mut |header, stage| {
        out.push_str(&format!("{:?} {stage:?}\n", header.hash()));
    })
    .unwrap();
    for hash in hashes {
        out.push_str(&format!(
            "{:?}\n",
            (db.body(hash), db.changes(hash), db.receipts(hash))
        ));
    }
    for height in 0..20 {
        out.push_str(&format!("{:?}\n", db.canonical(height)));
    }
    out
}

proptest! {
    #![proptest_config(config(150))]

    /// Any run of batches gives the same store one by one and appended to one.
    #[test]
    fn batches_committed_as_one(steps in vec((any::<u8>(), 0_usize..4, any::<bool>()), 1..12)) {
        let mut builder = Builder::new(regtest(&[]));
        let blocks = builder.chain(builder.genesis, 4);
        let headers: Vec<_> = blocks.iter().map(|block| Arc::clone(block.header().header())).collect();
        let (_, genesis) = Node::genesis(&builder.spec, &Ledger::fresh());
        let first = Batch { headers, ..Batch::default() };
        let mut batches = vec![genesis, first];
        for (kind, index, other) in steps {
            let id = blocks[index].id();
            let mut batch = Batch::default();
            if kind & 1 != 0 {
                batch.bodies.push((id, Arc::clone(blocks[index].body())));
            }
            if kind & 2 != 0 {
                // Given up in a later step than it was stored in, as a node does it.
                batch.dropped.push(blocks[(index + 1) % 4].id());
            }
            if kind & 4 != 0 {
                let height = id.height;
                batch.canonical.push((height, other.then_some(id.hash)));
                batch.head = Some(id);
            }
            batches.push(batch);
        }
        let (mut single, mut merged) = (MemoryStore::default(), Batch::default());
        for batch in &batches {
            single.commit(batch).unwrap();
            merged.append(batch.clone());
        }
        let mut whole = MemoryStore::default();
        whole.commit(&merged).unwrap();
        let hashes: Vec<_> = blocks.iter().map(hash).collect();
        prop_assert_eq!(picture(&single, &hashes), picture(&whole, &hashes));
    }
}

/// Headers may be written again, after a crash for example: nothing is lost.
#[test]
fn a_header_committed_twice_keeps_its_body() {
    let mut builder = Builder::new(regtest(&[]));
    let mut shell = Shell::new(&builder.spec);
    let block = builder.mine(builder.genesis);
    shell.own(&block);
    let before = picture(&shell.store, &[hash(&block)]);
    let headers = vec![Arc::clone(block.header().header())];
    shell
        .store
        .commit(&Batch {
            headers,
            ..Batch::default()
        })
        .unwrap();
    assert_eq!(picture(&shell.store, &[hash(&block)]), before);
}

/// Sixteen transactions that fill a block, the same for all siblings.
pub fn heavy(wallet: &Wallet) -> Vec<CheckedTransaction> {
    let filler = |nonce| {
        let mut transaction = transfer(nonce, wallet.address, 1);
        transaction.input = vec![0; 130_000].into();
        transaction.gas_limit = 1_400_000;
        wallet.sign(transaction)
    };
    (0..16).map(filler).collect()
}

/// C3: bodies of side branches are bounded for each peer, dropped oldest first, and asked for again when
/// their branch becomes a candidate.
#[test]
fn c3_side_bodies_are_bounded() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let main = builder.chain(builder.genesis, 4);
    for block in &main {
        shell.own(block);
    }
    let transactions = heavy(&wallet);
    let room = SIDE_BYTES_PER_PEER as usize / (16 * 130_000);
    let side: Vec<CheckedBlock> = (0..room + 3)
        .map(|_| builder.mine_with(builder.genesis, &transactions))
        .collect();
    for block in &side {
        assert_eq!(shell.gossip(1, block), Verdict::Accept);
    }
    let stage = |shell: &Shell, block| {
        shell
            .store
            .snapshot()
            .unwrap()
            .stage(&hash(block))
            .unwrap()
            .unwrap()
    };
    let kept = side
        .iter()
        .filter(|block| stage(&shell, block) == Stage::Body)
        .count();
    assert!(
        kept < side.len() && kept >= room - 1,
        "{kept} of {}",
        side.len()
    );
    assert_eq!(
        stage(&shell, &side[0]),
        Stage::Header,
        "the oldest has gone"
    );
    assert_eq!(shell.ledger.executions(), 4);
    // Another peer's single block is not pushed out by them.
    let honest = builder.mine(builder.genesis);
    shell.gossip(2, &honest);
    shell.gossip(1, &builder.mine_with(builder.genesis, &transactions));
    assert_eq!(stage(&shell, &honest), Stage::Body);
    let more = builder.chain(hash(&side[0]), 4);
    shell.out.sent.clear();
    for block in &more {
        shell.gossip(1, block);
    }
    assert_eq!(shell.head(), hash(&main[3]));
    shell.input(Input::Tick);
    assert_eq!(
        shell.asked_blocks(1),
        [hash(&side[0])],
        "it is asked for again"
    );
    shell.gossip(1, &side[0]);
    assert_eq!(shell.head(), hash(&more[3]));
    assert_eq!(shell.node.head_state(), builder.state(&hash(&more[3])));
}

/// P1: orphans are bounded by their bytes as well, and those of the peer with the most go first.
#[test]
fn p1_orphans_are_bounded_by_bytes() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let transactions = heavy(&wallet);
    let mut heavy_orphan = |shell: &mut Shell, peer| {
        let missing = builder.mine(builder.genesis);
        let block = builder.mine_with(hash(&missing), &transactions);
        shell.gossip(peer, &block);
        block
    };
    let honest = heavy_orphan(&mut shell, 1);
    for index in 0..20 {
        heavy_orphan(&mut shell, 2 + index % 2);
        assert!(shell.node.orphans().bytes() <= ORPHAN_BYTES_MAX);
    }
    assert!(shell.node.orphans().len() < 20);
    assert!(shell.node.orphans().root_of(&hash(&honest)).is_some());
}

/// P1: when there are too many orphans, those of the peer with the most in all go first, though
/// another's only one is larger than any of them.
#[test]
fn p1_a_full_orphanage_takes_from_the_peer_with_the_most() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let missing = hash(&builder.mine(builder.genesis));
    let honest = builder.mine_with(missing, &[wallet.pay(0, wallet.address, 1)]);
    shell.gossip(99, &honest);
    for peer in 1..=(ORPHANS_MAX / ORPHANS_PER_PEER) as u64 {
        for _ in 0..ORPHANS_PER_PEER {
            shell.gossip(peer, &builder.mine(missing));
        }
    }
    assert_eq!(shell.node.orphans().len(), ORPHANS_MAX);
    assert!(shell.node.orphans().root_of(&hash(&honest)).is_some());
}

/// H5, P1: blocks kept for their time are bounded by their bytes, those of the peer with the most go
/// first, and one of too little work is not kept however early it is.
#[test]
fn h5_early_blocks_are_bounded_by_bytes() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    shell.now.unix_secs = u64::from(builder.spec.genesis_time);
    let time = Some(builder.spec.genesis_time + 1_000_000_000);
    let transactions = heavy(&wallet);
    let mut early = |shell: &mut Shell, peer, transactions: &[CheckedTransaction]| {
        let plan = Plan {
            time,
            transactions,
            ..Plan::default()
        };
        let block = builder.plan(builder.genesis, &plan);
        assert_eq!(shell.gossip(peer, &block), Verdict::Ignore);
    };
    early(&mut shell, 1, &[]);
    for index in 0..30 {
        early(&mut shell, 2 + index % 2, &transactions);
        assert!(shell.node.early().bytes() <= EARLY_BYTES_MAX);
    }
    assert!((2..30).contains(&shell.node.early().len()));
    let mut kept = shell.node.early().clone();
    assert_eq!(kept.take()[0].from, Some(Peer(1)));
    shell.node.set_min_chain_work(U256::MAX >> 1);
    let plan = Plan {
        time,
        transactions: &transactions[..1],
        ..Plan::default()
    };
    let cheap = builder.plan(builder.genesis, &plan);
    shell.gossip(4, &cheap);
    let mut kept = shell.node.early().clone().take().into_iter();
    assert!(kept.all(|early| early.from != Some(Peer(4))));
}

/// A store without a head, of another genesis, or with another state is refused with the reason.
#[test]
fn damaged_stores_are_refused() {
    let mut builder = Builder::new(regtest(&[&Wallet::new(1)]));
    let open = |spec: &Arc<chain::ChainSpec>, store: &MemoryStore| {
        let db = store.snapshot().unwrap();
        let opened = Node::open(Arc::clone(spec), Ledger::fresh(), &db);
        opened
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let empty = MemoryStore::default();
    assert!(open(&builder.spec, &empty).contains("no head"));
    let mut shell = Shell::new(&builder.spec);
    for block in builder.chain(builder.genesis, 3) {
        shell.own(&block);
    }
    assert_eq!(open(&builder.spec, &shell.store), "");
    let other = Arc::new(regtest(&[&Wallet::new(2)]));
    assert!(open(&other, &shell.store).contains("has no parent"));
    // A change set that is not the block's: the root tells.
    let head = shell.node.head();
    let mut broken = shell.store.clone();
    let executed = chain::store::ExecutedBlock {
        id: head,
        changes: Arc::default(),
        receipts: Arc::default(),
        parties: Arc::default(),
    };
    let batch = Batch {
        executed: vec![executed],
        ..Batch::default()
    };
    broken.commit(&batch).unwrap();
    let error = open(&builder.spec, &broken);
    assert!(
        error.contains("root") && error.contains(&head.hash.to_string()),
        "{error}"
    );
}

/// Rule F2: of many siblings that came before their parent, the best alone is executed.
#[test]
fn f2_only_the_best_sibling_is_executed() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let mut shell = Shell::new(&builder.spec);
    let transactions = heavy(&wallet);
    let first = builder.mine_with(builder.genesis, &transactions);
    let blocks: Vec<_> = (0..34).map(|_| builder.mine(hash(&first))).collect();
    for block in blocks.iter().chain([&first]) {
        let block = block.clone();
        shell.step(Input::Block {
            from: Some(Peer(1)),
            block,
        });
    }
    shell.settle();
    let best = blocks
        .iter()
        .map(hash)
        .min_by_key(BlockHash::number)
        .unwrap();
    assert_eq!(shell.head(), best);
    assert_eq!(
        shell.ledger.executions(),
        2,
        "the best first, and then none is better"
    );
    shell.assert_head_is_best_held();
}
