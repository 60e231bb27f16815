//! Every decoder: what it reads it writes back to the same bytes, and no lengths are believed.

use std::fmt::Debug;

use alloy_consensus::{TxEip2930, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{U256, hex};
use chain::{
    Account, Address, Bits, Block, BlockHash, BlockId, Body, ChangeSet, CheckedTransaction,
    Extension, Gossip, Header, Log, PeerAddress, PowHeader, Receipt, Request, Response, Root,
    Status, TxHash, codec,
    execution::{AccountChange, CodeAdded, SlotChange},
    message::MessageError,
    params,
    store::TransactionPlace,
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    test_runner::{Config, RngSeed},
};

use crate::support::builder::{Wallet, transfer};

pub fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(11),
        ..Config::default()
    }
}

/// A decoder and its encoder, over bytes.
type Reencode = fn(&[u8]) -> Option<Vec<u8>>;

fn stored<T>(bytes: &[u8]) -> Option<Vec<u8>>
where
    T: for<'de> wincode::SchemaRead<'de, wincode::config::DefaultConfig, Dst = T>
        + wincode::SchemaWrite<wincode::config::DefaultConfig, Src = T>,
{
    codec::decode::<T>(bytes)
        .ok()
        .map(|value| codec::encode(&value))
}

/// All of them, by name.
pub const DECODERS: [(&str, Reencode); 20] = [
    ("header", |bytes| {
        Header::decode(bytes).ok().map(|it| it.encode())
    }),
    ("body", |bytes| {
        Body::decode(bytes).ok().map(|it| it.encode())
    }),
    ("block", |bytes| {
        Block::decode(bytes).ok().map(|it| it.encode())
    }),
    ("request", |bytes| {
        Request::decode(bytes).ok().map(|it| it.encode())
    }),
    ("response", |bytes| {
        Response::decode(bytes).ok().map(|it| it.encode())
    }),
    ("gossiped block", |bytes| {
        Gossip::decode_block(bytes).ok().map(|it| it.encode())
    }),
    ("gossiped transaction", |bytes| {
        Gossip::decode_transaction(bytes).ok().map(|it| it.encode())
    }),
    ("transaction", |bytes| {
        let checked = CheckedTransaction::check(bytes, 1338).ok()?;
        Some(alloy_eips::eip2718::Encodable2718::encoded_2718(
            checked.envelope(),
        ))
    }),
    ("change set", stored::<ChangeSet>),
    ("receipts", stored::<Vec<Receipt>>),
    ("place", stored::<TransactionPlace>),
    ("account", stored::<Account>),
    ("account change", stored::<AccountChange>),
    ("slot change", stored::<SlotChange>),
    ("code", stored::<CodeAdded>),
    ("log", stored::<Log>),
    ("block id", stored::<BlockId>),
    ("status", stored::<Status>),
    ("hashes", stored::<(BlockHash, TxHash, Root)>),
    ("PoW header", |bytes| {
        let bytes: &[u8; 80] = bytes.try_into().ok()?;
        Some(PowHeader::decode(bytes).encode().to_vec())
    }),
];

fn decoder(name: &str) -> Reencode {
    DECODERS.iter().find(|(other, _)| *other == name).unwrap().1
}

/// What decodes is canonical, whatever was done to the bytes.
fn canonical(name: &str, bytes: &[u8]) {
    if let Some(again) = decoder(name)(bytes) {
        assert_eq!(
            hex::encode(&again),
            hex::encode(bytes),
            "{name} is not canonical"
        );
    }
}

/// The bytes are read back to themselves, and so is every mutant that is accepted.
fn mutants(name: &str, bytes: &[u8], flips: &[u32], tail: &[u8]) {
    assert_eq!(
        decoder(name)(bytes).as_deref(),
        Some(bytes),
        "{name}: round trip"
    );
    for flip in flips {
        let mut mutant = bytes.to_vec();
        if !mutant.is_empty() {
            let bit = *flip as usize % (8 * mutant.len());
            mutant[bit / 8] ^= 1 << (bit % 8);
        }
        canonical(name, &mutant);
        let cut = *flip as usize % (bytes.len() + 1);
        canonical(name, &bytes[..cut]);
        let mut hostile = bytes.to_vec();
        let end = (cut + 8).min(hostile.len());
        hostile[cut..end].copy_from_slice(&u64::from(*flip).to_le_bytes()[..end - cut]);
        canonical(name, &hostile);
    }
    let longer = [bytes, tail].concat();
    canonical(name, &longer);
    if !tail.is_empty() && name != "gossiped transaction" {
        assert_eq!(decoder(name)(&longer), None, "{name}: bytes after the end");
    }
}

pub fn header() -> impl Strategy<Value = Header> {
    let pow = (
        any::<u32>(),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        any::<[u32; 3]>(),
    );
    let roots = any::<[[u8; 32]; 6]>();
    let numbers = (
        any::<[u64; 5]>(),
        any::<[u32; 2]>(),
        any::<[u8; 20]>(),
        any::<[u8; 16]>(),
    );
    (pow, roots, numbers).prop_map(|(pow, roots, (longs, shorts, beneficiary, extra_nonce))| {
        Header {
            pow: PowHeader {
                version: pow.0,
                parent: BlockHash(pow.1),
                commitment: pow.2,
                time: pow.3[0],
                bits: Bits(pow.3[1]),
                nonce: pow.3[2],
            },
            extension: Extension {
                height: longs[0],
                chain_work: U256::from_le_bytes(roots[0]),
                forgiven: longs[1],
                skip: BlockHash(roots[1]),
                beneficiary: Address::from(beneficiary),
                state_root: Root(roots[2]),
                transactions_root: Root(roots[3]),
                receipts_root: Root(roots[4]),
                gas_limit: longs[2],
                gas_used: longs[3],
                base_fee: longs[4],
                transaction_count: shorts[0],
                body_bytes: shorts[1],
                extra_data: roots[5],
                extra_nonce,
            },
        }
    })
}

pub fn body() -> impl Strategy<Value = Body> {
    vec(vec(any::<u8>(), 1..20), 0..5).prop_map(Body)
}

pub fn status() -> impl Strategy<Value = Status> {
    (any::<[[u8; 32]; 3]>(), any::<[u32; 2]>(), any::<[u64; 3]>()).prop_map(
        |(hashes, shorts, longs)| Status {
            version: shorts[0],
            genesis: BlockHash(hashes[0]),
            fork_digest: shorts[1],
            fork_next: longs[0],
            height: longs[1],
            head: BlockHash(hashes[1]),
            chain_work: hashes[2],
            time: longs[2],
        },
    )
}

pub fn request() -> impl Strategy<Value = Request> {
    let hashes = || vec(any::<[u8; 32]>(), 0..5);
    let block_hashes = |list: Vec<_>| list.into_iter().map(BlockHash).collect();
    prop_oneof![
        status().prop_map(Request::Status),
        hashes().prop_map(move |list| Request::Headers(block_hashes(list))),
        hashes().prop_map(move |list| Request::Blocks(block_hashes(list))),
        hashes().prop_map(|list| Request::Transactions(list.into_iter().map(TxHash).collect())),
        Just(Request::Addresses),
    ]
}

pub fn response() -> impl Strategy<Value = Response> {
    let block = (header(), body()).prop_map(|(header, body)| Block { header, body });
    prop_oneof![
        status().prop_map(Response::Status),
        vec(header(), 0..3).prop_map(Response::Headers),
        vec(block, 0..3).prop_map(Response::Blocks),
        vec(vec(any::<u8>(), 0..20), 0..4).prop_map(Response::Transactions),
        vec(vec(any::<u8>(), 0..129).prop_map(PeerAddress), 0..4).prop_map(Response::Addresses),
    ]
}

pub fn change_set() -> impl Strategy<Value = ChangeSet> {
    let account = (any::<u64>(), any::<u128>(), option::of(any::<[u8; 32]>()));
    let account = account.prop_map(|(nonce, balance, code_hash)| Account {
        nonce,
        balance,
        code_hash,
    });
    let change = (
        any::<[u8; 20]>(),
        option::of(account.clone()),
        option::of(account),
    );
    let change = change.prop_map(|(address, old, new)| AccountChange { address, old, new });
    let slot =
        (any::<[u8; 20]>(), any::<[[u8; 32]; 3]>()).prop_map(|(address, words)| SlotChange {
            address,
            slot: words[0],
            old: words[1],
            new: words[2],
        });
    let code = (any::<[u8; 32]>(), vec(any::<u8>(), 0..30));
    let code = code.prop_map(|(hash, bytes)| CodeAdded { hash, bytes });
    (vec(change, 0..4), vec(slot, 0..4), vec(code, 0..3)).prop_map(|(accounts, slots, codes)| {
        ChangeSet {
            accounts,
            slots,
            codes,
        }
    })
}

pub fn receipts() -> impl Strategy<Value = Vec<Receipt>> {
    let log = (
        any::<[u8; 20]>(),
        vec(any::<[u8; 32]>(), 0..5),
        vec(any::<u8>(), 0..20),
    );
    let log = log.prop_map(|(address, topics, data)| Log {
        address,
        topics,
        data,
    });
    let receipt = (0_u8..3, any::<bool>(), any::<u64>(), vec(log, 0..3));
    let receipt = receipt.prop_map(|(tx_type, success, cumulative_gas, logs)| Receipt {
        tx_type,
        success,
        cumulative_gas,
        logs,
    });
    vec(receipt, 0..4)
}

fn equal<T: PartialEq + Debug, E: Debug>(got: Result<T, E>, want: &T) {
    assert_eq!(&got.unwrap(), want);
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn headers_and_blocks(header in header(), body in body(), flips: [u32; 24], tail in vec(any::<u8>(), 0..9)) {
        mutants("header", &header.encode(), &flips, &tail);
        mutants("body", &body.encode(), &flips, &tail);
        equal(Header::decode(&header.encode()), &header);
        assert_eq!(body.encode().len(), body.encoded_len());
        equal(Body::decode(&body.encode()), &body);
        let block = Block { header, body };
        equal(Block::decode(&block.encode()), &block);
        mutants("block", &block.encode(), &flips, &tail);
        mutants("gossiped block", &block.encode(), &flips, &tail);
    }

    #[test]
    fn messages(request in request(), response in response(), flips: [u32; 24], tail in vec(any::<u8>(), 0..9)) {
        equal(Request::decode(&request.encode()), &request);
        equal(Response::decode(&response.encode()), &response);
        mutants("request", &request.encode(), &flips, &tail);
        mutants("response", &response.encode(), &flips, &tail);
    }

    #[test]
    fn stored_values(changes in change_set(), receipts in receipts(), flips: [u32; 24], tail in vec(any::<u8>(), 0..9), hash: [u8; 32], height: u64, index: u32) {
        mutants("change set", &codec::encode(&changes), &flips, &tail);
        mutants("receipts", &codec::encode(&receipts), &flips, &tail);
        let place = TransactionPlace { block: BlockId { height, hash: BlockHash(hash) }, index };
        mutants("place", &codec::encode(&place), &flips, &tail);
        for account in changes.accounts.iter().filter_map(|change| change.old.as_ref()) {
            mutants("account", &codec::encode(account), &flips, &tail);
        }
        equal(codec::decode(&codec::encode(&changes)), &changes);
        equal(codec::decode(&codec::encode(&receipts)), &receipts);
        equal(codec::decode(&codec::encode(&place)), &place);
    }

    /// What stands in messages and stored values, each by itself.
    #[test]
    fn parts(changes in change_set(), receipts in receipts(), status in status(), header in header(), hashes: [[u8; 32]; 3], height: u64, flips: [u32; 24], tail in vec(any::<u8>(), 0..9)) {
        for change in &changes.accounts {
            mutants("account change", &codec::encode(change), &flips, &tail);
        }
        for change in &changes.slots {
            mutants("slot change", &codec::encode(change), &flips, &tail);
        }
        for code in &changes.codes {
            mutants("code", &codec::encode(code), &flips, &tail);
        }
        for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
            mutants("log", &codec::encode(log), &flips, &tail);
        }
        let hashes = (BlockHash(hashes[0]), TxHash(hashes[1]), Root(hashes[2]));
        mutants("hashes", &codec::encode(&hashes), &flips, &tail);
        let id = BlockId { height, hash: hashes.0 };
        mutants("block id", &codec::encode(&id), &flips, &tail);
        mutants("status", &codec::encode(&status), &flips, &tail);
        mutants("PoW header", &header.pow.encode(), &flips, &tail);
    }

    /// Rule T1: the older types too, with and without what they may lack.
    #[test]
    fn t1_older_transactions(nonce: u64, wei: u64, gas_limit: u64, fee: u64, data in vec(any::<u8>(), 0..40), keys in vec(any::<[u8; 32]>(), 0..3), flips: [u32; 24], tail in vec(any::<u8>(), 0..9)) {
        let wallet = Wallet::new(1);
        let (value, gas_price, to) = (U256::from(wei), u128::from(fee), wallet.address.into());
        let legacy = TxLegacy { chain_id: Some(1338), nonce, gas_price, gas_limit, to, value, input: data.clone().into() };
        mutants("transaction", &wallet.sign_bytes(legacy), &flips, &tail);
        let storage_keys = keys.into_iter().map(Into::into).collect();
        let item = AccessListItem { address: wallet.address, storage_keys };
        let access_list = AccessList(vec![item]);
        let listed = TxEip2930 { chain_id: 1338, nonce, gas_price, gas_limit, to, value, access_list, input: data.into() };
        mutants("transaction", &wallet.sign_bytes(listed), &flips, &tail);
    }

    /// Rule T1; C15: a mutant of a signed transaction is refused, or it is another one with another
    /// hash.
    #[test]
    fn t1_c15_transactions(nonce: u64, wei: u64, data in vec(any::<u8>(), 0..40), flips: [u32; 24], tail in vec(any::<u8>(), 0..9)) {
        let wallet = Wallet::new(1);
        let mut transaction = transfer(nonce, wallet.address, u128::from(wei));
        transaction.input = data.into();
        let bytes = wallet.sign_bytes(transaction);
        mutants("transaction", &bytes, &flips, &tail);
        let hash = CheckedTransaction::check(&bytes, 1338).unwrap().hash();
        for flip in flips {
            let mut mutant = bytes.clone();
            let bit = flip as usize % (8 * mutant.len());
            mutant[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = CheckedTransaction::check(&mutant, 1338) {
                assert_ne!(other.hash(), hash);
            }
        }
    }

    /// Bytes from nowhere: nothing panics, and what decodes is canonical.
    #[test]
    fn random_bytes(bytes in vec(prop_oneof![0_u8..5, any::<u8>()], 0..500)) {
        for (name, _) in DECODERS {
            canonical(name, &bytes);
        }
    }
}

/// P9: a list's length is held against its limit before anything is read or set aside; measured
/// with a counting allocator, no decoder of messages took more than 64 KiB beyond its input.
#[test]
fn p9_hostile_lengths() {
    type Case = (u32, u64, fn(&[u8]) -> Option<MessageError>);
    let request: fn(&[u8]) -> _ = |bytes| Request::decode(bytes).err();
    let response: fn(&[u8]) -> _ = |bytes| Response::decode(bytes).err();
    let cases: [Case; 7] = [
        (1, 64, request),
        (2, 32, request),
        (3, 256, request),
        (1, 1_024, response),
        (2, 32, response),
        (3, 256, response),
        (4, 64, response),
    ];
    for (variant, limit, decode) in cases {
        let message = |count: u64| [&variant.to_le_bytes()[..], &count.to_le_bytes()].concat();
        for count in [limit + 1, 100_000, 1 << 40, u64::MAX] {
            let (want, got) = (limit as usize, count as usize);
            assert_eq!(
                decode(&message(count)),
                Some(MessageError::TooMany { want, got })
            );
        }
        for count in [1, limit] {
            let error = decode(&message(count)).unwrap();
            assert!(
                matches!(error, MessageError::Malformed(_)),
                "{variant} {count}: {error}"
            );
        }
        assert_eq!(decode(&message(0)), None, "an empty list");
    }
    for (name, decode) in DECODERS {
        for count in [1_u64 << 20, 1 << 40, u64::MAX] {
            for zeros in [0, 4, 8, 12, 16, 20] {
                let bytes = [&vec![0; zeros][..], &count.to_le_bytes()].concat();
                canonical(name, &bytes);
                assert!(name == "gossiped transaction" || decode(&bytes).is_none());
            }
        }
    }
}

/// Each kind of message has a largest size.
#[test]
fn sizes_are_limited() {
    let too_large = |want| move |got| Some(MessageError::TooLarge { want, got });
    let zeros = |size: usize| vec![0; size];
    for over in [1, 1_000] {
        let (size, error) = (
            params::REQUEST_BYTES_MAX + over,
            too_large(params::REQUEST_BYTES_MAX),
        );
        assert_eq!(Request::decode(&zeros(size)).err(), error(size));
        let (size, error) = (
            params::RESPONSE_BYTES_MAX + over,
            too_large(params::RESPONSE_BYTES_MAX),
        );
        assert_eq!(Response::decode(&zeros(size)).err(), error(size));
        let (size, error) = (
            params::GOSSIP_BYTES_MAX + over,
            too_large(params::GOSSIP_BYTES_MAX),
        );
        assert_eq!(Gossip::decode_block(&zeros(size)).err(), error(size));
        let max = params::TRANSACTION_BYTES_MAX;
        assert_eq!(
            Gossip::decode_transaction(&zeros(max + over)).err(),
            too_large(max)(max + over)
        );
    }
    let addresses = |size| Response::Addresses(vec![PeerAddress(vec![7; size]); 64]);
    let max = params::PEER_ADDRESS_BYTES_MAX;
    let (fits, long) = (addresses(max), addresses(max + 1).encode());
    assert_eq!(Response::decode(&long).err(), too_large(max)(max + 1));
    assert_eq!(Response::decode(&fits.encode()), Ok(fits));
    let longest = [0; 64].map(|_| BlockHash::default()).to_vec();
    assert!(Request::Headers(longest).encode().len() < params::REQUEST_BYTES_MAX);
    let headers = vec![Header::default(); params::HEADERS_MAX];
    let response = Response::Headers(headers);
    assert!(response.encode().len() < params::RESPONSE_BYTES_MAX);
    assert_eq!(Response::decode(&response.encode()), Ok(response));
}
