//! Effects as bytes, every kind with all that is in it: only to be hashed, never read back.

use super::{
    bytes::Writer,
    input::{fault_number, peer, transaction},
    stored::changes,
};
use crate::{
    codec,
    effect::{Effect, Event},
    hash::TxHash,
    message::Request,
    pool::PoolError,
    receipt::Receipt,
    store::{Batch, BlockId, ExecutedBlock},
};

/// Writes an effect: its number, then all that is in it.
pub fn write(out: &mut Writer, effect: &Effect) {
    match effect {
        Effect::Commit(it) => {
            out.u8(0);
            batch(out, it);
        }
        Effect::Send { to, request: asked } => {
            out.u8(1);
            peer(out, *to);
            request(out, asked);
        }
        Effect::Serve {
            ticket,
            request: asked,
        } => {
            out.u8(2);
            out.u64(ticket.0);
            request(out, asked);
        }
        Effect::Decline { ticket } => {
            out.u8(3);
            out.u64(ticket.0);
        }
        // Its bytes are in a batch, or came in.
        Effect::AnnounceBlock(block) => {
            out.u8(4);
            id(out, &block.id());
        }
        Effect::AnnounceTransaction(it) => {
            out.u8(5);
            transaction(out, it);
        }
        Effect::Reply { ticket, result } => {
            out.u8(6);
            out.u64(ticket.0);
            reply(out, result);
        }
        Effect::Load(hash) => {
            out.u8(7);
            out.raw(&hash.0);
        }
        Effect::Disconnect { peer: whom, fault } => {
            out.u8(8);
            peer(out, *whom);
            out.u8(fault_number(*fault));
        }
        Effect::Publish(it) => {
            out.u8(9);
            event(out, it);
        }
        Effect::Continue => out.u8(10),
    }
}

fn request(out: &mut Writer, request: &Request) {
    out.bytes(&request.encode());
}

fn id(out: &mut Writer, id: &BlockId) {
    out.u64(id.height);
    out.raw(&id.hash.0);
}

/// A refusal's sentence has all its numbers.
fn reply(out: &mut Writer, result: &Result<TxHash, PoolError>) {
    match result {
        Ok(hash) => {
            out.u8(0);
            out.raw(&hash.0);
        }
        Err(error) => {
            out.u8(1);
            out.bytes(error.code().as_bytes());
            out.bytes(error.to_string().as_bytes());
        }
    }
}

fn batch(out: &mut Writer, batch: &Batch) {
    out.list(&batch.headers, |out, header| out.raw(&header.encode()));
    out.list(&batch.bodies, |out, (block, body)| {
        id(out, block);
        out.bytes(&body.encode());
    });
    out.list(&batch.dropped, id);
    out.list(&batch.executed, executed);
    out.list(&batch.invalid, id);
    out.list(&batch.canonical, |out, (height, hash)| {
        out.u64(*height);
        out.option(hash.as_ref(), |out, hash| out.raw(&hash.0));
    });
    out.option(batch.head.as_ref(), id);
    out.length(batch.pooled.len());
    for (hash, kept) in &batch.pooled {
        out.raw(&hash.0);
        out.option(kept.as_ref(), transaction);
    }
    out.length(batch.departed.len());
    for (hash, kept) in &batch.departed {
        out.raw(&hash.0);
        out.option(kept.as_ref(), |out, departure| {
            out.bytes(&departure.encode());
        });
    }
}

fn executed(out: &mut Writer, block: &ExecutedBlock) {
    id(out, &block.id);
    changes(out, &block.changes);
    out.list(&block.receipts, receipt);
    out.length(block.parties.len());
    for (address, indices) in block.parties.iter() {
        out.raw(address.as_slice());
        out.list(indices, |out, index| out.u64(u64::from(*index)));
    }
}

fn receipt(out: &mut Writer, receipt: &Receipt) {
    out.u8(receipt.tx_type);
    out.u8(u8::from(receipt.success));
    out.u64(receipt.cumulative_gas);
    out.list(&receipt.logs, |out, log| out.bytes(&codec::encode(log)));
}

fn event(out: &mut Writer, event: &Event) {
    match event {
        Event::Head {
            old,
            new,
            undone,
            redone,
        } => {
            out.u8(0);
            id(out, old);
            id(out, new);
            out.list(undone, id);
            out.list(redone, id);
        }
        Event::Invalid { block, reason } => {
            out.u8(1);
            id(out, block);
            out.bytes(reason.as_bytes());
        }
        Event::DeepReorg { depth } => {
            out.u8(2);
            out.u64(*depth);
        }
        Event::Block { block, parent } => {
            out.u8(3);
            id(out, block);
            out.raw(&parent.0);
        }
        Event::Fork {
            block,
            rival,
            behind,
        } => {
            out.u8(4);
            id(out, block);
            id(out, rival);
            out.u64(*behind);
        }
        Event::Transaction { hash } => {
            out.u8(5);
            out.raw(&hash.0);
        }
        Event::Returned { transactions } => {
            out.u8(6);
            out.list(transactions, |out, hash| out.raw(&hash.0));
        }
    }
}
