//! The file that is imported: full blocks of signed transfers, made once and kept under `target/`.
//!
//! Written by what the documentation of the format says, not by the node's own writer.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use chain::{Address, Block, BlockHash, ChainSpec, CheckedTransaction, hash::sha256};
use rayon::prelude::*;
use serde_json::{Value, json};
use wallet::{
    Key,
    sign::{Transfer, sign_transfer},
};

use crate::maker::Maker;

/// Accounts that pay each other.
const ACCOUNTS: usize = 10_000;
/// Transfers in a block: as many as 30 million gas pay for, the limit of the built-in networks. The
/// limit is twice that here, so that blocks are at the target and the base fee stays where it is.
pub const PER_BLOCK: usize = 30_000_000 / 21_000;
/// Another one makes files of before stale.
const VERSION: u32 = 1;

/// A network and its blocks.
pub struct ChainFile {
    pub spec_path: PathBuf,
    pub path: PathBuf,
    pub spec: Arc<ChainSpec>,
    pub transfers: usize,
}

/// Blocks under way.
struct Payers {
    maker: Maker,
    head: BlockHash,
    keys: Vec<Key>,
    nonces: Vec<u64>,
    /// For the choice of who pays whom: the same in each run.
    seed: u64,
}

impl ChainFile {
    /// Opens the file with so many transfers, or makes it.
    pub fn open(directory: &Path, transfers: usize) -> Self {
        fs::create_dir_all(directory).unwrap();
        let spec_path = directory.join(format!("import-{VERSION}.json"));
        let keys: Vec<_> = (0..ACCOUNTS as u64).into_par_iter().map(key).collect();
        if !spec_path.exists() {
            fs::write(&spec_path, network(&keys).to_string()).unwrap();
        }
        let text = fs::read_to_string(&spec_path).unwrap();
        let spec = Arc::new(ChainSpec::parse(&text).unwrap().spec);
        let path = directory.join(format!("import-{VERSION}-{transfers}.blocks"));
        if !path.exists() {
            println!("making {transfers} transfers, once");
            Payers::new(Arc::clone(&spec), keys).write(&path, transfers);
        }
        Self {
            spec_path,
            path,
            spec,
            transfers,
        }
    }

    /// All blocks as they lie in the file.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let mut file = BufReader::new(File::open(&self.path).unwrap());
        file.read_exact(&mut [0; 40]).unwrap();
        let mut records = Vec::new();
        loop {
            let mut head = [0; 12];
            file.read_exact(&mut head).unwrap();
            let length = u32::from_le_bytes(*head.first_chunk().unwrap()) as usize;
            if length == 0 {
                return records;
            }
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes).unwrap();
            records.push(bytes);
        }
    }
}

fn key(number: u64) -> Key {
    Key::from_secret(&sha256(&number.to_le_bytes())).unwrap()
}

fn network(keys: &[Key]) -> Value {
    let funded = json!({ "balance": "1000000000000000000000" });
    let alloc = keys
        .iter()
        .map(|key| (key.address().to_string(), funded.clone()));
    json!({
        "config": { "chainId": 1338 },
        "timestamp": "1700000000",
        "gasLimit": "60000000",
        "baseFeePerGas": "1000000000",
        "lignum": {
            "spacing_secs": 1, "half_life_secs": 1_000_000_000,
            "pow_limit_bits": "0x207fffff", "genesis_bits": "0x207fffff",
            "reward_wei": "5000000000000000000", "halving_interval": 0,
            "block_bytes_max": 2_097_152, "base_fee_min": "1000000000", "dev": true,
        },
        "alloc": alloc.collect::<serde_json::Map<_, _>>(),
    })
}

impl Payers {
    fn new(spec: Arc<ChainSpec>, keys: Vec<Key>) -> Self {
        let maker = Maker::new(spec);
        Self {
            head: maker.genesis,
            maker,
            nonces: vec![0; keys.len()],
            keys,
            seed: 1,
        }
    }

    fn write(mut self, path: &Path, transfers: usize) {
        let temporary = path.with_extension("part");
        let mut file = BufWriter::new(File::create(&temporary).unwrap());
        file.write_all(b"LGNBLKS\x01").unwrap();
        file.write_all(&self.maker.genesis.0).unwrap();
        let (mut left, mut count) = (transfers, 0_u64);
        while left > 0 {
            let block = self.block(left.min(PER_BLOCK)).encode();
            record(&mut file, u32::try_from(block.len()).unwrap(), &block);
            left = left.saturating_sub(PER_BLOCK);
            count += 1;
        }
        record(&mut file, 0, &count.to_le_bytes());
        file.into_inner().unwrap().sync_all().unwrap();
        fs::rename(temporary, path).unwrap();
    }

    fn block(&mut self, count: usize) -> Block {
        let orders: Vec<_> = (0..count).map(|_| self.order()).collect();
        let sign = |(from, transfer): &(usize, Transfer)| {
            let bytes = sign_transfer(&self.keys[*from], transfer);
            CheckedTransaction::check(&bytes, 1338).unwrap()
        };
        let signed: Vec<_> = orders.par_iter().map(sign).collect();
        let block = self
            .maker
            .block(self.head, &signed, Address::repeat_byte(0xbe));
        self.head = block.header.hash();
        block
    }

    /// Somebody pays somebody else.
    fn order(&mut self) -> (usize, Transfer) {
        let from = self.draw();
        let to = self.draw();
        let nonce = self.nonces[from];
        self.nonces[from] += 1;
        let value = 1_000_000_000_000 + u128::from(self.seed % 1_000_000_007);
        let transfer = Transfer {
            chain_id: 1338,
            nonce,
            to: self.keys[to].address(),
            value,
            gas_limit: 21_000,
            max_fee: 10_000_000_000,
            tip: 1_000_000_000,
            input: Vec::new(),
        };
        (from, transfer)
    }

    /// Marsaglia's xorshift: no statistics rest on it.
    fn draw(&mut self) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        usize::try_from(bits % ACCOUNTS as u64).unwrap()
    }
}

fn record(file: &mut impl Write, length: u32, bytes: &[u8]) {
    file.write_all(&length.to_le_bytes()).unwrap();
    file.write_all(&sha256(bytes)[..8]).unwrap();
    file.write_all(bytes).unwrap();
}
