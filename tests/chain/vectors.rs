//! Answers worked out by something other than this crate; tests/vectors/README.md tells by what.

use alloy_primitives::{U256, hex};
use chain::{
    Bits, BlockHash, ChainSpec, CheckedTransaction, PowHeader, Target,
    difficulty::{Anchor, forgiven, next_bits},
    merkle,
    transaction::{LimitError, TransactionError, effective_tip_of},
};
use serde_json::Value as Json;

use crate::support::builder::{Wallet, transfer};

fn file(name: &str) -> String {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(name: &str) -> Json {
    serde_json::from_str(&file(name)).unwrap()
}

fn text<'a>(value: &'a Json, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn bytes(value: &Json, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).unwrap()
}

fn bits(text: &str) -> Bits {
    Bits(u32::from_str_radix(text, 16).unwrap())
}

fn number(text: &str) -> U256 {
    U256::from_str_radix(text, 16).unwrap()
}

fn regtest() -> ChainSpec {
    ChainSpec::parse(ChainSpec::builtin("regtest").unwrap())
        .unwrap()
        .spec
}

/// Rule H1: Bitcoin's own blocks meet their targets, and one more in the hash would not count.
#[test]
fn bitcoin_headers() {
    let rows = json("headers.json");
    for row in rows.as_array().unwrap() {
        let raw: [u8; 80] = bytes(row, "header").try_into().unwrap();
        let header = PowHeader::decode(&raw);
        assert_eq!(header.encode(), raw);
        assert_eq!(header.hash().0.to_vec(), bytes(row, "hash_wire"));
        assert_eq!(
            header.hash().to_string(),
            format!("0x{}", text(row, "hash_display"))
        );
        assert_eq!(u64::from(header.version), row["version"].as_u64().unwrap());
        assert_eq!(
            header.parent,
            text(row, "parent_display").parse::<BlockHash>().unwrap()
        );
        assert_eq!(header.commitment.to_vec(), bytes(row, "commitment_wire"));
        assert_eq!(u64::from(header.time), row["time"].as_u64().unwrap());
        assert_eq!(header.bits, bits(text(row, "bits")));
        assert_eq!(u64::from(header.nonce), row["nonce"].as_u64().unwrap());
        let target = header.bits.target().unwrap();
        assert_eq!(target.value(), number(text(row, "target")));
        assert_eq!(target.work(), number(text(row, "work")));
        assert!(target.is_met_by(&header.hash()));
        let hash = header.hash();
        assert!(
            Target::new(hash.number()).unwrap().is_met_by(&hash),
            "equal is enough"
        );
        assert!(
            !Target::new(hash.number() - U256::from(1))
                .unwrap()
                .is_met_by(&hash)
        );
    }
    assert_eq!(rows.as_array().unwrap().len(), 4);
}

/// Rule H1: what bits decode to, and what they do not.
#[test]
fn compact_targets_and_work() {
    let mut rows = 0;
    for line in file("compact.csv").lines().skip(1) {
        let column: Vec<_> = line.split(',').collect();
        rows += 1;
        match (column[0], column[2]) {
            ("decode", "invalid") => assert_eq!(bits(column[1]).target(), None, "{line}"),
            ("decode", target) => {
                let got = bits(column[1]).target().unwrap_or_else(|| panic!("{line}"));
                assert_eq!(got.value(), number(target), "{line}");
                assert_eq!(got.bits(), bits(column[3]), "{line}");
                assert_eq!(got.work(), number(column[4]), "{line}");
            }
            ("encode", target) => {
                let target = Target::new(number(target)).unwrap();
                assert_eq!(target.bits(), bits(column[1]), "{line}");
                assert_eq!(target.work(), number(column[4]), "{line}");
            }
            other => panic!("kind {other:?}"),
        }
    }
    assert!(rows > 300, "{rows} rows");
}

/// Rule H3: ASERT with forgiven gaps in big integers; Rule H2: the forgiven seconds of chains.
#[test]
fn asert_with_forgiven_gaps() {
    let mut spec = regtest();
    let (mut rows, mut forgiving, mut run) = (0, 0, 0);
    let mut last: Option<Anchor> = None;
    for line in file("asert.csv").lines().skip(1) {
        let column: Vec<_> = line.split(',').collect();
        let value = |at: usize| column[at].parse::<u64>().unwrap();
        let short = |at: usize| column[at].parse::<u32>().unwrap();
        (spec.genesis_bits, spec.pow_limit_bits) = (bits(column[1]), bits(column[2]));
        (spec.spacing_secs, spec.half_life_secs) = (short(3), short(4));
        spec.genesis_time = short(5);
        let parent = Anchor {
            time: short(6),
            height: value(7),
            forgiven: value(8),
        };
        assert_eq!(next_bits(&spec, parent), bits(column[9]), "{line}");
        if value(0) != run {
            last = None;
        }
        run = value(0);
        if let Some(before) = last.filter(|_| run > 0) {
            assert_eq!(parent.height, before.height + 1, "{line}");
            assert_eq!(
                forgiven(&spec, before, parent.time),
                parent.forgiven,
                "{line}"
            );
            forgiving += u64::from(parent.forgiven > before.forgiven);
        }
        last = Some(parent);
        rows += 1;
    }
    assert_eq!(rows, 12_566);
    assert!(forgiving > 20, "{forgiving} gaps were forgiven");
}

/// A vector shows nothing where its result is forced: most are not, and those that are cover every
/// end of every number.
#[test]
fn asert_vectors_reach_the_extremes() {
    let file = file("asert.csv");
    let rows: Vec<Vec<&str>> = file
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let least = |what: &str, count: usize, holds: &dyn Fn(&[&str]) -> bool| {
        let found = rows.iter().filter(|row| holds(row)).count();
        assert!(found >= count, "{what}: {found} rows, wanted {count}");
    };
    let (u32_max, u64_max) = (u32::MAX.to_string(), u64::MAX.to_string());
    let late = |row: &[&str]| {
        let value = |at: usize| row[at].parse::<i128>().unwrap();
        let (spacing, elapsed) = (value(3), value(6) - value(5));
        (elapsed - value(8) - spacing * value(7)) / value(4)
    };
    least("all", 10_000, &|_| true);
    least("the limit", 500, &|row| row[9] == row[2]);
    least("the hardest target", 500, &|row| row[9] == "01010000");
    least("neither", 5_000, &|row| {
        row[9] != row[2] && row[9] != "01010000"
    });
    least("greatest height", 50, &|row| row[7] == u64_max);
    least("greatest forgiven sum", 50, &|row| row[8] == u64_max);
    least("greatest time", 500, &|row| row[6] == u32_max);
    least("greatest half-life", 100, &|row| row[4] == u32_max);
    least("greatest spacing", 100, &|row| row[3] == u32_max);
    least("half-life of a second", 500, &|row| row[4] == "1");
    least("256 half-lives late", 100, &|row| late(row) >= 256);
    least("288 half-lives early", 100, &|row| late(row) < -288);
    for shift in -280..250 {
        let near = |row: &[&str]| (shift..shift + 10).contains(&late(row));
        least("late by tens of half-lives", 3, &near);
    }
}

/// The worked examples of the protocol's section 3.
#[test]
fn asert_examples_of_the_text() {
    let mut spec = regtest();
    (spec.spacing_secs, spec.half_life_secs) = (2, 120);
    spec.genesis_bits = Bits(0x1e0f_ffff);
    let rows = [
        (0, 2, 0x1e0f_ffff),
        (0, 122, 0x1e1f_fffe),
        (99, 260, 0x1e16_a01e),
        (99, 199, 0x1e0f_e877),
        (100, 195, 0x1e0f_5e07),
    ];
    for (height, delta, want) in rows {
        let time = spec.genesis_time - spec.spacing_secs + delta;
        let got = next_bits(
            &spec,
            Anchor {
                height,
                time,
                forgiven: 0,
            },
        );
        assert_eq!(got, Bits(want), "height {height}, delta {delta}");
    }
}

#[test]
fn merkle_roots_of_rfc6962() {
    let rows = json("rfc6962.json");
    for row in rows.as_array().unwrap() {
        let leaves = row["leaves"].as_array().unwrap();
        let leaves: Vec<_> = leaves
            .iter()
            .map(|leaf| hex::decode(leaf.as_str().unwrap()).unwrap())
            .collect();
        let want = format!("0x{}", text(row, "root"));
        assert_eq!(
            merkle::root(&leaves).to_string(),
            want,
            "{}",
            text(row, "name")
        );
    }
    assert!(rows.as_array().unwrap().len() > 40);
}

/// Rule T1, Rule T2 and Rule T3 hold: hash, sender and every field are the signer's.
#[test]
fn valid_transactions() {
    let all = json("transactions.json");
    for row in all["valid"].as_array().unwrap() {
        let (name, raw) = (text(row, "name"), bytes(row, "raw"));
        let chain_id = row["chain_id"].as_u64().unwrap();
        let tx =
            CheckedTransaction::check(&raw, chain_id).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(tx.bytes(), raw, "{name}");
        assert_eq!(tx.hash().0.to_vec(), bytes(row, "hash"), "{name}");
        assert_eq!(tx.sender().to_vec(), bytes(row, "sender"), "{name}");
        assert_eq!(
            u64::from(tx.tx_type()),
            row["type"].as_u64().unwrap(),
            "{name}"
        );
        assert_eq!(tx.nonce().to_string(), text(row, "nonce"), "{name}");
        assert_eq!(tx.gas_limit().to_string(), text(row, "gas_limit"), "{name}");
        assert_eq!(tx.value().to_string(), text(row, "value"), "{name}");
        assert_eq!(tx.input(), bytes(row, "data"), "{name}");
        let to = row["to"].as_str().map(|to| hex::decode(to).unwrap());
        assert_eq!(tx.to().map(|to| to.to_vec()), to, "{name}");
        let fees = match row["gas_price"].as_str() {
            Some(price) => (price, price),
            None => (text(row, "max_fee"), text(row, "priority_fee")),
        };
        assert_eq!(
            (tx.max_fee().to_string(), tx.priority_fee().to_string()),
            (fees.0.into(), fees.1.into()),
            "{name}"
        );
        for base_fee in [0, 1, 1_000_000_000, u64::MAX] {
            let tip = effective_tip_of(&raw, base_fee).unwrap();
            assert_eq!(tip, tx.effective_tip(base_fee), "{name} at {base_fee}");
        }
        // Rule T2: the same bytes are refused on any other chain.
        let other = CheckedTransaction::check(&raw, chain_id + 1);
        assert_eq!(
            other,
            Err(TransactionError::ChainId {
                want: chain_id + 1,
                got: chain_id
            })
        );
    }
}

/// Rule T1, Rule T2 and Rule T3 refuse, each for its own reason; of T4, T5 and T7 what needs no
/// state.
#[test]
fn invalid_transactions() {
    use TransactionError as E;
    let all = json("transactions.json");
    for row in all["invalid"].as_array().unwrap() {
        let (name, rule, why) = (text(row, "name"), text(row, "rule"), text(row, "why"));
        let chain_id = row["chain_id"].as_u64().unwrap();
        let got = CheckedTransaction::check(&bytes(row, "raw"), chain_id);
        let fits = match rule {
            "T1" => matches!(
                got,
                Err(E::TooLarge(_) | E::Malformed(_) | E::NotCanonical | E::Type(_))
            ),
            // A v that names no chain, or a parity other than 0 and 1, does not decode.
            "T2" => matches!(
                got,
                Err(E::ChainId { .. } | E::NoChainId { .. } | E::Malformed(_))
            ),
            "T1 or T2" => matches!(got, Err(E::ChainId { .. } | E::Malformed(_))),
            "T3" => matches!(got, Err(E::HighS | E::Signature | E::Malformed(_))),
            "section 5" => matches!(got, Err(E::Type(3 | 4))),
            "T4" => got.as_ref().is_ok_and(|tx| tx.nonce() == u64::MAX),
            "T5" => limit(&got).is_some_and(|error| matches!(error, LimitError::Tip { .. })),
            "T7" => limit(&got).is_some_and(|error| {
                matches!(
                    error,
                    LimitError::GasTooLow { .. } | LimitError::GasTooHigh { .. }
                )
            }),
            other => panic!("rule {other}"),
        };
        assert!(fits, "{name}: {rule}, {why}, but {got:?}");
        match why {
            "s is above half the order" => assert_eq!(got, Err(E::HighS), "{name}"),
            "type 0 needs an EIP-155 chain id" => {
                assert_eq!(got, Err(E::NoChainId { want: chain_id }), "{name}");
            }
            "r is zero" | "s is zero" | "no curve point has this r" => {
                assert_eq!(got, Err(E::Signature), "{name}");
            }
            "signed for another chain" => {
                assert!(matches!(got, Err(E::ChainId { .. })), "{name}");
            }
            _ => {}
        }
    }
    assert_eq!(all["invalid"].as_array().unwrap().len(), 172);
}

/// Rule T1: 131,072 bytes are a transaction, one more are none.
#[test]
fn t1_size_limit() {
    let wallet = Wallet::new(1);
    let signed = |bytes: usize| {
        let mut transaction = transfer(0, wallet.address, 1);
        transaction.input = vec![1; bytes].into();
        wallet.sign_bytes(transaction)
    };
    let overhead = signed(100_000).len() - 100_000;
    let largest = signed(131_072 - overhead);
    assert_eq!(largest.len(), 131_072);
    assert!(CheckedTransaction::check(&largest, 1338).is_ok());
    let beyond = CheckedTransaction::check(&signed(131_073 - overhead), 1338);
    assert_eq!(beyond, Err(TransactionError::TooLarge(131_073)));
}

fn limit(got: &Result<CheckedTransaction, TransactionError>) -> Option<LimitError> {
    got.as_ref().ok().and_then(|tx| tx.check_limits().err())
}
