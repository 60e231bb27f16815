//! What users of this node sent and no block has: it is announced again from time to time.
//!
//! Gossip passes a transaction on once. One that was sent while there were no peers, or that all
//! others have dropped since, would stay with us alone until we mine it ourselves. So whoever is a
//! new peer is a reason for a pass over all that the journal keeps, and without one a pass begins
//! every ten minutes.
//!
//! A pass is spread over ticks, each with a bounded number and a bounded size. How far apart passes
//! begin does not depend on how often peers come. Which node's turn it is, is scattered by its salt.
//! Called by `peers`.

use super::{Node, Step};
use crate::{
    effect::{Effect, Time},
    execution::Execution,
    hash::{TxHash, sha256},
    params::{
        REMINDED_BYTES, REMINDED_COUNT, REMINDER_AFTER_PEER_MS, REMINDER_AGAIN_MS, REMINDER_MS,
        REMINDER_ROUND_MS,
    },
};

/// How far the passes have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reminders {
    /// When to go on, in monotonic milliseconds; not before a peer comes if there is nothing.
    due_ms: Option<u64>,
    /// When the latest pass began.
    begun_ms: Option<u64>,
    /// The last transaction of the pass that is under way.
    after: Option<TxHash>,
    /// Passes since the latest peer came.
    passes: u64,
}

impl Reminders {
    /// A peer may lack all that is here: a pass begins soon.
    pub(super) fn connected(&mut self, now: Time, salt: u64) {
        let soon = now.monotonic_ms.saturating_add(REMINDER_AFTER_PEER_MS);
        let earliest = self.begun_ms.map_or(0, |begun_ms| {
            begun_ms.saturating_add(scattered(REMINDER_AGAIN_MS, salt, begun_ms))
        });
        // Never later than before: else peers who come and go could put it off for ever. What this
        // peer misses for that reason comes again with the pass after the next.
        let due_ms = soon.max(earliest);
        self.due_ms = Some(self.due_ms.map_or(due_ms, |before| before.min(due_ms)));
        self.passes = 0;
    }

    fn is_due(&self, now: Time) -> bool {
        self.due_ms.is_some_and(|due_ms| due_ms <= now.monotonic_ms)
    }

    /// Nobody is there to hear it: all begins anew with the next peer.
    fn stop(&mut self) {
        (self.due_ms, self.after) = (None, None);
    }

    /// A round of a pass is over; `last` is where the next one goes on, if there is more.
    fn went_on(&mut self, last: Option<TxHash>, now: Time, salt: u64) {
        let now_ms = now.monotonic_ms;
        let begun_ms = match self.after {
            Some(_) => self.begun_ms.unwrap_or(now_ms),
            None => now_ms,
        };
        (self.begun_ms, self.after) = (Some(begun_ms), last);
        let soon = now_ms.saturating_add(REMINDER_ROUND_MS);
        if last.is_some() {
            self.due_ms = Some(soon);
            return;
        }
        let pause_ms = if self.passes == 0 {
            REMINDER_AGAIN_MS
        } else {
            REMINDER_MS
        };
        self.passes = self.passes.saturating_add(1);
        let next = begun_ms.saturating_add(scattered(pause_ms, salt, begun_ms));
        self.due_ms = Some(next.max(soon));
    }
}

/// A pause and up to a quarter more, so that the passes of many nodes do not fall together.
fn scattered(pause_ms: u64, salt: u64, begun_ms: u64) -> u64 {
    let digest = sha256(&[salt.to_le_bytes(), begun_ms.to_le_bytes()].concat());
    let [a, b, c, d, ..] = digest;
    let drawn = u64::from(u32::from_le_bytes([a, b, c, d]));
    pause_ms.saturating_add(drawn % (pause_ms / 4).max(1))
}

impl<E: Execution> Node<E> {
    /// Announces some more of what our users sent, if it is time and somebody is there to hear it.
    pub(super) fn remind(&mut self, step: &mut Step<'_>) {
        if self.sync.is_alone() {
            self.reminders.stop();
        }
        if !self.reminders.is_due(step.now) {
            return;
        }
        let (mut count, mut bytes, mut last) = (0_usize, 0_usize, None);
        let after = self.reminders.after;
        let mut rest = self.pool.durable_after(after.as_ref()).peekable();
        while let Some(transaction) = rest.next_if(|next| {
            let total = bytes.saturating_add(next.bytes().len());
            count == 0 || (count < REMINDED_COUNT && total <= REMINDED_BYTES)
        }) {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(transaction.bytes().len());
            last = Some(transaction.hash());
            step.effects
                .push(Effect::AnnounceTransaction(transaction.clone()));
        }
        let last = last.filter(|_| rest.peek().is_some());
        self.reminders.went_on(last, step.now, self.salt);
    }
}
