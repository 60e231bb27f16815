//! Inputs as bytes and back. Every item of a list takes a byte at least, so no count makes work.

use super::{
    RecordError,
    bytes::{Reader, Writer, malformed},
};
use crate::{
    block::Block,
    check::{CheckedBlock, CheckedHeader},
    codec,
    effect::{Fault, Input, Ticket},
    hash::BlockHash,
    header::Header,
    message::{Peer, Request, Status},
    pool::Departure,
    spec::ChainSpec,
    transaction::CheckedTransaction,
};

/// Writes an input: its number, then its fields in their order.
pub fn write(out: &mut Writer, input: &Input) {
    match input {
        Input::Block { from, block } => {
            out.u8(0);
            out.option(from.as_ref(), |out, from| peer(out, *from));
            out.bytes(&block.to_block().encode());
        }
        Input::Answered { from, request } => asked(out, 1, *from, request),
        Input::Unserved { to, request } => asked(out, 2, *to, request),
        Input::Unanswered { from, request } => asked(out, 3, *from, request),
        Input::Headers { from, headers } => {
            begin(out, 4, *from);
            out.list(headers, |out, item| out.bytes(&item.header().encode()));
        }
        Input::Status { from, status } => {
            begin(out, 5, *from);
            out.bytes(&codec::encode(status));
        }
        Input::Transactions { from, transactions } => {
            begin(out, 6, *from);
            out.list(transactions, transaction);
        }
        Input::Refused { from, hash, fault } => {
            begin(out, 7, *from);
            out.option(hash.as_ref(), |out, hash| out.raw(&hash.0));
            out.u8(fault_number(*fault));
        }
        Input::Submitted {
            ticket,
            transaction: submitted,
        } => {
            out.u8(8);
            out.u64(ticket.0);
            transaction(out, submitted);
        }
        Input::Journal {
            transactions,
            departed,
        } => {
            out.u8(9);
            out.list(transactions, transaction);
            out.list(departed, |out, departure| out.bytes(&departure.encode()));
        }
        Input::Request {
            from,
            ticket,
            request,
        } => {
            asked(out, 10, *from, request);
            out.u64(ticket.0);
        }
        Input::Connected(from) => begin(out, 11, *from),
        Input::Disconnected(from) => begin(out, 12, *from),
        Input::Tick => out.u8(13),
        Input::Continue => out.u8(14),
        Input::Announced { from, header } => {
            begin(out, 15, *from);
            out.bytes(&header.header().encode());
        }
    }
}

/// Writes the number of an input from a peer, and the peer.
fn begin(out: &mut Writer, kind: u8, from: Peer) {
    out.u8(kind);
    peer(out, from);
}

fn asked(out: &mut Writer, kind: u8, from: Peer, request: &Request) {
    begin(out, kind, from);
    out.bytes(&request.encode());
}

/// Writes a peer.
pub fn peer(out: &mut Writer, peer: Peer) {
    out.u64(peer.0);
}

/// Writes a transaction as the bytes that came.
pub fn transaction(out: &mut Writer, transaction: &CheckedTransaction) {
    out.bytes(transaction.bytes());
}

/// Reads an input; what must be checked is checked for the chain of `spec`.
pub fn read(reader: &mut Reader<'_>, spec: &ChainSpec) -> Result<Input, RecordError> {
    let checked = |reader: &mut Reader<'_>| read_transaction(reader, spec);
    Ok(match reader.u8()? {
        0 => Input::Block {
            from: reader.option(read_peer)?,
            block: read_block(reader, spec)?,
        },
        1 => Input::Answered {
            from: read_peer(reader)?,
            request: read_request(reader)?,
        },
        2 => Input::Unserved {
            to: read_peer(reader)?,
            request: read_request(reader)?,
        },
        3 => Input::Unanswered {
            from: read_peer(reader)?,
            request: read_request(reader)?,
        },
        4 => Input::Headers {
            from: read_peer(reader)?,
            headers: reader.list(|reader| read_header(reader, spec))?,
        },
        5 => Input::Status {
            from: read_peer(reader)?,
            status: read_status(reader)?,
        },
        6 => Input::Transactions {
            from: read_peer(reader)?,
            transactions: reader.list(checked)?,
        },
        7 => Input::Refused {
            from: read_peer(reader)?,
            hash: reader.option(|reader| reader.array().map(BlockHash))?,
            fault: read_fault(reader)?,
        },
        8 => Input::Submitted {
            ticket: Ticket(reader.u64()?),
            transaction: checked(reader)?,
        },
        9 => Input::Journal {
            transactions: reader.list(checked)?,
            departed: reader
                .list(|reader| Departure::decode(reader.bytes()?).map_err(malformed))?,
        },
        10 => Input::Request {
            from: read_peer(reader)?,
            request: read_request(reader)?,
            ticket: Ticket(reader.u64()?),
        },
        11 => Input::Connected(read_peer(reader)?),
        12 => Input::Disconnected(read_peer(reader)?),
        13 => Input::Tick,
        14 => Input::Continue,
        15 => Input::Announced {
            from: read_peer(reader)?,
            header: read_header(reader, spec)?,
        },
        other => return Err(malformed(format!("no input has the number {other}"))),
    })
}

fn read_peer(reader: &mut Reader<'_>) -> Result<Peer, RecordError> {
    reader.u64().map(Peer)
}

fn read_request(reader: &mut Reader<'_>) -> Result<Request, RecordError> {
    Request::decode(reader.bytes()?).map_err(malformed)
}

fn read_status(reader: &mut Reader<'_>) -> Result<Status, RecordError> {
    codec::decode(reader.bytes()?).map_err(malformed)
}

fn read_block(reader: &mut Reader<'_>, spec: &ChainSpec) -> Result<CheckedBlock, RecordError> {
    let block = Block::decode(reader.bytes()?).map_err(malformed)?;
    Ok(CheckedBlock::check(block, spec)?)
}

fn read_header(reader: &mut Reader<'_>, spec: &ChainSpec) -> Result<CheckedHeader, RecordError> {
    let header = Header::decode(reader.bytes()?).map_err(malformed)?;
    Ok(CheckedHeader::check(header, spec)?)
}

fn read_transaction(
    reader: &mut Reader<'_>,
    spec: &ChainSpec,
) -> Result<CheckedTransaction, RecordError> {
    Ok(CheckedTransaction::check(reader.bytes()?, spec.chain_id)?)
}

/// All faults, each at its number.
const FAULTS: [Fault; 12] = [
    Fault::InvalidWork,
    Fault::Mismatch,
    Fault::InvalidBlock,
    Fault::InvalidTransaction,
    Fault::Malformed,
    Fault::WrongNetwork,
    Fault::Unsolicited,
    Fault::Contradiction,
    Fault::NoProgress,
    Fault::Timeout,
    Fault::TooManyRequests,
    Fault::Full,
];

/// A match, so that a new fault without a number does not compile.
pub fn fault_number(fault: Fault) -> u8 {
    match fault {
        Fault::InvalidWork => 0,
        Fault::Mismatch => 1,
        Fault::InvalidBlock => 2,
        Fault::InvalidTransaction => 3,
        Fault::Malformed => 4,
        Fault::WrongNetwork => 5,
        Fault::Unsolicited => 6,
        Fault::Contradiction => 7,
        Fault::NoProgress => 8,
        Fault::Timeout => 9,
        Fault::TooManyRequests => 10,
        Fault::Full => 11,
    }
}

fn read_fault(reader: &mut Reader<'_>) -> Result<Fault, RecordError> {
    let number = reader.u8()?;
    let fault = FAULTS.get(usize::from(number)).copied();
    fault.ok_or_else(|| malformed(format!("no fault has the number {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_comes_back() {
        for fault in FAULTS {
            let number = [fault_number(fault)];
            assert_eq!(read_fault(&mut Reader::new(&number)), Ok(fault));
        }
        assert!(read_fault(&mut Reader::new(&[12])).is_err());
    }
}
