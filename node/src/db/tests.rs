//! Imports: the same store whatever the pace, a bad block named, the rest gone on with.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    path::Path,
    sync::Arc,
};

use chain::{
    Address, Batch, Block, BlockHash, ChainSpec, CheckedTransaction, Reader, Store, hash::sha256,
};
use wallet::{
    Key,
    sign::{Transfer, sign_transfer},
};

use super::{
    ahead::{Ahead, Limits},
    import::{Importer, Pace, Refused, Source, Taken},
};
use crate::{
    budget::Budget,
    failure::{Exit, Failure},
    network::Network,
    store::{
        RedbStore,
        opened::{How, Opened},
    },
};

#[path = "../../../tests/support/maker.rs"]
mod maker;

use maker::{Maker, mined};

/// Blocks of the best chain.
const BLOCKS: usize = 100;
/// Where a side branch leaves it, and where that ends: at this height it was the best for a while.
const FORK: usize = 80;
const SIDE: usize = 6;
/// Transfers in each block.
const EACH: usize = 5;

fn key(number: u8) -> Key {
    Key::from_secret(&sha256(&[number])).unwrap()
}

/// With so many accounts that nobody uses.
fn network(idle: u32) -> Network {
    let text = ChainSpec::builtin("regtest").unwrap();
    let mut spec: serde_json::Value = serde_json::from_str(text).unwrap();
    for number in 0..4 {
        let address = key(number).address().to_string();
        spec["alloc"][address] = serde_json::json!({ "balance": "1000000000000000000000" });
    }
    for number in 1..=idle {
        spec["alloc"][format!("0x{number:040x}")] = serde_json::json!({ "balance": "1" });
    }
    Network::parse("regtest", &spec.to_string()).unwrap()
}

/// A chain with a side branch that is undone again, in the order in which it came.
struct Chain {
    network: Network,
    maker: Maker,
    blocks: Vec<Block>,
    nonces: [u64; 4],
}

impl Chain {
    fn on(network: Network) -> Self {
        let maker = Maker::new(Arc::new(network.spec.clone()));
        Self {
            network,
            maker,
            blocks: Vec::new(),
            nonces: [0; 4],
        }
    }

    fn new() -> Self {
        let mut chain = Self::on(network(0));
        chain.grow(FORK, 1);
        let (at, nonces) = (chain.tip(), chain.nonces);
        chain.grow(SIDE, 2);
        let side = chain.blocks.split_off(FORK);
        chain.nonces = nonces;
        assert_eq!(chain.tip(), at);
        chain.grow(BLOCKS - FORK, 3);
        // The side branch comes first, so that the head leaves it again.
        chain.blocks.splice(FORK..FORK, side);
        chain
    }

    fn tip(&self) -> BlockHash {
        let last = self.blocks.last();
        last.map_or(self.maker.genesis, |block| block.header.hash())
    }

    fn grow(&mut self, count: usize, tag: u8) {
        for _ in 0..count {
            let pay = |number| {
                let from: usize = number % self.nonces.len();
                let nonce = self.nonces[from];
                let to = Address::repeat_byte(u8::try_from(nonce % 7).unwrap() + tag);
                self.pay(from, to)
            };
            let transactions = (0..EACH).map(pay).collect::<Vec<_>>();
            self.put(&transactions, tag);
        }
    }

    /// A block whose transfers make as many new accounts.
    fn grow_fresh(&mut self, tag: u8) {
        let pay = |number: u8| {
            let mut to = [0xaa; 20];
            to[..2].copy_from_slice(&[tag, number]);
            self.pay(usize::from(number) % self.nonces.len(), to.into())
        };
        let transactions = (0..20).map(pay).collect::<Vec<_>>();
        self.put(&transactions, 1);
    }

    fn put(&mut self, transactions: &[CheckedTransaction], tag: u8) {
        let parent = self.tip();
        let to = Address::repeat_byte(tag);
        let block = self.maker.block(parent, transactions, to);
        self.blocks.push(block);
    }

    fn pay(&mut self, from: usize, to: Address) -> CheckedTransaction {
        let nonce = self.nonces[from];
        self.nonces[from] += 1;
        let transfer = Transfer {
            chain_id: 1338,
            nonce,
            to,
            value: 1,
            gas_limit: 21_000,
            max_fee: 100_000_000_000,
            tip: 1_000_000_000,
            input: Vec::new(),
        };
        let bytes = sign_transfer(&key(u8::try_from(from).unwrap()), &transfer);
        CheckedTransaction::check(&bytes, 1338).unwrap()
    }

    fn open(&self, directory: &Path) -> Opened {
        Opened::open(directory, Some(self.network.clone()), How::default()).unwrap()
    }
}

/// Blocks from memory, and perhaps a source that fails.
struct Memory {
    blocks: VecDeque<Block>,
    end: Option<&'static str>,
}

impl Memory {
    fn of(blocks: &[Block]) -> Self {
        Self {
            blocks: blocks.iter().cloned().collect(),
            end: None,
        }
    }
}

impl Source for Memory {
    fn next(&mut self) -> Result<Option<Block>, Failure> {
        match (self.blocks.pop_front(), self.end) {
            (None, Some(reason)) => Err(Failure::new(Exit::Other, reason)),
            (block, _) => Ok(block),
        }
    }
}

fn pace(ahead: usize, bytes: usize, threads: usize, commit: usize) -> Pace {
    Pace {
        ahead: Limits {
            blocks: ahead,
            bytes,
            threads,
        },
        commit_blocks: commit,
        commit_bytes: bytes,
        ..Pace::default()
    }
}

/// Takes blocks; what became of them, and the store.
fn take(opened: Opened, source: &mut Memory, pace: Pace) -> (Result<Taken, String>, RedbStore) {
    take_within((Budget::default(), Refused::Stops), opened, source, pace)
}

fn take_within(
    (budget, refused): (Budget, Refused),
    opened: Opened,
    source: &mut Memory,
    pace: Pace,
) -> (Result<Taken, String>, RedbStore) {
    let mut importer = Importer::new(opened.node, opened.store, budget, pace).unwrap();
    let taken = importer.take(source, refused);
    (
        taken.map_err(|failure| failure.to_string()),
        importer.into_store(),
    )
}

/// All that a reader can be told, as text.
fn dump(store: &RedbStore) -> String {
    let reader = store.snapshot().unwrap();
    let mut headers = Vec::new();
    let mut note = |header: Arc<chain::Header>, stage| headers.push((header.hash(), stage));
    reader.for_each_header(&mut note).unwrap();
    headers.sort_unstable();
    let mut text = format!("{:?}\n", reader.head().unwrap());
    let mut accounts = BTreeMap::new();
    for (hash, stage) in headers {
        let body = reader.body(&hash).unwrap();
        let changes = reader.changes(&hash).unwrap();
        let receipts = reader.receipts(&hash).unwrap();
        writeln!(text, "{hash} {stage:?} {body:?} {changes:?} {receipts:?}").unwrap();
        for bytes in body.iter().flat_map(|body| &body.0) {
            let transaction = CheckedTransaction::check(bytes, 1338).unwrap();
            let place = reader.transaction(&transaction.hash()).unwrap();
            writeln!(text, "{} {place:?}", transaction.hash()).unwrap();
            accounts.insert(transaction.sender(), ());
            accounts.insert(transaction.to().unwrap(), ());
        }
    }
    for height in 0..=BLOCKS as u64 + 1 {
        writeln!(text, "{height} {:?}", reader.canonical(height).unwrap()).unwrap();
    }
    for account in accounts.keys() {
        let history = reader.history(account, None, 10_000).unwrap();
        writeln!(text, "{account} {history:?}").unwrap();
    }
    text
}

#[test]
fn a_store_is_the_same_whatever_the_pace() {
    let chain = Chain::new();
    let many = usize::MAX;
    let mut dumps = Vec::new();
    for pace in [
        pace(1, 1, 1, 1),
        pace(3, many, 2, 7),
        pace(64, 3_000, 4, 256),
        Pace::default(),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut source = Memory::of(&chain.blocks);
        let (taken, store) = take(chain.open(place.path()), &mut source, pace);
        let new = (BLOCKS + SIDE) as u64;
        let want = Taken {
            new,
            ..Taken::default()
        };
        assert_eq!(taken, Ok(want));
        drop(store);
        // The state's root is compared with the header's when the directory is opened.
        let again = chain.open(place.path());
        assert_eq!(again.node.head().hash, chain.tip());
        dumps.push(dump(&again.store));
    }
    assert!(dumps.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A block whose execution is not what its header says, on the way of a good chain.
fn with_wrong_state(block: &Block) -> Block {
    let mut bad = block.clone();
    bad.header.extension.state_root.0[0] ^= 1;
    bad.header = mined(bad.header);
    bad
}

/// One that fails the stateless check already.
fn with_wrong_body(block: &Block) -> Block {
    let mut bad = block.clone();
    bad.body.0.pop();
    bad
}

#[test]
fn a_bad_block_is_named_and_what_was_before_it_is_kept() {
    let chain = Chain::new();
    let at = 41;
    let good = &chain.blocks[at];
    for bad in [with_wrong_state(good), with_wrong_body(good)] {
        for pace in [pace(1, 1, 1, 1), Pace::default()] {
            let place = tempfile::tempdir().unwrap();
            let mut blocks = chain.blocks.clone();
            blocks[at] = bad.clone();
            let opened = chain.open(place.path());
            let (taken, store) = take(opened, &mut Memory::of(&blocks), pace);
            let (told, height) = (taken.unwrap_err(), at + 1);
            let named = format!("block {height} {} is not valid", bad.header.hash());
            assert!(told.starts_with(&named), "{told}");
            drop(store);
            let again = chain.open(place.path());
            assert_eq!(again.node.head().height, at as u64);
            // The good one in its place, and what follows.
            let mut source = Memory::of(&chain.blocks);
            let (taken, store) = take(again, &mut source, Pace::default());
            let taken = taken.unwrap();
            assert_eq!((taken.known, taken.refused), (at as u64, 0));
            assert_eq!(dump(&store).lines().next(), dump_head(&chain).as_deref());
        }
    }
}

fn dump_head(chain: &Chain) -> Option<String> {
    let header = &chain.blocks.last()?.header;
    let head = chain::BlockId {
        height: header.extension.height,
        hash: header.hash(),
    };
    Some(format!("{:?}", Some(head)))
}

#[test]
fn what_comes_before_the_end_of_a_broken_source_is_kept() {
    let chain = Chain::new();
    let place = tempfile::tempdir().unwrap();
    let mut source = Memory::of(&chain.blocks[..10]);
    source.end = Some("cut off");
    let (taken, store) = take(chain.open(place.path()), &mut source, Pace::default());
    assert_eq!(taken, Err("cut off".to_owned()));
    let head = store.snapshot().unwrap().head().unwrap().unwrap();
    assert_eq!(head.hash, chain.blocks[9].header.hash());
}

/// Threat X2: an import ends at its budget after a commit, and goes on with a larger one.
#[test]
fn a_state_beyond_its_budget_ends_an_import_between_commits() {
    const EACH_COMMIT: usize = 4;
    let mut chain = Chain::on(network(3_000));
    for number in 0..BLOCKS {
        // Each pays others, who are new.
        chain.grow_fresh(u8::try_from(number).unwrap());
    }
    for refused in [Refused::Stops, Refused::IsPassedOver] {
        let place = tempfile::tempdir().unwrap();
        let mut source = Memory::of(&chain.blocks);
        let tight = Budget::of_mib(1);
        let pace = pace(64, usize::MAX, 2, EACH_COMMIT);
        let (taken, store) = take_within(
            (tight, refused),
            chain.open(place.path()),
            &mut source,
            pace,
        );
        let told = taken.unwrap_err();
        assert!(told.contains("more than its budget of 1.0 MiB"), "{told}");
        let head = store.snapshot().unwrap().head().unwrap().unwrap();
        let height = usize::try_from(head.height).unwrap();
        assert!(height > 0 && height < BLOCKS && height.is_multiple_of(EACH_COMMIT));
        assert_eq!(head.hash, chain.blocks[height - 1].header.hash());
        drop(store);
        let mut source = Memory::of(&chain.blocks);
        let (taken, _) = take(chain.open(place.path()), &mut source, pace);
        let want = Taken {
            new: (BLOCKS - height) as u64,
            known: height as u64,
            ..Taken::default()
        };
        assert_eq!(taken, Ok(want));
    }
}

/// Of a node that has synced its headers first.
#[test]
fn blocks_whose_headers_are_here_are_committed_as_often() {
    let chain = Chain::new();
    let blocks = &chain.blocks[..FORK];
    let place = tempfile::tempdir().unwrap();
    let mut opened = chain.open(place.path());
    let headers = blocks.iter().map(|block| Arc::new(block.header.clone()));
    let headers = headers.collect();
    opened
        .store
        .commit(&Batch {
            headers,
            ..Batch::default()
        })
        .unwrap();
    drop(opened);
    let opened = chain.open(place.path());
    let (budget, pace) = (Budget::default(), pace(64, usize::MAX, 2, 8));
    let mut importer = Importer::new(opened.node, opened.store, budget, pace).unwrap();
    let taken = importer.take(&mut Memory::of(blocks), Refused::Stops);
    assert_eq!(taken.unwrap().new, FORK as u64);
    assert_eq!(importer.times().commits.len(), FORK / 8);
    assert_eq!(importer.node().head().height, FORK as u64);
}

/// Blocks that do not descend from one that is passed over are taken.
#[test]
fn the_rest_of_a_source_is_taken_where_bad_blocks_are_passed_over() {
    let chain = Chain::new();
    let at = 41;
    let good = &chain.blocks[at];
    for bad in [with_wrong_state(good), with_wrong_body(good)] {
        let place = tempfile::tempdir().unwrap();
        let mut blocks = chain.blocks.clone();
        blocks.insert(at, bad);
        let opened = chain.open(place.path());
        let how = (Budget::default(), Refused::IsPassedOver);
        let (taken, store) = take_within(how, opened, &mut Memory::of(&blocks), Pace::default());
        let want = Taken {
            new: (BLOCKS + SIDE) as u64,
            refused: 1,
            ..Taken::default()
        };
        assert_eq!(taken, Ok(want));
        assert_eq!(dump(&store).lines().next(), dump_head(&chain).as_deref());
    }
}

/// What was found invalid once is not counted as imported the next time.
#[test]
fn an_invalid_block_stays_invalid() {
    let chain = Chain::new();
    let place = tempfile::tempdir().unwrap();
    let mut blocks = chain.blocks[..10].to_vec();
    blocks[9] = with_wrong_state(&blocks[9]);
    for _ in 0..2 {
        let opened = chain.open(place.path());
        let (taken, _) = take(opened, &mut Memory::of(&blocks), Pace::default());
        let told = taken.unwrap_err();
        let named = format!("block 10 {} is not valid", blocks[9].header.hash());
        assert!(told.starts_with(&named), "{told}");
    }
}

#[test]
fn checks_ahead_are_bounded_and_come_back_in_their_order() {
    let chain = Chain::new();
    let spec = Arc::new(chain.network.spec.clone());
    let bytes = 3 * chain.blocks[0].body.encoded_len() - 1;
    // Three by their bytes, four by their number.
    for (bytes, want) in [(bytes, 3), (usize::MAX, 4)] {
        let limits = Limits {
            blocks: 4,
            bytes,
            threads: 3,
        };
        let mut ahead = Ahead::new(Arc::clone(&spec), limits).unwrap();
        let mut blocks = chain.blocks.iter().cloned();
        while ahead.has_room() {
            let block = blocks.next().unwrap();
            ahead.push(block.header.hash(), block);
        }
        assert_eq!(chain.blocks.len() - blocks.len(), want);
        let mut popped = Vec::new();
        while let Some(checked) = ahead.pop() {
            assert!(checked.result.is_ok());
            popped.push(checked.hash);
            if let Some(block) = blocks.next() {
                ahead.push(block.header.hash(), block);
            }
        }
        let hashes = chain.blocks.iter().map(|block| block.header.hash());
        assert_eq!(popped, hashes.collect::<Vec<_>>());
    }
}
