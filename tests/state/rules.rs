//! The rules of a transaction's place in a block and of its reward, at their limits.

use std::collections::BTreeMap;

use alloy_consensus::{TxEip1559, TxEip2930};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use chain::{
    Account, ChainSpec, CheckedTransaction, Execution,
    params::{INITCODE_BYTES_MAX, TRANSACTION_GAS_MAX},
    spec::Allocation,
};
use proptest::prelude::*;
use state::{Evm, State};

use crate::support::{Content, GWEI, LGN, Wallet, call, env, spec, state_of};

const CHAIN_ID: u64 = 1338;
const SOMEBODY: Address = Address::repeat_byte(0x55);

fn transfer(nonce: u64, value: u128) -> TxEip1559 {
    let gas_limit = 21_000;
    TxEip1559 {
        gas_limit,
        ..call(nonce, SOMEBODY, value, &[])
    }
}

fn world(accounts: impl IntoIterator<Item = (Address, Content)>) -> State {
    state_of(&accounts.into_iter().collect::<BTreeMap<_, _>>())
}

/// The reason why the only transaction of block 1 is refused, if it is.
fn refusal(state: &State, transaction: CheckedTransaction) -> Option<String> {
    let spec = spec(CHAIN_ID, 0);
    let run = Evm::new().execute(state, &env(&spec), &[transaction]);
    run.err().map(|fault| fault.reason)
}

#[track_caller]
fn assert_refused(state: &State, transaction: CheckedTransaction, reason: &str) {
    let found = refusal(state, transaction).expect("it is refused");
    assert!(found.contains(reason), "{found}");
}

/// Rule T4: exactly the next nonce, below 2^64 - 1, from an account without code.
#[test]
fn the_nonce_is_the_next_one_and_the_sender_has_no_code() {
    let wallet = Wallet::new(1);
    let sender = |nonce, code_hash| {
        let account = Account {
            nonce,
            balance: LGN,
            code_hash,
        };
        world([(
            wallet.address,
            Content {
                account,
                code: vec![0],
                storage: BTreeMap::new(),
            },
        )])
    };
    let sign = |nonce| wallet.sign(transfer(nonce, 1), CHAIN_ID);
    assert_eq!(refusal(&sender(7, None), sign(7)), None);
    assert_refused(
        &sender(7, None),
        sign(6),
        "nonce is 6, the sender's next one is 7",
    );
    assert_refused(
        &sender(7, None),
        sign(8),
        "nonce is 8, the sender's next one is 7",
    );
    assert_refused(
        &sender(u64::MAX, None),
        sign(u64::MAX),
        "the greatest possible one",
    );
    assert_eq!(
        refusal(&sender(u64::MAX - 1, None), sign(u64::MAX - 1)),
        None
    );
    let hash = keccak256([0]).0;
    assert_refused(&sender(7, Some(hash)), sign(7), "EIP-3607");
}

/// Rule T4 for code that Ethereum would let send (EIP-7702): there is no such thing here.
#[test]
fn a_delegation_is_code_like_any_other() {
    let wallet = Wallet::new(1);
    let code = [&[0xef, 0x01, 0x00][..], &[9; 20]].concat();
    let account = Account {
        nonce: 0,
        balance: LGN,
        code_hash: Some(keccak256(&code).0),
    };
    let state = world([(
        wallet.address,
        Content {
            account,
            code,
            storage: BTreeMap::new(),
        },
    )]);
    assert_refused(&state, wallet.sign(transfer(0, 1), CHAIN_ID), "EIP-3607");
}

/// Rule T5: max fee ≥ base fee, and ≥ priority fee.
#[test]
fn the_max_fee_covers_base_fee_and_priority_fee() {
    let wallet = Wallet::new(1);
    let state = world([(wallet.address, Content::funded(LGN))]);
    let sign = |max_fee_per_gas, max_priority_fee_per_gas| {
        let fees = TxEip1559 {
            max_fee_per_gas,
            max_priority_fee_per_gas,
            ..transfer(0, 1)
        };
        wallet.sign(fees, CHAIN_ID)
    };
    assert_eq!(refusal(&state, sign(GWEI, 0)), None);
    assert_eq!(refusal(&state, sign(GWEI, GWEI)), None);
    assert_refused(
        &state,
        sign(GWEI - 1, 0),
        "max fee is 999999999 wei per gas, the base fee",
    );
    assert_refused(
        &state,
        sign(2 * GWEI, 2 * GWEI + 1),
        "priority fee is 2000000001 wei",
    );
}

/// Rule T6: balance ≥ value + gas limit · max fee; what overflows is refused, never wrapped.
#[test]
fn the_sender_can_pay_for_the_worst_case() {
    let wallet = Wallet::new(1);
    let worst = 21_000 * 10 * GWEI + 5;
    let sign = |tx: TxEip1559| wallet.sign(tx, CHAIN_ID);
    let with = |balance| world([(wallet.address, Content::funded(balance))]);
    assert_eq!(refusal(&with(worst), sign(transfer(0, 5))), None);
    assert_refused(
        &with(worst - 1),
        sign(transfer(0, 5)),
        "may cost 210000000000005 wei",
    );
    assert_refused(&State::default(), sign(transfer(0, 0)), "the sender has 0");
    let value = U256::MAX;
    assert_refused(
        &with(LGN),
        sign(TxEip1559 {
            value,
            ..transfer(0, 0)
        }),
        "2^256",
    );
    let value = U256::MAX - U256::from(21_000 * 10 * GWEI) + U256::from(1);
    assert_refused(
        &with(LGN),
        sign(TxEip1559 {
            value,
            ..transfer(0, 0)
        }),
        "2^256",
    );
    // Their product alone has more than 128 bits; wrapped, it would be small.
    let max_fee_per_gas = u128::MAX / 21_000 + 1;
    let wide = TxEip1559 {
        max_fee_per_gas,
        ..transfer(0, 0)
    };
    assert_refused(&with(u128::MAX / 2), sign(wide), "may cost");
}

/// Rule T7: intrinsic gas, EIP-7623's floor, EIP-7825's cap, the block's rest, EIP-3860's limit.
#[test]
fn the_gas_limit_lies_between_its_bounds() {
    let wallet = Wallet::new(1);
    let state = world([(wallet.address, Content::funded(1_000 * LGN))]);
    let sign = |gas_limit, to: TxKind, input: &[u8]| {
        wallet.sign(
            TxEip1559 {
                gas_limit,
                ..call(0, to, 0, input)
            },
            CHAIN_ID,
        )
    };
    let to = TxKind::Call(SOMEBODY);
    assert_refused(&state, sign(20_999, to, &[]), "needs at least 21000");
    // 100 bytes that are not zero: 16 gas each, or 40 by the floor.
    assert_refused(&state, sign(24_999, to, &[1; 100]), "needs at least 25000");
    assert_eq!(refusal(&state, sign(25_000, to, &[1; 100])), None);
    assert_eq!(refusal(&state, sign(TRANSACTION_GAS_MAX, to, &[])), None);
    assert_refused(
        &state,
        sign(TRANSACTION_GAS_MAX + 1, to, &[]),
        "may have at most 16777216",
    );
    let code = vec![0; INITCODE_BYTES_MAX + 1];
    assert_eq!(
        refusal(&state, sign(1_000_000, TxKind::Create, &code[1..])),
        None
    );
    assert_refused(
        &state,
        sign(1_000_000, TxKind::Create, &code),
        "49153 bytes",
    );

    let spec = spec(CHAIN_ID, 0);
    let mut env = env(&spec);
    env.gas_limit = 43_000;
    let block = |gas_limit| {
        let second = TxEip1559 {
            gas_limit,
            ..transfer(1, 0)
        };
        [transfer(0, 0), second].map(|tx| wallet.sign(tx, CHAIN_ID))
    };
    assert!(Evm::new().execute(&state, &env, &block(22_000)).is_ok());
    let fault = Evm::new()
        .execute(&state, &env, &block(22_001))
        .unwrap_err();
    assert_eq!(
        (fault.index, fault.reason.as_str()),
        (1, "gas limit is 22001, the block has 22000 left")
    );
}

proptest! {
    /// Rule T7: what the rules call enough gas is enough for the machine, and one unit less is
    /// refused by the rules; so the machine itself never has to refuse.
    #[test]
    fn the_least_gas_is_the_machines_least_gas(
        input in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..300),
        slots in proptest::collection::vec(0..5_usize, 0..4),
        create in any::<bool>(),
    ) {
        let wallet = Wallet::new(1);
        let state = world([(wallet.address, Content::funded(1_000 * LGN))]);
        let items = slots.iter().map(|count| AccessListItem {
            address: SOMEBODY,
            storage_keys: vec![B256::ZERO; *count],
        });
        let listed = TxEip2930 {
            chain_id: CHAIN_ID,
            gas_price: GWEI,
            to: if create { TxKind::Create } else { TxKind::Call(SOMEBODY) },
            input: input.into(),
            access_list: AccessList(items.collect()),
            ..TxEip2930::default()
        };
        let gas_min = wallet.sign(listed.clone(), CHAIN_ID).gas_min();
        let enough = TxEip2930 { gas_limit: gas_min, ..listed.clone() };
        prop_assert_eq!(refusal(&state, wallet.sign(enough, CHAIN_ID)), None);
        let short = TxEip2930 { gas_limit: gas_min - 1, ..listed };
        let reason = refusal(&state, wallet.sign(short, CHAIN_ID)).unwrap();
        prop_assert!(reason.contains("needs at least"), "{}", reason);
    }
}

/// Rule S2: reward >> (height / interval); nothing at height 0; a credit of zero makes no account.
#[test]
fn the_beneficiary_is_paid_what_the_schedule_says() {
    let mut spec = spec(CHAIN_ID, 5);
    spec.halving_interval = 10;
    let paid = |height| {
        let mut env = env(&spec);
        env.height = height;
        let run = Evm::new().execute(&State::default(), &env, &[]).unwrap();
        let account = run.state.account(&env.beneficiary);
        assert_eq!(account.is_none(), run.changes.accounts.is_empty());
        account.map(|account| account.balance)
    };
    let heights = [0, 1, 9, 10, 29, 30, 1_280, u64::MAX];
    assert_eq!(
        heights.map(paid),
        [None, Some(5), Some(5), Some(2), Some(1), None, None, None]
    );
}

/// Rule S2: the reward joins what the beneficiary has, tips included.
#[test]
fn tips_and_reward_add_up() {
    let wallet = Wallet::new(1);
    let spec = spec(CHAIN_ID, LGN);
    let env = env(&spec);
    let rich = Content::funded(LGN);
    let state = world([(wallet.address, rich.clone()), (env.beneficiary, rich)]);
    let run = Evm::new()
        .execute(&state, &env, &[wallet.sign(transfer(0, 1), CHAIN_ID)])
        .unwrap();
    let beneficiary = run.state.account(&env.beneficiary).unwrap();
    assert_eq!(beneficiary.balance, 2 * LGN + 21_000 * GWEI);
}

#[test]
fn selection_goes_on_past_what_does_not_fit() {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let accounts = [&one, &two].map(|wallet| (wallet.address, Content::funded(LGN)));
    let (state, spec) = (world(accounts), spec(CHAIN_ID, 0));
    let large = TxEip1559 {
        gas_limit: 100_000,
        ..call(0, SOMEBODY, 0, &[1; 500])
    };
    let candidates = [
        one.sign(large, CHAIN_ID),
        one.sign(transfer(1, 0), CHAIN_ID),
        two.sign(transfer(0, 1), CHAIN_ID),
        two.sign(transfer(0, 2), CHAIN_ID),
        two.sign(transfer(1, 3), CHAIN_ID),
    ];
    let evm = Evm::new();
    let taken = |gas_limit, body_bytes| {
        let mut env = env(&spec);
        env.gas_limit = gas_limit;
        let (run, taken) = evm.select(&state, &env, &candidates, body_bytes);
        let block: Vec<_> = taken
            .iter()
            .map(|index| candidates[*index].clone())
            .collect();
        let body: usize = 8 + block.iter().map(|tx| 8 + tx.bytes().len()).sum::<usize>();
        assert!(body <= usize::try_from(body_bytes).unwrap());
        let again = evm.execute(&state, &env, &block).unwrap();
        assert_eq!(
            (again.state_root, again.receipts),
            (run.state_root, run.receipts)
        );
        taken
    };
    assert_eq!(taken(30_000_000, 2_000), [0, 1, 2, 4]);
    // The large one has too many bytes, and then its sender's next nonce is missing.
    assert_eq!(taken(30_000_000, 400), [2, 4]);
    // Or too much gas.
    assert_eq!(taken(42_000, 2_000), [2, 4]);
    assert_eq!(taken(41_999, 2_000), [2]);
    let length = u32::try_from(candidates[2].bytes().len()).unwrap();
    assert_eq!(taken(30_000_000, 8 + 8 + length), [2]);
    assert_eq!(taken(30_000_000, 8 + 8 + length - 1), [0; 0]);
    assert_eq!(taken(20_999, 2_000), [0; 0]);
    assert_eq!(taken(30_000_000, 8), [0; 0]);
}

#[test]
fn genesis_is_the_allocation() {
    let code = vec![0x5f, 0x5f, 0xf3];
    let hash = keccak256(&code).0;
    let contract = |last| Allocation {
        address: Address::with_last_byte(last),
        account: Account {
            nonce: 1,
            balance: 3,
            code_hash: Some(hash),
        },
        code: code.clone(),
        storage: vec![(U256::from(4), U256::from(5)), (U256::from(6), U256::ZERO)],
    };
    let mut spec: ChainSpec = spec(CHAIN_ID, 0);
    spec.alloc = vec![contract(1), contract(2)];
    let evm = Evm::new();
    let state = evm.genesis(&spec);
    for last in [1, 2] {
        let address = Address::with_last_byte(last);
        assert_eq!(evm.account(&state, &address), Some(contract(last).account));
        assert_eq!(state.storage(&address, U256::from(4)), U256::from(5));
    }
    assert_eq!(state.code(&hash).as_deref(), Some(code.as_slice()));
    assert_eq!(state.leaves().count(), 4, "a slot of zero is absent");
    assert_eq!(evm.root(&state), state.root());
    let builtin = ChainSpec::parse(ChainSpec::builtin("regtest").unwrap()).unwrap();
    assert_eq!(evm.genesis(&builtin.spec).leaves().count(), 10);
}

/// What an undone block deployed is found again when a rival block deploys the same.
#[test]
fn code_outlives_an_undone_block() {
    let wallet = Wallet::new(1);
    let (evm, spec) = (Evm::new(), spec(CHAIN_ID, LGN));
    let pre = world([(wallet.address, Content::funded(LGN))]);
    // Returns the one byte 0x00 as code.
    let deploy = |tip| {
        let init = [0x60, 0x01, 0x5f, 0xf3];
        let max_priority_fee_per_gas = tip;
        let tx = TxEip1559 {
            max_priority_fee_per_gas,
            ..call(0, TxKind::Create, 0, &init)
        };
        wallet.sign(tx, CHAIN_ID)
    };
    let first = evm.execute(&pre, &env(&spec), &[deploy(1)]).unwrap();
    let back = evm.revert(&first.state, &first.changes);
    assert_eq!(back.root(), pre.root());
    let hash = keccak256([0]).0;
    assert!(back.code(&hash).is_some() && pre.code(&hash).is_none());
    let rival = evm.execute(&back, &env(&spec), &[deploy(2)]).unwrap();
    // The same change set as on a node that never saw the first block.
    let fresh = evm.execute(&pre, &env(&spec), &[deploy(2)]).unwrap();
    assert_eq!(rival.changes, fresh.changes);
    assert_eq!(rival.changes.codes.len(), 1);
}
