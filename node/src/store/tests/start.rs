//! How long a start takes. Sizes come from the environment, and times are printed, not asserted:
//!
//! `START_BLOCKS=100000 START_ACCOUNTS=0 cargo test --release -p lignum-node start_up -- --nocapture`

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use chain::{
    Account, Batch, Block, Body, ChainSpec, ChangeSet, Execution, Header, Node, Store, U256,
    execution::AccountChange,
    header::{Extension, PowHeader},
    store::ExecutedBlock,
};
use state::{Evm, State, allocation};

use super::{super::RedbStore, Directory, Disk, Founding, id, joined, moved};

/// New accounts in a block.
const PER_BLOCK: usize = 8_000;

fn size(name: &str, otherwise: usize) -> usize {
    let text = env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A chain that is stored, not executed: its change sets and state roots are right.
struct Maker {
    parent: Header,
    state: State,
    made: u64,
}

impl Maker {
    fn next(&mut self, accounts: usize) -> ExecutedBlock {
        let mut changes = Vec::with_capacity(accounts);
        for _ in 0..accounts {
            self.made += 1;
            let mut address = [0; 20];
            address[..8]
                .copy_from_slice(&self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            address[8..16].copy_from_slice(&self.made.to_be_bytes());
            let account = Account {
                balance: u128::from(self.made),
                ..Account::default()
            };
            changes.push(AccountChange {
                address,
                old: None,
                new: Some(account),
            });
        }
        changes.sort_unstable_by_key(|change| change.address);
        let changes = ChangeSet {
            accounts: changes,
            ..ChangeSet::default()
        };
        self.state = Evm::new().apply(&self.state, &changes);
        let extension = Extension {
            height: self.parent.extension.height + 1,
            chain_work: self.parent.extension.chain_work + U256::from(2),
            state_root: self.state.root(),
            ..self.parent.extension.clone()
        };
        let pow = PowHeader {
            parent: self.parent.hash(),
            time: self.parent.pow.time + 1,
            ..self.parent.pow
        };
        self.parent = Header::sealed(pow, extension);
        let block = Block {
            header: self.parent.clone(),
            body: Body::default(),
        };
        ExecutedBlock {
            id: id(&block),
            changes: Arc::new(changes),
            receipts: Arc::default(),
            parties: Arc::default(),
        }
    }

    fn batch(&mut self, blocks: usize, accounts: usize) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..blocks {
            let executed = self.next(accounts);
            let block = Block {
                header: self.parent.clone(),
                body: Body::default(),
            };
            batch.append(joined(&[&block]));
            let mut moved = moved(&[], &[&block]);
            moved.executed = vec![executed];
            batch.append(moved);
        }
        batch
    }
}

/// Time that this thread was on a processor, where the system tells.
fn on_cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// Times of one start: the store, the state out of it, the node on both.
fn start(disk: &Disk, spec: &Arc<ChainSpec>, founding: &Founding) -> [Duration; 3] {
    let (begin, cpu) = (Instant::now(), on_cpu());
    let medium = Arc::new(Directory::of(&disk.file()));
    let store = RedbStore::open(medium, founding.clone(), None).unwrap();
    let opened = begin.elapsed();
    let (checkpoint, state) = store.state().unwrap();
    let loaded = begin.elapsed();
    let reader = store.snapshot().unwrap();
    let base = Some((checkpoint.hash, state));
    let node = Node::open_at(Arc::clone(spec), Evm::new(), base, &reader).unwrap();
    let whole = begin.elapsed();
    assert!(node.head().height > 0);
    println!("on a processor for {:?}", on_cpu() - cpu);
    [opened, loaded - opened, whole - loaded]
}

#[test]
fn a_start_up_from_a_checkpoint() {
    let text = ChainSpec::builtin("regtest").unwrap();
    let spec = Arc::new(ChainSpec::parse(text).unwrap().spec);
    let (genesis, batch) = Node::genesis(&spec, &Evm::new());
    let founding = Founding {
        genesis: genesis.header.hash(),
        network: "regtest".into(),
        batch,
        allocation: allocation(&spec),
    };
    let disk = Disk::new();
    let medium = Arc::new(Directory::of(&disk.file()));
    let mut store = RedbStore::open(medium, founding.clone(), None).unwrap();
    let mut maker = Maker {
        parent: genesis.header,
        state: Evm::new().genesis(&spec),
        made: 0,
    };
    let (blocks, accounts) = (size("START_BLOCKS", 200), size("START_ACCOUNTS", 20_000));
    for _ in 0..accounts / PER_BLOCK {
        store.commit(&maker.batch(1, PER_BLOCK)).unwrap();
    }
    for _ in 0..blocks / 50 {
        store.commit(&maker.batch(50, 1)).unwrap();
    }
    drop(store);
    for _ in 0..3 {
        let [opened, loaded, node] = start(&disk, &spec, &founding);
        println!("store {opened:?}, state {loaded:?}, node {node:?}");
    }
    let medium = Arc::new(Directory::of(&disk.file()));
    let store = RedbStore::open(medium, founding, None).unwrap();
    let begin = Instant::now();
    let reader = store.snapshot().unwrap();
    let node = Node::open(spec, Evm::new(), &reader).unwrap();
    println!("from the genesis block: {:?}", begin.elapsed());
    assert_eq!(node.head_state().root(), maker.state.root());
}
