//! What happens to a pool in the laws that hold it against the naive model.

use chain::pool::Source;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
};

use crate::support::builder::{GWEI, LGN};

/// What can happen to a pool.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Insert {
        sender: usize,
        /// Above the account's nonce.
        ahead: u64,
        max_fee: u128,
        tip: u128,
        wei: u128,
        bytes: usize,
        source: Source,
    },
    /// A block takes the best ones, and the base fee changes.
    Mined {
        count: usize,
        base_fee: u64,
    },
    /// The same nonces were used by others, or the balance was spent or filled up.
    Account {
        sender: usize,
        nonce: u64,
        balance: u128,
    },
    /// The latest blocks are undone, and what was in them comes back. The branch in their place has
    /// used so many nonces of one sender.
    Undone {
        depth: usize,
        rival: usize,
        used: u64,
    },
    /// At the edge of what the rules allow, whatever the state, or one beyond it.
    Edge {
        sender: usize,
        ahead: u64,
        edge: Edge,
        beyond: u64,
        source: Source,
    },
    /// An account is a contract's now.
    Code {
        sender: usize,
    },
    /// The next block has other limits.
    Limits {
        gas_limit: u64,
        base_fee_min: u64,
    },
    Passed {
        secs: u64,
    },
    /// What is here comes again.
    Again {
        sender: usize,
        ahead: u64,
    },
    /// A nonce that is used already.
    Stale {
        sender: usize,
    },
    /// A user sends what may be here already.
    Durable {
        sender: usize,
        ahead: u64,
    },
    /// Many of one sender come back, up to all its places.
    Filled {
        ahead: u64,
        count: u64,
    },
}

/// A rule of which a transaction stands at the edge.
#[derive(Clone, Copy, Debug)]
pub enum Edge {
    /// The gas that it uses in any case.
    GasMin,
    /// The gas that any transaction may have.
    GasMax,
    /// The gas of a block.
    BlockGas,
    /// Bytes of creation code.
    Initcode,
    /// The tip, by the max fee.
    Tip,
    /// The least base fee.
    Fee,
}

/// What no state, or no sender, makes possible; and blocks with other limits.
fn odd_ops() -> impl Strategy<Value = Op> {
    let edge = prop_oneof![
        3 => Just(Edge::GasMin),
        2 => Just(Edge::GasMax),
        6 => Just(Edge::BlockGas),
        1 => Just(Edge::Initcode),
        3 => Just(Edge::Tip),
        4 => Just(Edge::Fee),
    ];
    let edge = (0_usize..4, 0_u64..3, edge, 0_u64..2, source());
    let edge = edge.prop_map(|(sender, ahead, edge, beyond, source)| Op::Edge {
        sender,
        ahead,
        edge,
        beyond,
        source,
    });
    let code = (0_usize..4).prop_map(|sender| Op::Code { sender });
    let gas_limit = prop_oneof![
        2 => Just(30_000_000_u64),
        1 => Just(16_777_215),
        1 => 29_999_u64..30_002,
    ];
    let limits = (gas_limit, 100_u64..130).prop_map(|(gas_limit, percent)| Op::Limits {
        gas_limit,
        base_fee_min: percent * 10_000_000,
    });
    prop_oneof![4 => edge, 1 => code, 2 => limits]
}

fn undone() -> impl Strategy<Value = Op> {
    let used = prop_oneof![2 => Just(0_u64), 1 => 1_u64..4];
    let undone = (1_usize..4, 0_usize..4, used);
    undone.prop_map(|(depth, rival, used)| Op::Undone { depth, rival, used })
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        3 => Just(Source::Peer),
        1 => Just(Source::User),
        1 => Just(Source::Journal),
    ]
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ahead = prop_oneof![8 => 0_u64..5, 1 => 14_u64..19];
    let bytes = prop_oneof![3 => 0_usize..30, 1 => 300_usize..700];
    let fees = (0_u128..12, 0_u128..12);
    let insert = (0_usize..4, ahead, fees, 0_u128..3, bytes, source());
    let insert = insert.prop_map(|(sender, ahead, fees, wei, bytes, source)| Op::Insert {
        sender,
        ahead,
        // Steps of 10 % and less, on both sides of the base fee.
        max_fee: GWEI * (100 + 15 * fees.0) / 100,
        tip: (GWEI * (5 * fees.1) / 100).min(GWEI),
        wei: wei * LGN,
        bytes,
        source,
    });
    let base_fee = 100_u64..260;
    let mined = (0_usize..4, base_fee).prop_map(|(count, percent)| Op::Mined {
        count,
        base_fee: percent * 10_000_000,
    });
    let changed = (0_usize..4, 0_u64..5, 0_u128..9);
    let changed = changed.prop_map(|(sender, nonce, balance)| Op::Account {
        sender,
        nonce,
        balance: balance * LGN,
    });
    let passed = prop_oneof![0_u64..900, 3_000_u64..90_000];
    let passed = passed.prop_map(|secs| Op::Passed { secs });
    let durable = (0_usize..4, 0_u64..3).prop_map(|(sender, ahead)| Op::Durable { sender, ahead });
    let again = (0_usize..4, 0_u64..3).prop_map(|(sender, ahead)| Op::Again { sender, ahead });
    let stale = (0_usize..4).prop_map(|sender| Op::Stale { sender });
    let op = prop_oneof![
        14 => insert, 2 => mined, 1 => changed, 1 => undone(), 1 => passed, 1 => durable,
        1 => again, 1 => stale, 3 => odd_ops(),
    ];
    vec(op, 1..60)
}

/// One sender at the limit of its places: gaps, what fills them, and what is behind them.
pub fn crowded_ops() -> impl Strategy<Value = Vec<Op>> {
    let filled = (0_u64..4, 58_u64..67).prop_map(|(ahead, count)| Op::Filled { ahead, count });
    let source = prop_oneof![
        Just(Source::User),
        Just(Source::Peer),
        Just(Source::Journal)
    ];
    let insert = (prop_oneof![3 => 0_u64..5, 1 => 55_u64..72], source);
    let insert = insert.prop_map(|(ahead, source)| Op::Insert {
        sender: 0,
        ahead,
        max_fee: 2 * GWEI,
        tip: GWEI,
        wei: 0,
        bytes: 0,
        source,
    });
    let mined = (0_usize..3).prop_map(|count| Op::Mined {
        count,
        base_fee: 1_000_000_000,
    });
    let rest = vec(prop_oneof![8 => insert, 1 => mined, 1 => undone()], 1..10);
    (filled, rest).prop_map(|(filled, mut rest)| {
        rest.insert(0, filled);
        rest
    })
}
