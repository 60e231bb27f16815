//! From bytes to inputs, as the real shell does it: decode, check without state, charge the sender
//! with what fails.
//!
//! The check is a function of bytes and spec alone, so its result is kept: every node decodes
//! every message for itself, and a signature is recovered once.

use std::collections::BTreeMap;

use chain::{
    Block, BlockHash, ChainSpec, CheckedBlock, CheckedHeader, CheckedTransaction, Fault, Gossip,
    Header, Input, Peer, Request, Response, check::CheckError, params::RESPONSE_BYTES_MAX,
    transaction::TransactionError,
};

type Checks<T, R> = BTreeMap<BlockHash, Vec<(T, Result<R, CheckError>)>>;

/// The results of checks so far.
#[derive(Default)]
pub struct Wire {
    blocks: Checks<Block, CheckedBlock>,
    headers: Checks<Header, CheckedHeader>,
    transactions: BTreeMap<Vec<u8>, Result<CheckedTransaction, TransactionError>>,
}

/// The two topics of gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Blocks,
    Transactions,
}

fn remembered<T: PartialEq + Clone, R: Clone>(
    known: &mut Checks<T, R>,
    hash: BlockHash,
    item: T,
    check: impl Fn(T) -> Result<R, CheckError>,
) -> Result<R, CheckError> {
    let known = known.entry(hash).or_default();
    if let Some((_, result)) = known.iter().find(|(other, _)| *other == item) {
        return result.clone();
    }
    let result = check(item.clone());
    known.push((item, result.clone()));
    result
}

impl Wire {
    pub fn block(&mut self, block: Block, spec: &ChainSpec) -> Result<CheckedBlock, CheckError> {
        let hash = block.header.hash();
        remembered(&mut self.blocks, hash, block, |block| {
            CheckedBlock::check(block, spec)
        })
    }

    fn header(&mut self, header: Header, spec: &ChainSpec) -> Result<CheckedHeader, CheckError> {
        let hash = header.hash();
        let check = |header| CheckedHeader::check(header, spec);
        remembered(&mut self.headers, hash, header, check)
    }

    pub fn transaction(
        &mut self,
        bytes: &[u8],
        spec: &ChainSpec,
    ) -> Result<CheckedTransaction, TransactionError> {
        if let Some(result) = self.transactions.get(bytes) {
            return result.clone();
        }
        let result = CheckedTransaction::check(bytes, spec.chain_id);
        self.transactions.insert(bytes.to_vec(), result.clone());
        result
    }

    /// The input that gossiped bytes are.
    pub fn gossip(&mut self, from: Peer, topic: Topic, bytes: &[u8], spec: &ChainSpec) -> Input {
        let message = match topic {
            Topic::Blocks => Gossip::decode_block(bytes),
            Topic::Transactions => Gossip::decode_transaction(bytes),
        };
        match message {
            Ok(Gossip::Block(block)) => self.checked_block(from, block, spec),
            Ok(Gossip::Transaction(bytes)) => self.checked_transactions(from, &[bytes], spec),
            Err(_) => refused(from, Fault::Malformed),
        }
    }

    /// The inputs that an answer is.
    pub fn response(
        &mut self,
        from: Peer,
        request: Request,
        bytes: &[u8],
        spec: &ChainSpec,
    ) -> Vec<Input> {
        let fails = |fault, request| vec![refused(from, fault), Input::Answered { from, request }];
        let Ok(response) = Response::decode(bytes) else {
            return fails(Fault::Malformed, request);
        };
        assert!(
            bytes.len() <= RESPONSE_BYTES_MAX,
            "read an answer of {} bytes",
            bytes.len()
        );
        match (&request, response) {
            (Request::Status(_), Response::Status(status)) => vec![Input::Status { from, status }],
            (Request::Headers(_), Response::Headers(headers)) => {
                let headers = headers.into_iter().map(|header| self.header(header, spec));
                match headers.collect::<Result<Vec<_>, _>>() {
                    Ok(headers) => vec![Input::Headers { from, headers }],
                    Err(error) => fails(error.fault(), request),
                }
            }
            (Request::Blocks(asked), Response::Blocks(blocks)) => {
                let mut inputs = Vec::new();
                for block in blocks {
                    let is_asked = asked.contains(&block.header.hash());
                    inputs.push(match is_asked {
                        true => self.checked_block(from, block, spec),
                        false => refused(from, Fault::Unsolicited),
                    });
                }
                inputs.push(Input::Answered { from, request });
                inputs
            }
            (Request::Transactions(_), Response::Transactions(items)) => {
                vec![self.checked_transactions(from, &items, spec)]
            }
            _ => fails(Fault::Unsolicited, request),
        }
    }

    fn checked_block(&mut self, from: Peer, block: Block, spec: &ChainSpec) -> Input {
        let hash = Some(block.header.hash());
        match self.block(block, spec) {
            Ok(block) => {
                let from = Some(from);
                Input::Block { from, block }
            }
            Err(error) => {
                let fault = error.fault();
                Input::Refused { from, hash, fault }
            }
        }
    }

    fn checked_transactions(&mut self, from: Peer, items: &[Vec<u8>], spec: &ChainSpec) -> Input {
        let checked = items.iter().map(|bytes| self.transaction(bytes, spec));
        match checked.collect::<Result<Vec<_>, _>>() {
            Ok(transactions) => Input::Transactions { from, transactions },
            Err(_) => refused(from, Fault::InvalidTransaction),
        }
    }
}

fn refused(from: Peer, fault: Fault) -> Input {
    let hash = None;
    Input::Refused { from, hash, fault }
}
