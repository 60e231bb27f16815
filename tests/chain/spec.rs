//! The chain spec: what is refused and in which words, and what the genesis hash commits to.
#![allow(
    clippy::needless_pass_by_value,
    reason = "json! reads best without a reference"
)]

use alloy_primitives::U256;
use chain::{
    Bits, BlockHash, ChainSpec, Root,
    params::SPEC_BYTES_MAX,
    spec::{ForkId, SpecError, Upgrade},
};
use serde_json::{Value as Json, json};

fn regtest() -> Json {
    serde_json::from_str(ChainSpec::builtin("regtest").unwrap()).unwrap()
}

fn parse(value: &Json) -> Result<ChainSpec, SpecError> {
    ChainSpec::parse(&value.to_string()).map(|parsed| parsed.spec)
}

/// Sets a value by its path of keys and parses.
fn with(path: &str, value: Json) -> Result<ChainSpec, SpecError> {
    let mut spec = regtest();
    let (mut at, mut keys) = (&mut spec, path.split('.').peekable());
    while let Some(key) = keys.next() {
        at = &mut at[key];
        if keys.peek().is_none() {
            *at = value.clone();
        }
    }
    parse(&spec)
}

/// Refused, in a sentence that names these things.
fn refused(path: &str, value: Json, words: &[&str]) {
    let error = with(path, value.clone())
        .expect_err(&format!("{path} {value}"))
        .to_string();
    for word in words {
        assert!(
            error.contains(word),
            "{path} {value}: {error:?} without {word:?}"
        );
    }
}

/// A change to a spec, by name.
type Change = (&'static str, Box<dyn Fn(&mut ChainSpec)>);

/// Section 7: the genesis hash commits to every parameter in force at height 0.
#[test]
fn genesis_hash_commits_to_every_parameter() {
    let base = parse(&regtest()).unwrap();
    let hash = |spec: &ChainSpec| spec.genesis(Root([7; 32])).header.hash();
    let changes: [Change; 15] = [
        ("chain_id", Box::new(|spec| spec.chain_id += 1)),
        ("time", Box::new(|spec| spec.genesis_time += 1)),
        ("base_fee", Box::new(|spec| spec.genesis_base_fee += 1)),
        ("spacing", Box::new(|spec| spec.spacing_secs += 1)),
        ("half_life", Box::new(|spec| spec.half_life_secs += 1)),
        ("pow_limit", Box::new(|spec| spec.pow_limit_bits.0 -= 1)),
        ("genesis_bits", Box::new(|spec| spec.genesis_bits.0 -= 1)),
        ("halving", Box::new(|spec| spec.halving_interval += 1)),
        ("dev", Box::new(|spec| spec.dev ^= true)),
        ("gas_limit", Box::new(|spec| spec.base.gas_limit += 1)),
        (
            "block_bytes",
            Box::new(|spec| spec.base.block_bytes_max -= 1),
        ),
        ("base_fee_min", Box::new(|spec| spec.base.base_fee_min -= 1)),
        ("reward", Box::new(|spec| spec.base.reward_wei += 1)),
        (
            "reward, high half",
            Box::new(|spec| spec.base.reward_wei += 1 << 100),
        ),
        ("nothing", Box::new(|_| {})),
    ];
    let mut hashes = std::collections::BTreeSet::new();
    for (name, change) in &changes {
        let mut spec = base.clone();
        change(&mut spec);
        assert!(
            hashes.insert(hash(&spec)),
            "{name} does not change the hash"
        );
    }
    assert_ne!(
        hash(&base),
        base.genesis(Root([8; 32])).header.hash(),
        "the state root"
    );
    let mut upgraded = base.clone();
    upgraded.upgrades.push(upgrade(5));
    assert_eq!(
        hash(&base),
        hash(&upgraded),
        "an upgrade founds no new network"
    );
}

/// Section 7: the genesis block, field by field; changed by no accident.
#[test]
fn genesis_block() {
    let spec = parse(&regtest()).unwrap();
    let block = spec.genesis(Root([7; 32]));
    let (pow, extension) = (block.header.pow, &block.header.extension);
    assert_eq!(
        (pow.version, pow.parent, pow.nonce),
        (0x2000_0000, BlockHash::default(), 0)
    );
    assert_eq!((pow.time, pow.bits), (spec.genesis_time, Bits(0x207f_ffff)));
    assert_eq!(pow.commitment, extension.commitment());
    assert_eq!(
        (extension.height, extension.chain_work, extension.forgiven),
        (0, U256::ZERO, 0)
    );
    assert_eq!((extension.gas_limit, extension.gas_used), (30_000_000, 0));
    assert_eq!((extension.transaction_count, extension.body_bytes), (0, 8));
    assert_eq!(extension.base_fee, 1_000_000_000);
    let empty = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(extension.transactions_root.to_string(), empty);
    assert_eq!(extension.receipts_root.to_string(), empty);
    assert_eq!(block.body.encode(), [0; 8]);
}

/// Section 7: numbers out of their ranges, each with its range in the sentence.
#[test]
fn refused_numbers() {
    let cases = [
        ("config.chainId", json!(0), "from 1"),
        (
            "config.chainId",
            json!("0x10000000000000000"),
            "18446744073709551616",
        ),
        ("config.chainId", Json::Null, "null"),
        ("lignum.spacing_secs", json!(0), "from 1"),
        ("lignum.half_life_secs", json!(0), "from 1"),
        ("timestamp", json!(0), "from 1"),
        ("timestamp", json!("0x100000000"), "got 4294967296"),
        (
            "gasLimit",
            json!(20_999),
            "from 21000 to 300000000, got 20999",
        ),
        ("gasLimit", json!(300_000_001), "got 300000001"),
        (
            "lignum.block_bytes_max",
            json!(1_023),
            "from 1024 to 2097152, got 1023",
        ),
        ("lignum.block_bytes_max", json!(2_097_153), "got 2097153"),
        ("lignum.genesis_bits", json!("0x2100ffff"), "0x207fffff"),
    ];
    for (path, value, words) in cases {
        let name = path.rsplit('.').next().unwrap();
        refused(path, value, &[name, words]);
    }
    for name in ["pow_limit_bits", "genesis_bits"] {
        for bits in ["0x20800000", "0", "0x21007fff", "0x22010000", "0x01000001"] {
            refused(&format!("lignum.{name}"), json!(bits), &[name, "canonical"]);
        }
    }
}

/// Section 7: accounts that cannot be, sums that do not fit, keys that nobody knows.
#[test]
fn refused_accounts_and_sums() {
    let address = "alloc.0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let of = |field: &str| format!("{address}.{field}");
    let slots = json!({"0x1": "0x2"});
    refused(&of("storage"), slots, &["storage", "no code"]);
    refused(&of("code"), json!("0xef00"), &["code", "0xef", "EIP-3541"]);
    refused(&of("code"), json!("0xzz"), &["code", "hex", "0xzz"]);
    let most = json!(u128::MAX.to_string());
    refused(&of("balance"), most, &["alloc", "2^128"]);
    let reward = json!("20000000000000000000");
    refused("lignum.reward_wei", reward, &["alloc", "2^128"]);
    let account = json!({"balance": "1"});
    refused("alloc.0x12", account, &["alloc", "20 bytes", "0x12"]);
    let unknown = ["spacing_seconds", "unknown"];
    refused("lignum.spacing_seconds", json!(1), &unknown);
    refused("lignum.dev", Json::Null, &["readable"]);
    let long = format!("{}{}", regtest(), " ".repeat(SPEC_BYTES_MAX));
    let too_large = SpecError::TooLarge(long.len());
    assert_eq!(ChainSpec::parse(&long).unwrap_err(), too_large);
    let error = ChainSpec::parse("{").unwrap_err().to_string();
    assert!(error.contains("not readable"), "{error}");
}

/// Section 7: an upgrade keeps to the same ranges, and heights rise from 1.
#[test]
fn refused_upgrades() {
    for upgrade in [
        json!({"height": 5, "gas_limit": 20_999}),
        json!({"height": 5, "block_bytes_max": 2_097_153}),
        json!({"height": 0}),
        json!({"height": 5, "rule_set": "amsterdam"}),
        json!({"height": 5, "gaslimit": 30_000}),
        json!({"height": 5, "reward_wei": "20000000000000000000"}),
    ] {
        let result = with("lignum.upgrades", json!([upgrade]));
        assert!(result.is_err(), "{upgrade}");
    }
    let both = |a: u64, b: u64| with("lignum.upgrades", json!([{"height": a}, {"height": b}]));
    assert!(both(5, 6).is_ok());
    assert!(both(5, 5).is_err());
    assert!(both(6, 5).is_err());
    assert!(both(u64::MAX, u64::MAX).is_err(), "to the very end");
}

/// A missing key is named.
#[test]
fn missing_keys() {
    for key in [
        "spacing_secs",
        "half_life_secs",
        "pow_limit_bits",
        "genesis_bits",
        "reward_wei",
        "halving_interval",
        "block_bytes_max",
        "base_fee_min",
        "dev",
    ] {
        let mut spec = regtest();
        spec["lignum"].as_object_mut().unwrap().remove(key);
        assert!(parse(&spec).unwrap_err().to_string().contains(key), "{key}");
    }
    for key in ["config", "gasLimit", "timestamp", "lignum"] {
        let mut spec = regtest();
        spec.as_object_mut().unwrap().remove(key);
        assert!(parse(&spec).unwrap_err().to_string().contains(key), "{key}");
    }
    let mut spec = regtest();
    spec["config"].as_object_mut().unwrap().remove("chainId");
    assert!(parse(&spec).unwrap_err().to_string().contains("chainId"));
}

/// Two values for one parameter are an error wherever they stand.
#[test]
fn duplicates() {
    let text = regtest().to_string();
    let cases = [
        ("\"chainId\":1338", "\"chainId\":1338,\"chainId\":1339"),
        ("\"dev\":true", "\"dev\":true,\"dev\":false"),
        (
            "\"spacing_secs\":1",
            "\"spacing_secs\":1,\"spacing_secs\":2",
        ),
        ("\"gasLimit\":", "\"gasLimit\":\"21000\",\"gasLimit\":"),
        ("\"timestamp\":", "\"timestamp\":\"1\",\"timestamp\":"),
        ("\"alloc\":{", "\"alloc\":{},\"alloc\":{"),
        ("\"config\":{", "\"config\":{\"chainId\":1},\"config\":{"),
        (
            "\"config\":{",
            "\"config\":{\"berlinBlock\":5,\"berlinBlock\":0,",
        ),
        (
            "\"alloc\":{",
            "\"alloc\":{\"0xF39FD6E51AAD88F6F4CE6AB8827279CFFFB92266\":{\"balance\":\"1\"},",
        ),
        (
            "\"alloc\":{",
            "\"alloc\":{\"f39fd6e51aad88f6f4ce6ab8827279cfffb92266\":{\"balance\":\"1\"},",
        ),
        (
            "\"alloc\":{",
            "\"alloc\":{\"0x0000000000000000000000000000000000000001\":{\"code\":\"0x00\",\
             \"storage\":{\"0x1\":\"0x2\",\"0x01\":\"0x3\"}},",
        ),
        (
            "\"alloc\":{",
            "\"alloc\":{\"0x0000000000000000000000000000000000000001\":{\"code\":\"0x00\",\
             \"storage\":{\"0x1\":\"0x2\",\"0x1\":\"0x3\"}},",
        ),
    ];
    for (from, to) in cases {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        let result = ChainSpec::parse(&changed);
        assert!(result.is_err(), "{to}");
    }
}

/// Fork times of geth's format: 0 is what we are, anything else contradicts it.
#[test]
fn forks() {
    for key in [
        "homesteadBlock",
        "londonBlock",
        "shanghaiTime",
        "pragueTime",
        "osakaTime",
    ] {
        let path = format!("config.{key}");
        assert!(with(&path, json!(0)).is_ok(), "{key}");
        assert!(with(&path, json!("0x0")).is_ok(), "{key}");
        refused(&path, json!(1), &[key, "1", "Osaka"]);
        refused(&path, json!("1700000000"), &[key, "1700000000"]);
    }
    refused("config.amsterdamTime", json!(0), &["amsterdamTime"]);
    refused("config.bpo1Time", json!(5), &["bpo1Time"]);
}

/// Keys that mean nothing here are ignored, each with a warning.
#[test]
fn warnings() {
    let mut spec = regtest();
    spec["difficulty"] = json!("0x1");
    spec["coinbase"] = json!("0x0000000000000000000000000000000000000000");
    spec["config"]["terminalTotalDifficulty"] = json!(0);
    spec["config"]["ethash"] = json!({});
    let parsed = ChainSpec::parse(&spec.to_string()).unwrap();
    let all = parsed.warnings.join("\n");
    for key in [
        "difficulty",
        "coinbase",
        "config.terminalTotalDifficulty",
        "config.ethash",
    ] {
        assert!(all.contains(key), "{all}");
    }
    assert_eq!(parsed.warnings.len(), 4);
    assert_eq!(parsed.spec, parse(&regtest()).unwrap());
}

/// Numbers are JSON numbers, decimal or 0x-hex text, in geth's way; nothing else.
#[test]
fn numbers() {
    for value in [
        json!(22_000),
        json!("22000"),
        json!("0x55f0"),
        json!("0x055F0"),
    ] {
        assert_eq!(
            with("gasLimit", value.clone()).unwrap().base.gas_limit,
            22_000,
            "{value}"
        );
    }
    let bad = [
        json!("22_000"),
        json!("0x5_5f0"),
        json!("0x"),
        json!(""),
        json!(" 22000"),
        json!("+22000"),
        json!("-1"),
        json!(-1),
        json!(22_000.5),
        json!("22000.0"),
        json!("0X55f0"),
        json!("55f0"),
        json!(true),
        json!([22_000]),
        json!("0x0x55f0"),
        json!("2e4"),
        json!("_"),
    ];
    for value in bad {
        assert!(with("gasLimit", value.clone()).is_err(), "{value}");
    }
    let slots = |slot: &str| {
        let account = json!({"code": "0x00", "storage": {slot: "0x01"}});
        with("alloc.0x0000000000000000000000000000000000000001", account)
    };
    assert_eq!(
        slots("0x10").unwrap().alloc[0].storage,
        slots("10").unwrap().alloc[0].storage
    );
    assert!(slots("0x0x10").is_err());
    let absent = {
        let mut spec = regtest();
        spec.as_object_mut().unwrap().remove("baseFeePerGas");
        parse(&spec).unwrap()
    };
    assert_eq!(
        absent.genesis_base_fee, 1_000_000_000,
        "raised to base_fee_min"
    );
}

/// All built-in specs are readable without a warning, and a devnet gets its time and bits.
#[test]
fn built_in_specs() {
    for name in ["devnet", "testnet", "regtest"] {
        let parsed = ChainSpec::parse(ChainSpec::builtin(name).unwrap()).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new(), "{name}");
        assert_eq!(parsed.spec.dev, name != "testnet");
        assert_eq!(parsed.spec.base.gas_limit, 30_000_000);
    }
    assert_eq!(ChainSpec::builtin("mainnet"), None);
    let made = ChainSpec::parse(&ChainSpec::devnet(1_800_000_000, Bits(0x1e0f_ffff))).unwrap();
    assert_eq!(made.spec.genesis_time, 1_800_000_000);
    assert_eq!(made.spec.genesis_bits, Bits(0x1e0f_ffff));
}

fn upgrade(height: u64) -> Upgrade {
    Upgrade {
        height,
        gas_limit: Some(21_000 + height),
        block_bytes_max: None,
        base_fee_min: None,
        reward_wei: None,
    }
}

/// Section 7's table of fork ids: behind, equal, ahead, and each with the wrong next.
#[test]
fn fork_ids() {
    let mut ours = parse(&regtest()).unwrap();
    ours.upgrades = vec![upgrade(10), upgrade(20)];
    let mut old = ours.clone();
    old.upgrades.pop();
    let mut other = ours.clone();
    other.upgrades[1].gas_limit = Some(99_999);
    let genesis = BlockHash([1; 32]);
    let accepts = |us: &ChainSpec, at, them: &ChainSpec, their| {
        us.is_compatible(genesis, at, them.fork_id(genesis, their))
    };
    for (at, their) in [
        (0, 0),
        (0, 9),
        (9, 10),
        (10, 5),
        (25, 0),
        (25, 15),
        (5, 25),
        (15, 25),
    ] {
        assert!(
            accepts(&ours, at, &ours, their),
            "same rules, {at} and {their}"
        );
    }
    assert!(accepts(&ours, 15, &old, 15), "it has time to upgrade");
    assert!(
        accepts(&old, 15, &ours, 15),
        "it expects more than we know, later"
    );
    assert!(
        !accepts(&old, 25, &ours, 15),
        "it passed by one that we ignore"
    );
    assert!(!accepts(&ours, 25, &old, 25), "it ignored the second");
    assert!(!accepts(&old, 25, &ours, 25), "we did");
    assert!(!accepts(&ours, 25, &other, 25), "another second upgrade");
    let made_up = ForkId { digest: 1, next: 0 };
    assert!(!ours.is_compatible(genesis, 0, made_up));
    assert!(!ours.is_compatible(BlockHash([2; 32]), 0, ours.fork_id(genesis, 0)));
}
