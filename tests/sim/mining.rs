//! Miners: block times are drawn from the exponential law by hash rate and difficulty, and the
//! proof itself is found with a few hashes, since the spec's limit is easy.

use std::sync::Arc;

use chain::{Block, Input, rules, template};

use super::{
    support::{builder::mined, ledger::Ledger},
    world::{Event, World},
};

impl World {
    pub fn set_hash_rate(&mut self, at: usize, millihashes: u64) {
        let miner = &mut self.miners[at];
        miner.millihashes = millihashes;
        miner.turn += 1;
        self.draw_block(at);
    }

    /// Draws when a miner finds its next block: its hash rate against the difficulty.
    pub fn draw_block(&mut self, at: usize) {
        let (host, rate, turn) = {
            let miner = &self.miners[at];
            (miner.host, miner.millihashes, miner.turn)
        };
        if rate == 0 || self.quiet {
            return;
        }
        let wait_ms = if self.is_up(host) {
            let parent = self.hosts[host].node().template_parent();
            let time = parent.numbers.time;
            let header = rules::child(&self.model.spec, &parent.numbers, parent.skip, time);
            let target = header
                .and_then(|header| header.pow.bits.target())
                .expect("a target");
            let hashes = u64::try_from(target.work()).unwrap_or(u64::MAX);
            self.rng
                .exponential(hashes.saturating_mul(1_000_000) / rate)
        } else {
            1_000
        };
        self.after(wait_ms.max(1), Event::Mine { miner: at, turn });
    }

    pub fn mine(&mut self, at: usize, turn: u64) {
        if self.miners[at].turn != turn || self.quiet {
            return;
        }
        let host = self.miners[at].host;
        let awake = self.hosts[host].asleep_until_ms <= self.now_ms;
        if self.is_up(host) && awake {
            self.mine_on(host);
        }
        self.draw_block(at);
    }

    /// A block from the node's own template, through its bytes and its check.
    fn mine_on(&mut self, at: usize) {
        let host = &self.hosts[at];
        let (node, spec) = (host.node(), Arc::clone(&self.model.spec));
        let parent = node.template_parent();
        let base_fee = rules::next_base_fee(&spec, &parent.numbers);
        let candidates = node.pool().candidates(base_fee, 50);
        let mut extra_data = [0; 32];
        extra_data[..8].copy_from_slice(&(self.model.blocks.len() as u64).to_be_bytes());
        let options = template::TemplateOptions {
            beneficiary: chain::Address::repeat_byte(at as u8 + 1),
            extra_data,
            now_unix_secs: host.now(self.now_ms).unix_secs,
        };
        let (ledger, none, state) = (Ledger::fresh(), |_| None, node.head_state());
        let block = template::build(&spec, &ledger, &parent, state, &candidates, &none, &options);
        let block = block.expect("the chain goes on");
        let block = Block {
            header: mined(block.header),
            body: block.body,
        };
        let block = Block::decode(&block.encode()).expect("what a node makes can be read");
        let checked = self
            .wire
            .block(block.clone(), &spec)
            .expect("a template is valid");
        self.model.adopt(&block, checked.transactions());
        let from = None;
        self.input(
            at,
            Input::Block {
                from,
                block: checked,
            },
        );
    }
}
