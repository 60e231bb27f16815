//! A commit that the disk refused: the node stops accepting, stays readable, and goes on when the
//! cause is gone.
//!
//! What the group of steps wants done waits with it, so nobody hears of what is not durable. Of
//! what comes in meanwhile only who came and went is kept, and blocks that nobody sends again:
//! others come again, as transactions do, and a user's submission is answered by an error at once.
//! Run by the core thread alone.

use std::{
    thread,
    time::{Duration, Instant},
};

use chain::{
    Batch, Input, Mended, Peer, Store, StoreError, Verdict,
    params::{CORE_QUEUE, TICK_GAP_MS},
};
use tokio::sync::mpsc::error::TryRecvError;
use tracing::{info, warn};

use super::{Message, Outgoing, Running};

/// How often the inbox is looked at while the disk is waited for.
const LOOK: Duration = Duration::from_millis(20);

impl<S: Store> Running<S> {
    /// Makes a batch durable, however long the disk takes to be mended.
    ///
    /// # Errors
    /// If it cannot be mended while the process runs, or the node is told to stop meanwhile.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut committed = self.core.store.commit(batch);
        let mut told = None;
        while let Err(error) = committed {
            if told.as_ref() != Some(&error) {
                warn!("{error}. The node takes nothing new, shows what it has, and tries again");
            }
            self.core.metrics.store_writable.set(0);
            // Not before the first attempt: what ails a disk may be over at once.
            if told.is_some() {
                self.rest(&error)?;
            }
            committed = self.again(batch)?;
            told = Some(error);
        }
        if told.is_some() {
            info!("the store is written to again");
        }
        self.core.metrics.store_writable.set(1);
        Ok(())
    }

    /// One more attempt, if the store allows one.
    fn again(&mut self, batch: &Batch) -> Result<Result<(), StoreError>, StoreError> {
        match self.core.store.mend() {
            Mended::Ready => {}
            Mended::NotYet(error) => return Ok(Err(error)),
            Mended::Never(error) => return Err(error),
        }
        // Readers held on to what was closed with the old files; what failed for that is read again.
        self.mendings += 1;
        self.snapshot = self.core.store.snapshot()?;
        self.core.publisher.replace_reader(&self.snapshot);
        Ok(self.core.store.commit(batch))
    }

    /// Waits, and sees to it that nobody waits for an answer.
    fn rest(&mut self, error: &StoreError) -> Result<(), StoreError> {
        let until = Instant::now() + Duration::from_millis(TICK_GAP_MS);
        while Instant::now() < until {
            match self.core.inbox.try_recv() {
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return Err(error.clone()),
                Ok(message) => self.put_off(message),
                Err(TryRecvError::Empty) => thread::sleep(LOOK),
            }
        }
        Ok(())
    }

    /// What cannot come again is kept; who waits for an answer gets one.
    pub(super) fn put_off(&mut self, message: Message) {
        match message {
            // No more connections than there are, since ends that the core need not know are not
            // kept, and no more blocks than it has asked of its own store.
            Message::Connected(_) | Message::Loaded { .. } => self.kept.push_back(message),
            Message::Input(Input::Disconnected(peer)) => self.put_off_end(peer),
            // Ours.
            Message::Input(Input::Block { from: None, .. }) if self.kept.len() < CORE_QUEUE / 2 => {
                self.kept.push_back(message);
            }
            Message::Checked {
                token: Some(token), ..
            } => self.send(Outgoing::Verdict {
                token,
                verdict: Verdict::Ignore,
            }),
            Message::Input(Input::Request { ticket, .. }) => {
                self.send(Outgoing::Decline { ticket });
            }
            // A submission's caller is told by the end of its channel.
            _ => {}
        }
    }

    /// A peer that the core has not heard of yet was never there.
    fn put_off_end(&mut self, peer: Peer) {
        let is_arrival = |kept: &Message| matches!(kept, Message::Connected(it) if it.peer == peer);
        match self.kept.iter().position(is_arrival) {
            Some(place) => drop(self.kept.remove(place)),
            None => self
                .kept
                .push_back(Message::Input(Input::Disconnected(peer))),
        }
    }
}
