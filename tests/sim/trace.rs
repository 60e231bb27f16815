//! A run as one number: two runs of a seed are equal to the byte if their traces are.
//!
//! Every step's time, verdict and effects go in. For a comparison of two runs the effects are
//! written out whole; for the many, their names and hashes are enough.

use chain::{Effect, Input, Time, Verdict};

/// FNV-1a over all that a run's nodes did.
#[derive(Clone, Debug)]
pub struct Trace {
    pub hash: u64,
    /// The whole text of every effect goes in, not only its name.
    pub is_whole: bool,
    /// Every step is printed, for who looks into a failure.
    pub prints: bool,
}

impl Trace {
    pub fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            is_whole: false,
            prints: false,
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// What a node is about to be given.
    pub fn input(&self, host: usize, true_ms: u64, input: &Input) {
        if self.prints && !matches!(input, Input::Tick | Input::Continue) {
            println!("{true_ms} host {host}: {}", short(&format!("{input:?}")));
        }
    }

    /// One step of a node.
    pub fn step(&mut self, host: usize, now: Time, verdict: Verdict, effects: &[Effect]) {
        self.number(host as u64);
        self.number(now.monotonic_ms);
        self.number(now.unix_secs << 2 | verdict as u64);
        for effect in effects {
            if self.prints {
                println!("    {}", short(&format!("{effect:?}")));
            }
            if self.is_whole {
                self.bytes(format!("{effect:?}").as_bytes());
            } else {
                self.effect(effect);
            }
        }
    }

    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Commit(batch) => {
                self.number(1);
                for header in &batch.headers {
                    self.bytes(&header.pow.commitment[..8]);
                }
                for (id, _) in &batch.bodies {
                    self.bytes(&id.hash.0[..8]);
                }
                for executed in &batch.executed {
                    self.bytes(&executed.id.hash.0[..8]);
                }
                for hash in batch.pooled.keys().chain(batch.departed.keys()) {
                    self.bytes(&hash.0[..8]);
                }
                let rest = [
                    batch.dropped.len(),
                    batch.invalid.len(),
                    batch.canonical.len(),
                ];
                rest.iter().for_each(|count| self.number(*count as u64));
            }
            Effect::Send { to, request } => {
                self.number(2 + (to.0 << 4));
                self.bytes(&request.encode());
            }
            Effect::Serve { ticket, .. } => self.number(3 + (ticket.0 << 4)),
            Effect::Decline { ticket } => self.number(4 + (ticket.0 << 4)),
            Effect::AnnounceBlock(block) => {
                self.number(5);
                self.bytes(&block.id().hash.0[..8]);
            }
            Effect::AnnounceTransaction(transaction) => {
                self.number(6);
                self.bytes(&transaction.hash().0[..8]);
            }
            Effect::Reply { ticket, result } => {
                self.number(7 + (ticket.0 << 4) + (u64::from(result.is_ok()) << 3));
            }
            Effect::Load(hash) => {
                self.number(8);
                self.bytes(&hash.0[..8]);
            }
            Effect::Disconnect { peer, fault } => {
                self.number(9 + (peer.0 << 4));
                self.number(*fault as u64);
            }
            Effect::Publish(event) => {
                self.number(10);
                self.bytes(format!("{event:?}").as_bytes());
            }
            Effect::Continue => self.number(11),
        }
    }
}

/// The beginning of a long line.
fn short(text: &str) -> &str {
    text.get(..240).unwrap_or(text)
}
