//! The encoding of messages and stored values is bincode 1.3's: bincode itself writes and reads the
//! same bytes, through mirror types that share nothing with ours but their order of fields.

use ::bincode::Options;
use alloy_primitives::hex;
use chain::{
    Block, BlockHash, BlockId, ChangeSet, PeerAddress, Receipt, Request, Response, Status, TxHash,
    codec, store::TransactionPlace,
};
use proptest::prelude::{any, proptest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec::{change_set, config, receipts, request, response};

type Word = [u8; 32];

#[derive(Serialize, Deserialize)]
struct MirrorStatus {
    version: u32,
    genesis: Word,
    fork_digest: u32,
    fork_next: u64,
    height: u64,
    head: Word,
    chain_work: Word,
    time: u64,
}

#[derive(Serialize, Deserialize)]
enum MirrorRequest {
    Status(MirrorStatus),
    Headers(Vec<Word>),
    Blocks(Vec<Word>),
    Transactions(Vec<Word>),
    Addresses,
}

#[derive(Serialize, Deserialize)]
enum MirrorResponse {
    Status(MirrorStatus),
    Headers(Vec<Vec<u8>>),
    Blocks(Vec<Vec<u8>>),
    Transactions(Vec<Vec<u8>>),
    Addresses(Vec<Vec<u8>>),
}

#[derive(Serialize, Deserialize)]
struct MirrorAccount {
    nonce: u64,
    balance: u128,
    code_hash: Option<Word>,
}

type MirrorAccountChange = ([u8; 20], Option<MirrorAccount>, Option<MirrorAccount>);
type MirrorSlotChange = ([u8; 20], Word, Word, Word);

#[derive(Serialize, Deserialize)]
struct MirrorChangeSet {
    accounts: Vec<MirrorAccountChange>,
    slots: Vec<MirrorSlotChange>,
    codes: Vec<(Word, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct MirrorReceipt {
    tx_type: u8,
    success: bool,
    cumulative_gas: u64,
    logs: Vec<([u8; 20], Vec<Word>, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct MirrorPlace {
    height: u64,
    hash: Word,
    index: u32,
}

fn status(of: &Status) -> MirrorStatus {
    MirrorStatus {
        version: of.version,
        genesis: of.genesis.0,
        fork_digest: of.fork_digest,
        fork_next: of.fork_next,
        height: of.height,
        head: of.head.0,
        chain_work: of.chain_work,
        time: of.time,
    }
}

fn mirror_request(of: &Request) -> MirrorRequest {
    let words = |list: &[BlockHash]| list.iter().map(|hash| hash.0).collect();
    match of {
        Request::Status(of) => MirrorRequest::Status(status(of)),
        Request::Headers(list) => MirrorRequest::Headers(words(list)),
        Request::Blocks(list) => MirrorRequest::Blocks(words(list)),
        Request::Transactions(list) => {
            MirrorRequest::Transactions(list.iter().map(|hash| hash.0).collect())
        }
        Request::Addresses => MirrorRequest::Addresses,
    }
}

fn mirror_response(of: &Response) -> MirrorResponse {
    match of {
        Response::Status(of) => MirrorResponse::Status(status(of)),
        Response::Headers(list) => {
            MirrorResponse::Headers(list.iter().map(chain::Header::encode).collect())
        }
        Response::Blocks(list) => MirrorResponse::Blocks(list.iter().map(Block::encode).collect()),
        Response::Transactions(list) => MirrorResponse::Transactions(list.clone()),
        Response::Addresses(list) => {
            MirrorResponse::Addresses(list.iter().map(|address| address.0.clone()).collect())
        }
    }
}

fn mirror_changes(of: &ChangeSet) -> MirrorChangeSet {
    let account = |of: &Option<chain::Account>| {
        of.as_ref().map(|of| MirrorAccount {
            nonce: of.nonce,
            balance: of.balance,
            code_hash: of.code_hash,
        })
    };
    let accounts = of.accounts.iter();
    MirrorChangeSet {
        accounts: accounts
            .map(|of| (of.address, account(&of.old), account(&of.new)))
            .collect(),
        slots: of
            .slots
            .iter()
            .map(|of| (of.address, of.slot, of.old, of.new))
            .collect(),
        codes: of
            .codes
            .iter()
            .map(|of| (of.hash, of.bytes.clone()))
            .collect(),
    }
}

fn mirror_receipt(of: &Receipt) -> MirrorReceipt {
    let logs = of
        .logs
        .iter()
        .map(|log| (log.address, log.topics.clone(), log.data.clone()));
    MirrorReceipt {
        tx_type: of.tx_type,
        success: of.success,
        cumulative_gas: of.cumulative_gas,
        logs: logs.collect(),
    }
}

/// bincode writes our bytes, and reads ours to what writes them again, to the last one.
fn same<M: Serialize + DeserializeOwned>(ours: &[u8], mirror: &M) {
    assert_eq!(
        hex::encode(::bincode::serialize(mirror).unwrap()),
        hex::encode(ours)
    );
    let strict = ::bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .reject_trailing_bytes();
    let read: M = strict.deserialize(ours).unwrap();
    assert_eq!(::bincode::serialize(&read).unwrap(), ours);
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn bytes_are_bincodes(
        request in request(), response in response(), changes in change_set(),
        receipts in receipts(), height: u64, hash: [u8; 32], index in any::<u32>(),
    ) {
        same(&request.encode(), &mirror_request(&request));
        same(&response.encode(), &mirror_response(&response));
        same(&codec::encode(&changes), &mirror_changes(&changes));
        let mirrors: Vec<_> = receipts.iter().map(mirror_receipt).collect();
        same(&codec::encode(&receipts), &mirrors);
        let block = BlockId { height, hash: BlockHash(hash) };
        let place = TransactionPlace { block, index };
        same(&codec::encode(&place), &MirrorPlace { height, hash, index });
    }
}

/// Golden bytes: the format changes by no accident, not even together with its library.
#[test]
fn golden_bytes() {
    let hash = "11".repeat(32);
    let cases = [
        (
            Request::Headers(vec![BlockHash([0x11; 32])]).encode(),
            format!("010000000100000000000000{hash}"),
        ),
        (
            Request::Blocks(vec![]).encode(),
            "020000000000000000000000".into(),
        ),
        (
            Request::Transactions(vec![TxHash([0x11; 32])]).encode(),
            format!("030000000100000000000000{hash}"),
        ),
        (
            Response::Transactions(vec![vec![0xaa, 0xbb]]).encode(),
            "0300000001000000000000000200000000000000aabb".into(),
        ),
        (Request::Addresses.encode(), "04000000".into()),
        (
            Response::Addresses(vec![PeerAddress(vec![0xaa, 0xbb])]).encode(),
            "0400000001000000000000000200000000000000aabb".into(),
        ),
        (
            codec::encode(&chain::Account {
                nonce: 1,
                balance: 2,
                code_hash: Some([0x11; 32]),
            }),
            format!("01000000000000000200000000000000000000000000000001{hash}"),
        ),
        (
            codec::encode(&Receipt {
                tx_type: 2,
                success: true,
                cumulative_gas: 21_000,
                logs: vec![],
            }),
            "020108520000000000000000000000000000".into(),
        ),
        (codec::encode(&ChangeSet::default()), "00".repeat(24)),
    ];
    for (bytes, want) in cases {
        assert_eq!(hex::encode(bytes), want);
    }
    let status = Status {
        version: 1,
        genesis: BlockHash([0x11; 32]),
        fork_digest: 2,
        fork_next: 3,
        height: 4,
        head: BlockHash([0x11; 32]),
        chain_work: [0x11; 32],
        time: 5,
    };
    let want = format!(
        "0000000001000000{hash}0200000003000000000000000400000000000000{hash}{hash}0500000000000000"
    );
    assert_eq!(hex::encode(Request::Status(status.clone()).encode()), want);
    assert_eq!(hex::encode(Response::Status(status).encode()), want);
}
