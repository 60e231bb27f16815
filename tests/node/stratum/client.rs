//! A miner written from Stratum's description alone: it shares no code with the node.
//!
//! It takes the coinbase for opaque bytes, folds the Merkle branch, puts the header together word by
//! word as mining programs do, and hashes with the `sha2` crate.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::PATIENCE;

/// A connected miner.
pub struct Miner {
    lines: BufReader<TcpStream>,
    calls: u64,
    /// Hex, as the server gave it.
    pub extranonce_1: String,
    pub extranonce_2_size: usize,
    /// The share difficulty told last.
    pub difficulty: f64,
    /// The job told last, and the difficulty that it came with.
    pub job: Option<Job>,
    jobs_seen: usize,
}

/// The parameters of `mining.notify`.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub previous: String,
    pub coinbase_1: String,
    pub coinbase_2: String,
    pub branch: Vec<String>,
    pub version: String,
    pub bits: String,
    pub time: String,
    pub clean: bool,
    pub difficulty: f64,
}

/// What a share consists of.
#[derive(Clone, Debug)]
pub struct Found {
    pub job: String,
    pub extranonce_2: String,
    pub time: String,
    pub nonce: String,
    pub version_bits: Option<String>,
    pub hash: [u8; 32],
}

pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number of the header, which Stratum writes most significant byte first.
fn reversed(text: &str) -> Vec<u8> {
    let mut bytes = unhex(text);
    assert_eq!(bytes.len(), 4);
    bytes.reverse();
    bytes
}

/// A hash as a number, near enough.
pub fn number(hash: &[u8; 32]) -> f64 {
    hash.iter()
        .rev()
        .fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

/// The target of a share difficulty.
pub fn share_target(difficulty: f64) -> f64 {
    65_535.0 * 2.0_f64.powi(208) / difficulty
}

/// The target of compact bits.
pub fn block_target(bits: &str) -> f64 {
    let bits = u32::from_str_radix(bits, 16).unwrap();
    let size = i32::try_from(bits >> 24).unwrap();
    f64::from(bits & 0x007f_ffff) * 256.0_f64.powi(size - 3)
}

impl Job {
    /// The 80 bytes but for time and nonce: what stands before them, and the bits between.
    fn prefix(&self, extranonce: &str, version_bits: u32) -> Vec<u8> {
        let coinbase = format!("{}{extranonce}{}", self.coinbase_1, self.coinbase_2);
        let root = self
            .branch
            .iter()
            .fold(sha256d(&unhex(&coinbase)), |root, beside| {
                sha256d(&[&root[..], &unhex(beside)].concat())
            });
        let version = u32::from_str_radix(&self.version, 16).unwrap() | version_bits;
        let mut header = version.to_le_bytes().to_vec();
        for word in unhex(&self.previous).chunks(4) {
            header.extend(word.iter().rev());
        }
        header.extend(root);
        header
    }
}

impl Miner {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            lines: BufReader::new(stream),
            calls: 0,
            extranonce_1: String::new(),
            extranonce_2_size: 0,
            difficulty: 1.0,
            job: None,
            jobs_seen: 0,
        }
    }

    /// Connects, subscribes and authorises.
    pub fn working(address: &str, name: &str) -> Self {
        let mut miner = Self::connect(address);
        miner.subscribe();
        let answer = miner.call("mining.authorize", &json!([name, "x"]));
        assert_eq!(answer["result"], true, "{answer}");
        miner.next_job();
        miner
    }

    pub fn subscribe(&mut self) {
        let answer = self.call("mining.subscribe", &json!(["independent/1.0"]));
        let result = answer["result"].as_array().unwrap();
        self.extranonce_1 = result[1].as_str().unwrap().to_owned();
        self.extranonce_2_size = usize::try_from(result[2].as_u64().unwrap()).unwrap();
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.lines.get_mut().write_all(bytes).is_ok()
    }

    /// Sends a call and gives its answer; what else comes meanwhile is taken in.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let line = json!({"id": id, "method": method, "params": params});
        assert!(self.write(format!("{line}\n").as_bytes()));
        loop {
            let line = self.read().expect("the server has closed the connection");
            if line["id"] == id {
                return line;
            }
        }
    }

    /// The next line; nothing where the server has closed the connection.
    pub fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        match line["method"].as_str() {
            Some("mining.set_difficulty") => {
                self.difficulty = line["params"][0].as_f64().unwrap();
            }
            Some("mining.notify") => self.take_job(&line["params"]),
            Some(other) => panic!("unknown notification {other}"),
            None => {}
        }
        Some(line)
    }

    fn take_job(&mut self, params: &Value) {
        let text = |at: usize| params[at].as_str().unwrap().to_owned();
        assert_eq!(params.as_array().unwrap().len(), 9, "{params}");
        let branch = params[4].as_array().unwrap().iter();
        self.job = Some(Job {
            id: text(0),
            previous: text(1),
            coinbase_1: text(2),
            coinbase_2: text(3),
            branch: branch.map(|it| it.as_str().unwrap().to_owned()).collect(),
            version: text(5),
            bits: text(6),
            time: text(7),
            clean: params[8].as_bool().unwrap(),
            difficulty: self.difficulty,
        });
        self.jobs_seen += 1;
    }

    /// Waits for a job that has not come yet.
    pub fn next_job(&mut self) -> Job {
        let seen = self.jobs_seen;
        while self.jobs_seen == seen {
            assert!(self.read().is_some(), "closed while waiting for a job");
        }
        self.job.clone().unwrap()
    }

    /// Searches the job for a hash of which something holds.
    pub fn search(
        &self,
        job: &Job,
        version_bits: Option<u32>,
        holds: impl Fn(f64) -> bool,
    ) -> Found {
        let deadline = Instant::now() + PATIENCE;
        for counter in 0_u64.. {
            let extranonce_2 = hex(&counter.to_be_bytes()[8 - self.extranonce_2_size.min(8)..]);
            let extranonce = format!("{}{extranonce_2}", self.extranonce_1);
            let mut header = job.prefix(&extranonce, version_bits.unwrap_or(0));
            header.extend(reversed(&job.time));
            header.extend(reversed(&job.bits));
            let start = Sha256::new_with_prefix(&header[..64]);
            for nonce in 0..1_000_000_u32 {
                let mut hasher = start.clone();
                hasher.update(&header[64..]);
                hasher.update(nonce.to_le_bytes());
                let hash: [u8; 32] = Sha256::digest(hasher.finalize()).into();
                if holds(number(&hash)) {
                    return Found {
                        job: job.id.clone(),
                        extranonce_2,
                        time: job.time.clone(),
                        nonce: format!("{nonce:08x}"),
                        version_bits: version_bits.map(|bits| format!("{bits:08x}")),
                        hash,
                    };
                }
            }
            assert!(Instant::now() < deadline, "nothing found");
        }
        unreachable!()
    }

    /// A share that is a block.
    pub fn find_block(&self, job: &Job, version_bits: Option<u32>) -> Found {
        let target = block_target(&job.bits);
        self.search(job, version_bits, |hash| hash <= target)
    }

    /// Hands a share in; the code of its refusal, or 0.
    pub fn submit(&mut self, name: &str, found: &Found) -> u64 {
        let mut params = vec![
            json!(name),
            json!(found.job),
            json!(found.extranonce_2),
            json!(found.time),
            json!(found.nonce),
        ];
        params.extend(found.version_bits.as_ref().map(|bits| json!(bits)));
        let answer = self.call("mining.submit", &json!(params));
        assert_eq!(
            answer["error"].is_null(),
            answer["result"] == true,
            "{answer}"
        );
        answer["error"][0].as_u64().unwrap_or(0)
    }

    /// Whether the server closes the connection within the patience of these tests.
    pub fn is_closed(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.read().is_none() {
                return true;
            }
        }
        false
    }

    /// Waits no longer than this for lines.
    pub fn patience(&mut self, patience: Duration) {
        let stream = self.lines.get_ref();
        stream.set_read_timeout(Some(patience)).unwrap();
    }
}
