//! Change sets and receipts as the log has them: numbers take as many bytes as they need.
//!
//! What a transfer changes takes half of what the messages' encoding takes, and there is no limit
//! to a list. Everything in memory has a form, whatever a block's limits are, and comes back as it
//! was. Used by `apply` and `tables`.

use super::rest::{Rest, TOO_LARGE, put_number};
use chain::{
    Account, ChangeSet, Log, Receipt,
    execution::{AccountChange, CodeAdded, SlotChange},
};

/// How an account is given: two bits for what it was, two for what it is.
const ABSENT: u8 = 0;
const PLAIN: u8 = 1;
const WITH_CODE: u8 = 2;
/// Only of what it is: it has the code that it had.
const SAME_CODE: u8 = 3;

/// The bytes of a change set: accounts, slots and codes, each list with its length before it.
pub fn encode_changes(changes: &ChangeSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_length(&mut bytes, changes.accounts.len());
    for change in &changes.accounts {
        put_account(&mut bytes, change);
    }
    put_length(&mut bytes, changes.slots.len());
    for change in &changes.slots {
        bytes.extend(change.address);
        bytes.extend(change.slot);
        put_word(&mut bytes, &change.old);
        put_word(&mut bytes, &change.new);
    }
    put_length(&mut bytes, changes.codes.len());
    for code in &changes.codes {
        bytes.extend(code.hash);
        put_length(&mut bytes, code.bytes.len());
        bytes.extend_from_slice(&code.bytes);
    }
    bytes
}

/// The change set of such bytes.
pub fn decode_changes(bytes: &[u8]) -> Result<ChangeSet, String> {
    let mut rest = Rest(bytes);
    let changes = ChangeSet {
        accounts: rest.list(account_change)?,
        slots: rest.list(|rest| {
            Ok(SlotChange {
                address: rest.array()?,
                slot: rest.array()?,
                old: word(rest)?,
                new: word(rest)?,
            })
        })?,
        codes: rest.list(|rest| {
            Ok(CodeAdded {
                hash: rest.array()?,
                bytes: rest.bytes()?.to_vec(),
            })
        })?,
    };
    rest.end(changes)
}

/// The bytes of a block's receipts: type, gas of this transaction with success in the lowest bit,
/// logs.
pub fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_length(&mut bytes, receipts.len());
    let mut before = 0;
    for receipt in receipts {
        bytes.push(receipt.tx_type);
        let gas = receipt.cumulative_gas.wrapping_sub(before);
        before = receipt.cumulative_gas;
        put_number(
            &mut bytes,
            u128::from(gas) << 1 | u128::from(receipt.success),
        );
        put_length(&mut bytes, receipt.logs.len());
        for log in &receipt.logs {
            bytes.extend(log.address);
            put_length(&mut bytes, log.topics.len());
            bytes.extend(log.topics.iter().flatten());
            put_length(&mut bytes, log.data.len());
            bytes.extend_from_slice(&log.data);
        }
    }
    bytes
}

/// The receipts of such bytes.
pub fn decode_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, String> {
    let mut rest = Rest(bytes);
    let mut before = 0_u64;
    let receipts = rest.list(|rest| {
        let [tx_type] = rest.array()?;
        let gas = rest.number()?;
        let used = u64::try_from(gas >> 1).map_err(|_| TOO_LARGE)?;
        before = before.wrapping_add(used);
        Ok(Receipt {
            tx_type,
            success: gas & 1 == 1,
            cumulative_gas: before,
            logs: rest.list(|rest| {
                Ok(Log {
                    address: rest.array()?,
                    topics: rest.list(Rest::array)?,
                    data: rest.bytes()?.to_vec(),
                })
            })?,
        })
    })?;
    rest.end(receipts)
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_number(
        bytes,
        u128::try_from(length).expect("128 bits hold a length"),
    );
}

/// Address, kinds, what it was, what it is; where it was there before, as differences to it.
fn put_account(bytes: &mut Vec<u8>, change: &AccountChange) {
    let kind = |account: &Option<Account>| match account {
        None => ABSENT,
        Some(Account {
            code_hash: None, ..
        }) => PLAIN,
        Some(_) => WITH_CODE,
    };
    let code = |account: &Option<Account>| account.as_ref().and_then(|account| account.code_hash);
    let (old_code, new_code) = (code(&change.old), code(&change.new));
    let is_same = new_code.is_some() && old_code == new_code;
    let new_kind = if is_same {
        SAME_CODE
    } else {
        kind(&change.new)
    };
    bytes.extend(change.address);
    bytes.push(kind(&change.old) | new_kind << 2);
    if let Some(old) = &change.old {
        put_number(bytes, old.nonce);
        put_number(bytes, old.balance);
        bytes.extend(old_code.iter().flatten());
    }
    if let Some(new) = &change.new {
        let old = change.old.clone().unwrap_or_default();
        put_number(bytes, new.nonce.wrapping_sub(old.nonce));
        put_number(bytes, folded(new.balance.wrapping_sub(old.balance)));
        bytes.extend(new_code.filter(|_| !is_same).iter().flatten());
    }
}

/// A difference so that a small one, up or down, is a small number: its sign is the lowest bit.
fn folded(difference: u128) -> u128 {
    difference << 1 ^ (difference >> 127).wrapping_neg()
}

fn unfolded(number: u128) -> u128 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

/// Big-endian, without the zeros that it begins with.
fn put_word(bytes: &mut Vec<u8>, word: &[u8; 32]) {
    let zeros = word.iter().take_while(|byte| **byte == 0).count();
    put_length(bytes, word.len() - zeros);
    bytes.extend_from_slice(&word[zeros..]);
}

fn word(rest: &mut Rest<'_>) -> Result<[u8; 32], String> {
    let bytes = rest.bytes()?;
    let mut word = [0; 32];
    let zeros = word.len().checked_sub(bytes.len()).ok_or(TOO_LARGE)?;
    word[zeros..].copy_from_slice(bytes);
    Ok(word)
}

fn account_change(rest: &mut Rest<'_>) -> Result<AccountChange, String> {
    let address = rest.array()?;
    let [kinds] = rest.array()?;
    let old = match kinds & 3 {
        ABSENT => None,
        kind => Some(account(rest, &Account::default(), kind, |number| number)?),
    };
    let base = old.clone().unwrap_or_default();
    let new = match kinds >> 2 {
        ABSENT => None,
        kind => Some(account(rest, &base, kind, unfolded)?),
    };
    Ok(AccountChange { address, old, new })
}

fn account(
    rest: &mut Rest<'_>,
    base: &Account,
    kind: u8,
    difference: fn(u128) -> u128,
) -> Result<Account, String> {
    let nonce: u64 = rest.small()?;
    let balance = difference(rest.number()?);
    let code_hash = match kind {
        PLAIN => None,
        WITH_CODE => Some(rest.array()?),
        SAME_CODE if base.code_hash.is_some() => base.code_hash,
        other => return Err(format!("{other} is no kind of an account")),
    };
    Ok(Account {
        nonce: base.nonce.wrapping_add(nonce),
        balance: base.balance.wrapping_add(balance),
        code_hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(nonce: u64, balance: u128, code: Option<u8>) -> Option<Account> {
        Some(Account {
            nonce,
            balance,
            code_hash: code.map(|byte| [byte; 32]),
        })
    }

    /// Accounts that come, go, change and keep their code, at both ends of every number.
    fn all_changes() -> ChangeSet {
        let states = [
            None,
            account(0, 0, None),
            account(7, 1_000_000_000_000_000_000, None),
            account(8, 999_000_000_000_000_000, Some(1)),
            account(u64::MAX, u128::MAX, Some(1)),
            account(1, u128::MAX / 2 + 1, Some(2)),
        ];
        let pairs = states
            .iter()
            .flat_map(|old| states.iter().map(move |new| (old, new)));
        let accounts = pairs.zip(0..).map(|((old, new), byte)| AccountChange {
            address: [byte; 20],
            old: old.clone(),
            new: new.clone(),
        });
        let slot = |old, new| SlotChange {
            address: [3; 20],
            slot: [4; 32],
            old,
            new,
        };
        let mut small = [0; 32];
        small[30] = 9;
        ChangeSet {
            accounts: accounts.collect(),
            slots: vec![
                slot([0; 32], small),
                slot(small, [0; 32]),
                slot([255; 32], [1; 32]),
            ],
            codes: vec![
                CodeAdded {
                    hash: [5; 32],
                    bytes: vec![6; 300],
                },
                CodeAdded {
                    hash: [6; 32],
                    bytes: Vec::new(),
                },
            ],
        }
    }

    fn all_receipts() -> Vec<Receipt> {
        let log = |topics, data| Log {
            address: [1; 20],
            topics,
            data: vec![9; data],
        };
        let receipt = |success, cumulative_gas, logs| Receipt {
            tx_type: 2,
            success,
            cumulative_gas,
            logs,
        };
        vec![
            receipt(true, 21_000, Vec::new()),
            receipt(
                false,
                42_000,
                vec![log(Vec::new(), 0), log(vec![[7; 32]; 4], 200)],
            ),
            // No block has these, and they come back all the same.
            receipt(true, u64::MAX, Vec::new()),
            receipt(false, 5, vec![log(vec![[1; 32]], 1)]),
        ]
    }

    #[test]
    fn everything_comes_back_and_nothing_less_is_taken() {
        let (changes, receipts) = (all_changes(), all_receipts());
        let bytes = encode_changes(&changes);
        assert_eq!(decode_changes(&bytes), Ok(changes));
        for length in 0..bytes.len() {
            assert!(decode_changes(&bytes[..length]).is_err());
        }
        assert!(decode_changes(&[bytes, vec![0]].concat()).is_err());
        let bytes = encode_receipts(&receipts);
        assert_eq!(decode_receipts(&bytes), Ok(receipts));
        for length in 0..bytes.len() {
            assert!(decode_receipts(&bytes[..length]).is_err());
        }
        assert!(decode_receipts(&[bytes, vec![0]].concat()).is_err());
        let none = encode_changes(&ChangeSet::default());
        assert_eq!(decode_changes(&none), Ok(ChangeSet::default()));
        assert_eq!(decode_receipts(&encode_receipts(&[])), Ok(Vec::new()));
    }

    /// A worst-case block's, which the messages' encoding refuses in one piece.
    #[test]
    fn long_lists_come_back() {
        let mut changes = all_changes();
        let change = changes.accounts[20].clone();
        changes.accounts.resize(40_000, change);
        let slot = changes.slots[2].clone();
        changes.slots.resize(60_000, slot);
        changes.codes[0].bytes.resize(24_576, 0xfe);
        let code = changes.codes[0].clone();
        changes.codes.resize(600, code);
        assert_eq!(decode_changes(&encode_changes(&changes)), Ok(changes));
        let mut receipts = all_receipts();
        let receipt = receipts[0].clone();
        receipts.resize(100_000, receipt);
        let log = receipts[1].logs[0].clone();
        receipts[2].logs.resize(44_739, log);
        receipts[3].logs[0].data.resize(2 * 1024 * 1024, 1);
        assert_eq!(decode_receipts(&encode_receipts(&receipts)), Ok(receipts));
    }

    #[test]
    fn what_a_transfer_changes_is_short() {
        let eth = 1_000_000_000_000_000_000;
        let accounts = vec![AccountChange {
            address: [1; 20],
            old: account(70, 1_000 * eth, None),
            new: account(71, 1_000 * eth - eth / 100, None),
        }];
        let changes = ChangeSet {
            accounts,
            ..ChangeSet::default()
        };
        assert_eq!(encode_changes(&changes).len(), 20 + 1 + 11 + 9 + 3);
    }

    #[test]
    fn kinds_that_nobody_writes_are_refused() {
        let accounts = vec![AccountChange {
            address: [1; 20],
            old: account(1, 1, None),
            new: account(2, 2, None),
        }];
        let mut bytes = encode_changes(&ChangeSet {
            accounts,
            ..ChangeSet::default()
        });
        for kinds in 0..=u8::MAX {
            bytes[21] = kinds;
            let expected = kinds == PLAIN | PLAIN << 2;
            assert_eq!(decode_changes(&bytes).is_ok(), expected, "{kinds}");
        }
    }
}
