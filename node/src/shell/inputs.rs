//! From messages to inputs: each is checked without state, and what fails is its sender's fault.
//!
//! Runs on rayon's threads. Called by `bridge`.

use chain::{
    Block, BlockHash, ChainSpec, CheckedBlock, Fault, Gossip, Input, MatchedBlock, Peer, Request,
    Response, check::CheckError, params::HEADER_WIRE_BYTES,
};
use tracing::debug;

use super::{
    check::{self, Senders},
    gate::{Gate, Look},
};

/// The input that a gossiped message is.
pub fn of_gossip(
    from: Peer,
    message: Gossip,
    spec: &ChainSpec,
    senders: &Senders,
    gate: &Gate,
) -> Input {
    match message {
        Gossip::Block(block) => gossiped_block(from, block, spec, senders, gate),
        Gossip::Transaction(bytes) => checked_transactions(from, &[bytes], spec),
    }
}

/// The inputs that an answer is.
pub fn of_response(
    from: Peer,
    request: Request,
    response: Response,
    spec: &ChainSpec,
    senders: &Senders,
) -> Vec<Input> {
    match (&request, response) {
        (Request::Status(_), Response::Status(status)) => vec![Input::Status { from, status }],
        (Request::Headers(_), Response::Headers(headers)) => match check::headers(headers, spec) {
            Ok(headers) => vec![Input::Headers { from, headers }],
            Err(error) => refused(from, None, error.fault(), request),
        },
        (Request::Blocks(asked), Response::Blocks(blocks)) => {
            let mut inputs = checked_blocks(from, asked, blocks, spec, senders);
            inputs.push(Input::Answered { from, request });
            inputs
        }
        (Request::Transactions(_), Response::Transactions(items)) => {
            vec![checked_transactions(from, &items, spec)]
        }
        _ => refused(from, None, Fault::Unsolicited, request),
    }
}

/// Bytes of a gossiped message on the wire, about.
pub fn gossip_bytes(message: &Gossip) -> usize {
    match message {
        Gossip::Block(block) => block_bytes(block),
        Gossip::Transaction(bytes) => bytes.len(),
    }
}

/// Bytes of an answer on the wire, about.
pub fn response_bytes(response: &Response) -> usize {
    match response {
        Response::Status(_) | Response::Addresses(_) => 0,
        Response::Headers(headers) => headers.len() * HEADER_WIRE_BYTES,
        Response::Blocks(blocks) => blocks.iter().map(block_bytes).sum(),
        Response::Transactions(items) => items.iter().map(Vec::len).sum(),
    }
}

fn block_bytes(block: &Block) -> usize {
    HEADER_WIRE_BYTES + block.body.encoded_len()
}

/// A failed answer: its sender is charged and its request is over.
fn refused(from: Peer, hash: Option<BlockHash>, fault: Fault, request: Request) -> Vec<Input> {
    vec![
        Input::Refused { from, hash, fault },
        Input::Answered { from, request },
    ]
}

/// A block that nobody asked for: its header is judged before its signatures are looked at. A body
/// that is not the header's is its sender's fault whatever the header: nobody honest forwards one.
fn gossiped_block(
    from: Peer,
    block: Block,
    spec: &ChainSpec,
    senders: &Senders,
    gate: &Gate,
) -> Input {
    let hash = block.header.hash();
    let matched = match MatchedBlock::check(block, spec) {
        Ok(matched) => matched,
        Err(error) => return block_input(from, hash, Err(error)),
    };
    match gate.look(matched.header(), spec) {
        Look::Whole => block_input(from, hash, check::matched(matched, spec, senders)),
        Look::Header => {
            debug!(peer = from.0, %hash, "passed over the signatures of a block");
            let header = matched.header().clone();
            Input::Announced { from, header }
        }
        Look::Refused(error) => {
            debug!(peer = from.0, %hash, "refused a block: {error}");
            Input::Refused {
                from,
                hash: None,
                fault: Fault::InvalidBlock,
            }
        }
    }
}

fn checked_block(from: Peer, block: Block, spec: &ChainSpec, senders: &Senders) -> Input {
    let hash = block.header.hash();
    block_input(from, hash, check::block(block, spec, senders))
}

fn block_input(from: Peer, hash: BlockHash, checked: Result<CheckedBlock, CheckError>) -> Input {
    match checked {
        Ok(block) => Input::Block {
            from: Some(from),
            block,
        },
        Err(error) => {
            debug!(peer = from.0, %hash, "refused a block: {error}");
            Input::Refused {
                from,
                hash: Some(hash),
                fault: error.fault(),
            }
        }
    }
}

fn checked_blocks(
    from: Peer,
    asked: &[BlockHash],
    blocks: Vec<Block>,
    spec: &ChainSpec,
    senders: &Senders,
) -> Vec<Input> {
    let check = |block: Block| {
        if asked.contains(&block.header.hash()) {
            checked_block(from, block, spec, senders)
        } else {
            Input::Refused {
                from,
                hash: None,
                fault: Fault::Unsolicited,
            }
        }
    };
    blocks.into_iter().map(check).collect()
}

fn checked_transactions(from: Peer, items: &[Vec<u8>], spec: &ChainSpec) -> Input {
    match check::transactions(items, spec) {
        Ok(transactions) => Input::Transactions { from, transactions },
        Err(error) => {
            debug!(peer = from.0, "refused a transaction: {error}");
            Input::Refused {
                from,
                hash: None,
                fault: Fault::InvalidTransaction,
            }
        }
    }
}

#[cfg(test)]
mod tests;
