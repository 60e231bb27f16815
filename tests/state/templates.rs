//! M7: a template of whatever a pool offers is a valid block, filled as far as its limits allow.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use chain::{
    Block, ChainSpec, CheckedBlock, CheckedTransaction, Execution, Header, Time,
    pool::{Pool, PoolContext, Source},
    rules::{self, Parent},
    template::{self, TemplateOptions, TemplateParent},
};
use proptest::{collection::vec, prelude::*};
use state::{Evm, State};

use crate::support::{Content, GWEI, LGN, Wallet, call, spec, state_of};

const CHAIN_ID: u64 = 1338;
const WALLETS: u8 = 4;

/// A chain's latest block and the state after it.
#[derive(Clone)]
struct Head {
    numbers: Parent,
    state: State,
}

struct World {
    spec: ChainSpec,
    evm: Evm,
    wallets: Vec<Wallet>,
    pool: Pool,
    heads: Vec<Head>,
}

impl World {
    fn new(wallets: u8, gas_limit: u64, block_bytes: u32) -> Self {
        let mut spec = spec(CHAIN_ID, LGN);
        (spec.base.gas_limit, spec.base.block_bytes_max) = (gas_limit, block_bytes);
        let (evm, wallets) = (
            Evm::new(),
            (0..wallets).map(Wallet::new).collect::<Vec<_>>(),
        );
        let funded = wallets
            .iter()
            .map(|wallet| (wallet.address, Content::funded(9 * LGN)));
        let state = state_of(&funded.collect::<BTreeMap<_, _>>());
        let genesis = spec.genesis(evm.root(&state)).header;
        let numbers = Parent::new(&genesis, genesis.hash());
        Self {
            spec,
            evm,
            wallets,
            pool: Pool::default(),
            heads: vec![Head { numbers, state }],
        }
    }

    fn head(&self) -> &Head {
        self.heads.last().unwrap()
    }

    fn context(&self) -> PoolContext {
        PoolContext {
            gas_limit: self.spec.base.gas_limit,
            base_fee_min: self.spec.base.base_fee_min,
            base_fee: rules::next_base_fee(&self.spec, &self.head().numbers),
            now: Time::default(),
        }
    }

    fn offer(&mut self, transaction: &CheckedTransaction) {
        let account = self.evm.account(&self.head().state, &transaction.sender());
        // What the pool refuses is none of this test's business.
        let _ = self.pool.insert(
            transaction,
            account.as_ref(),
            &self.context(),
            Source::Reorg,
        );
    }

    /// The next block, checked as every node checks it, and the state after it.
    fn next(&self) -> (CheckedBlock, Head) {
        let (head, none, snapshot) = (self.head(), |_| None, self.pool.snapshot());
        let base_fee = rules::next_base_fee(&self.spec, &head.numbers);
        let parent = TemplateParent {
            numbers: head.numbers,
            skip: Default::default(),
        };
        let options = TemplateOptions {
            beneficiary: Address::repeat_byte(0xbe),
            extra_data: [0; 32],
            now_unix_secs: u64::from(head.numbers.time) + 1,
        };
        let (spec, evm, state) = (&self.spec, &self.evm, &head.state);
        let ready = snapshot.ready(base_fee);
        let block = template::build(spec, evm, &parent, state, ready, &none, &options).unwrap();
        let block = Block {
            header: mined(block.header),
            ..block
        };
        let checked = CheckedBlock::check(block, spec).expect("valid without its state");
        let header = checked.header().header();
        let env = template::env(spec, header, &none);
        let run = evm
            .execute(state, &env, checked.transactions())
            .expect("T4 to T7 hold");
        assert_eq!(run.state_root, header.extension.state_root);
        assert_eq!(run.gas_used, header.extension.gas_used);
        assert_eq!(
            chain::receipt::receipts_root(&run.receipts),
            header.extension.receipts_root
        );
        // Nothing that the pool offers would still fit.
        let mut rest = env;
        rest.gas_limit -= run.gas_used;
        let bytes_left = spec.base.block_bytes_max - header.extension.body_bytes + 8;
        let (_, more) = evm.select(&run.state, &rest, snapshot.ready(base_fee), bytes_left);
        assert!(
            more.is_empty(),
            "the block has room for {} more",
            more.len()
        );
        let numbers = Parent::new(header, header.hash());
        let state = run.state;
        (checked, Head { numbers, state })
    }

    /// The chain goes on, or is another one; the pool hears of it.
    fn move_to(&mut self, heads: Vec<Head>) {
        self.heads = heads;
        for wallet in &self.wallets {
            let account = self
                .evm
                .account(&self.heads.last().unwrap().state, &wallet.address);
            let (now, nowhere) = (Time::default(), &|_: &_| None);
            self.pool
                .account_changed(&wallet.address, account.as_ref(), nowhere, now);
        }
    }
}

/// Its proof of work; on this network every second hash has it.
fn mined(header: Header) -> Header {
    let mut header = Header::sealed(header.pow, header.extension);
    let target = header.pow.bits.target().unwrap();
    while !target.is_met_by(&header.hash()) {
        header.pow.nonce += 1;
    }
    header
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Send {
        from: usize,
        ahead: u64,
        gas: u64,
        bytes: usize,
        tip: u128,
        milli: u128,
    },
    Mine,
    /// A block of nobody's that the pool has not heard of yet when the next template is made.
    MineUnheard,
    /// Blocks are undone, and what was in them comes back.
    Fork {
        depth: usize,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bytes = prop_oneof![3 => Just(0_usize), 1 => 1_usize..900];
    let gas = prop_oneof![3 => Just(21_000_u64), 1 => 21_000_u64..400_000];
    let send = (0_usize..4, 0_u64..4, gas, bytes, 0_u128..60, 0_u128..4_000);
    let send = send.prop_map(|(from, ahead, gas, bytes, tip, milli)| Op::Send {
        from,
        ahead,
        gas,
        bytes,
        tip,
        milli,
    });
    let fork = (1_usize..4).prop_map(|depth| Op::Fork { depth });
    vec(
        prop_oneof![14 => send, 3 => Just(Op::Mine), 1 => Just(Op::MineUnheard), 1 => fork],
        1..60,
    )
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Send {
                from,
                ahead,
                gas,
                bytes,
                tip,
                milli,
            } => {
                let wallet = &self.wallets[from];
                let nonce = self.evm.account(&self.head().state, &wallet.address);
                let nonce = nonce.map_or(0, |account| account.nonce) + ahead;
                let to = self.wallets[(from + 1) % self.wallets.len()].address;
                let mut tx = call(nonce, to, milli * LGN / 1_000, &vec![7; bytes]);
                tx.gas_limit = gas.max(21_000 + 40 * bytes as u64);
                tx.max_priority_fee_per_gas = GWEI * (100 + tip) / 100;
                let tx = wallet.sign(tx, CHAIN_ID);
                self.offer(&tx);
            }
            Op::Mine => {
                let (_, head) = self.next();
                let heads = [self.heads.as_slice(), &[head]].concat();
                self.move_to(heads);
            }
            Op::MineUnheard => {
                let (_, head) = self.next();
                self.heads.push(head);
                self.next();
                self.move_to(self.heads.clone());
            }
            Op::Fork { depth } => {
                let kept = self.heads.len().saturating_sub(depth).max(1);
                self.move_to(self.heads[..kept].to_vec());
            }
        }
        self.next();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn m7_templates_of_random_pools_and_forks_are_valid_and_full(
        ops in ops(), gas_limit in prop_oneof![21_000_u64..300_000, Just(30_000_000)],
        block_bytes in prop_oneof![200_u32..3_000, Just(1 << 20)],
    ) {
        let mut world = World::new(WALLETS, gas_limit, block_bytes);
        ops.into_iter().for_each(|op| world.apply(op));
    }
}

/// More transfers than any fixed number of candidates would have offered; then fewer bytes.
#[test]
fn m7_blocks_of_any_limit_are_filled() {
    let (count, gas) = (3_400, 21_000);
    let mut world = World::new(60, 70_000_000, 2 << 20);
    for number in 0..count {
        let wallet = &world.wallets[number % 60];
        let mut tx = call((number / 60) as u64, Address::ZERO, 1, &[]);
        tx.gas_limit = gas;
        let tx = wallet.sign(tx, CHAIN_ID);
        world.offer(&tx);
    }
    assert_eq!(world.pool.snapshot().pending(), count);
    assert_eq!(world.next().0.transactions().len() as u64, 70_000_000 / gas);
    world.spec.base.block_bytes_max = 200_000;
    let (block, _) = world.next();
    let bytes = block.header().header().extension.body_bytes;
    assert!((199_850..=200_000).contains(&bytes), "{bytes}");
}
