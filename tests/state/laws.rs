//! Laws on random blocks: a transfer written by hand as an independent oracle, the supply, and
//! that moving by change sets is executing and undoing.

use std::collections::BTreeMap;

use alloy_consensus::{TxEip1559, TxEip2930, TxLegacy, TypedTransaction};
use alloy_primitives::{Address, U256};
use chain::{Account, CheckedTransaction, Execution, execution::BlockEnv};
use proptest::prelude::*;
use state::Evm;

use crate::support::{Content, GWEI, LGN, Wallet, call, env, spec, state_of, wei_made};

const CHAIN_ID: u64 = 1338;
const WALLETS: u8 = 4;

type Accounts = BTreeMap<Address, Account>;

/// A transfer by hand: the fees, the nonce, the value. False where it may not stand here.
fn transfer(
    accounts: &mut Accounts,
    env: &BlockEnv<'_>,
    gas_left: u64,
    tx: &CheckedTransaction,
) -> bool {
    let sender = accounts.get(&tx.sender()).cloned().unwrap_or_default();
    let (base_fee, gas) = (u128::from(env.base_fee), u128::from(tx.gas_limit()));
    let Ok(value) = u128::try_from(tx.value()) else {
        return false;
    };
    let worst = tx
        .max_fee()
        .checked_mul(gas)
        .and_then(|fee| fee.checked_add(value));
    let payable = worst.is_some_and(|worst| worst <= sender.balance);
    let fees = tx.max_fee() >= base_fee && tx.max_fee() >= tx.priority_fee();
    if sender.nonce != tx.nonce()
        || !payable
        || !fees
        || tx.gas_limit() < 21_000
        || tx.gas_limit() > gas_left
    {
        return false;
    }
    let tip = tx.priority_fee().min(tx.max_fee() - base_fee);
    let payer = accounts.entry(tx.sender()).or_default();
    payer.nonce += 1;
    payer.balance -= 21_000 * (base_fee + tip) + value;
    accounts.entry(tx.to().unwrap()).or_default().balance += value;
    accounts.entry(env.beneficiary).or_default().balance += 21_000 * tip;
    accounts.retain(|_, account| !account.is_absent());
    true
}

/// One candidate: who, to whom, nonce ahead, value, fees, gas limit, type.
#[derive(Clone, Debug)]
struct Plan {
    from: u8,
    to: u8,
    skew: u64,
    value: u128,
    max_fee: u128,
    tip: u128,
    gas_limit: u64,
    kind: u8,
}

fn plan() -> impl Strategy<Value = Plan> {
    let value = prop_oneof![
        Just(0),
        1..100_u128,
        Just(LGN / 2),
        Just(LGN),
        Just(u128::MAX)
    ];
    let gas_limit = prop_oneof![4 => Just(21_000_u64), 1 => 20_998..21_002_u64, 1 => Just(100_000)];
    let skew = prop_oneof![9 => Just(0_u64), 1 => 1..3_u64];
    let fees = (0..4_u128, prop_oneof![4 => Just(0), 1 => 0..3_u128]);
    (
        0..WALLETS,
        0..WALLETS + 4,
        skew,
        value,
        fees,
        gas_limit,
        0..3_u8,
    )
        .prop_map(
            |(from, to, skew, value, (max_fee, tip), gas_limit, kind)| Plan {
                from,
                to,
                skew,
                value,
                max_fee: max_fee * GWEI,
                tip: tip * GWEI / 2,
                gas_limit,
                kind,
            },
        )
}

fn sign(plan: &Plan, wallets: &[Wallet], nonce: u64) -> CheckedTransaction {
    let to = match plan.to {
        to if to < WALLETS => wallets[usize::from(to)].address,
        // The beneficiary, and some that do not exist yet.
        to if to == WALLETS => Address::repeat_byte(0xbe),
        to => Address::repeat_byte(to),
    };
    let (value, gas_limit, chain_id) = (U256::from(plan.value), plan.gas_limit, CHAIN_ID);
    let (to, nonce, gas_price) = (to.into(), nonce + plan.skew, plan.max_fee);
    let input = Default::default();
    let typed: TypedTransaction = match plan.kind {
        0 => TxLegacy {
            chain_id: Some(chain_id),
            nonce,
            gas_price,
            gas_limit,
            to,
            value,
            input,
        }
        .into(),
        1 => TxEip2930 {
            chain_id,
            nonce,
            gas_price,
            gas_limit,
            to,
            value,
            input,
            ..Default::default()
        }
        .into(),
        _ => TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: plan.max_fee,
            max_priority_fee_per_gas: plan.tip,
            to,
            value,
            input,
            ..Default::default()
        }
        .into(),
    };
    wallets[usize::from(plan.from)].sign(typed, CHAIN_ID)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn transfers_do_what_a_hand_written_one_does(
        plans in proptest::collection::vec(plan(), 1..30), full in any::<bool>(), reward in 0..2_u128,
    ) {
        let wallets: Vec<_> = (0..WALLETS).map(Wallet::new).collect();
        let contents = wallets.iter().map(|wallet| (wallet.address, Content::funded(LGN + LGN / 10)));
        let contents: BTreeMap<_, _> = contents.collect();
        let mut accounts: Accounts =
            contents.iter().map(|(address, content)| (*address, content.account.clone())).collect();
        let spec = spec(CHAIN_ID, reward * LGN);
        let mut env = env(&spec);
        env.gas_limit = if full { 150_000 } else { env.gas_limit };

        let (mut candidates, mut fit, mut gas_used) = (Vec::new(), Vec::new(), 0);
        for (index, plan) in plans.iter().enumerate() {
            let sender = wallets[usize::from(plan.from)].address;
            let nonce = accounts.get(&sender).map_or(0, |account| account.nonce);
            let transaction = sign(plan, &wallets, nonce);
            if transfer(&mut accounts, &env, env.gas_limit - gas_used, &transaction) {
                fit.push(index);
                gas_used += 21_000;
            }
            candidates.push(transaction);
        }
        if reward > 0 {
            accounts.entry(env.beneficiary).or_default().balance += reward * LGN;
        }

        let (evm, pre) = (Evm::new(), state_of(&contents));
        let (run, taken) = evm.select(&pre, &env, &candidates, 1 << 20);
        prop_assert_eq!(&taken, &fit);
        let oracle = accounts.iter().map(|(address, account)| {
            (*address, Content { account: account.clone(), ..Content::default() })
        });
        prop_assert_eq!(run.state_root, state_of(&oracle.collect()).root());
        prop_assert_eq!(run.gas_used, gas_used);

        let block: Vec<_> = taken.iter().map(|index| candidates[*index].clone()).collect();
        let again = evm.execute(&pre, &env, &block).unwrap();
        prop_assert_eq!(&again.changes, &run.changes);
        prop_assert_eq!(&again.receipts, &run.receipts);
        let burnt = i128::from(env.base_fee) * i128::from(gas_used);
        prop_assert_eq!(wei_made(&run.changes), i128::try_from(reward * LGN).unwrap() - burnt);
        prop_assert_eq!(evm.apply(&pre, &run.changes).root(), run.state_root);
        prop_assert_eq!(evm.revert(&run.state, &run.changes).root(), pre.root());
    }

    /// A chain of blocks that write, clear and rewrite slots, deploy code and delete it again;
    /// every prefix is reached by going forward and by going back.
    #[test]
    fn undoing_a_chain_of_blocks_passes_the_same_states(
        blocks in proptest::collection::vec(proptest::collection::vec((0..3_u8, 0..4_u8, 0..3_u8), 0..6), 1..6),
    ) {
        let (evm, spec, wallet) = (Evm::new(), spec(CHAIN_ID, LGN), Wallet::new(0));
        let store = Address::repeat_byte(0xc0);
        // sstore(calldata[0], calldata[32])
        let code = [0x60, 0x20, 0x35, 0x5f, 0x35, 0x55];
        let mut contents = BTreeMap::from([(store, Content::contract(&code))]);
        contents.insert(wallet.address, Content::funded(1_000 * LGN));
        let (mut states, mut changes) = (vec![state_of(&contents)], Vec::new());
        let mut nonce = 0;
        for block in &blocks {
            let transactions = block.iter().map(|(what, slot, value)| {
                let mut input = [0; 64];
                (input[31], input[63]) = (*slot, *value);
                let transaction = match what {
                    0 => call(nonce, store, 0, &input),
                    // Returns one byte of code: `value`, a harmless opcode.
                    1 => call(nonce, alloy_primitives::TxKind::Create, 0, &[0x60, *value, 0x5f, 0x53, 0x60, 1, 0x5f, 0xf3]),
                    // sstore(1, value), then selfdestruct to the caller while being created.
                    _ => call(nonce, alloy_primitives::TxKind::Create, 7, &[0x60, *value, 0x60, 1, 0x55, 0x33, 0xff]),
                };
                nonce += 1;
                wallet.sign(transaction, CHAIN_ID)
            });
            let transactions: Vec<_> = transactions.collect();
            let run = evm.execute(states.last().unwrap(), &env(&spec), &transactions).unwrap();
            prop_assert!(run.receipts.iter().all(|receipt| receipt.success));
            // The supply: no contract makes or destroys wei, whatever it stores or deletes.
            let burnt = i128::from(env(&spec).base_fee) * i128::from(run.gas_used);
            prop_assert_eq!(wei_made(&run.changes), i128::try_from(LGN).unwrap() - burnt);
            states.push(run.state);
            changes.push(run.changes);
        }
        let (mut forward, mut back) = (states[0].clone(), states[blocks.len()].clone());
        for (at, change) in changes.iter().enumerate() {
            forward = evm.apply(&forward, change);
            prop_assert_eq!(forward.root(), states[at + 1].root());
        }
        for (at, change) in changes.iter().enumerate().rev() {
            back = evm.revert(&back, change);
            prop_assert_eq!(back.root(), states[at].root());
            let leaves = |state: &state::State| state.leaves().collect::<Vec<_>>();
            prop_assert_eq!(leaves(&back), leaves(&states[at]));
        }
    }
}
