//! The core thread: owns the node and the store, takes one input after another.
//!
//! A step's batch is durable before any of its messages leave. Several steps may share one
//! commit; then the effects of all of them wait for it. The thread never waits for the network,
//! the miner or a reader: what does not fit their queues is dropped, and asked for again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chain::{
    Batch, BlockHash, CheckedBlock, Effect, Event, Fault, Gossip, Input, Node, Overlay, Peer,
    Request, Store, StoreError, Ticket, TxHash, Verdict, params::STEPS_PER_COMMIT, pool::PoolError,
};
use p2p::GossipToken;
use state::Evm;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::{check, clock::Clock, metrics::Metrics, peers::Introduction, publish::Publisher};
use crate::{
    budget::{self, Budget, Level},
    failure::{Exit, Failure},
    recording::recorder::{Recorder, Step},
};

/// What the core thread is sent.
pub enum Message {
    /// An input without an answer.
    Input(Input),
    /// A message of a peer, checked without state.
    Checked {
        /// What it is; one input if it was gossiped.
        inputs: Vec<Input>,
        /// Gossip waits for the verdict.
        token: Option<GossipToken>,
        /// Given back when the core has taken the inputs.
        room: OwnedSemaphorePermit,
    },
    /// A peer has come.
    Connected(Introduction),
    /// A peer has answered a ping.
    Ping {
        /// The peer.
        peer: Peer,
        /// The time from the ping to its answer.
        rtt: Duration,
    },
    /// A user's transaction.
    Submission(api::Submission),
    /// A stored block that the core has asked for.
    Loaded {
        /// Which.
        hash: BlockHash,
        /// How often the store had been mended when it was asked for.
        mendings: u64,
        /// The block, or why it could not be read.
        block: Result<CheckedBlock, StoreError>,
    },
    /// End the thread.
    Stop,
}

/// What the core thread sends to the network.
pub enum Outgoing {
    /// A question to a peer.
    Send {
        /// Whom.
        to: Peer,
        /// What.
        request: Request,
    },
    /// A peer's question, to be answered from a view.
    Serve {
        /// Where the answer goes.
        ticket: Ticket,
        /// What was asked.
        request: Request,
    },
    /// A question that gets no answer.
    Decline {
        /// Where it would have gone.
        ticket: Ticket,
    },
    /// Something for everybody.
    Publish(Gossip),
    /// What gossip does with a message.
    Verdict {
        /// Which message.
        token: GossipToken,
        /// What to do.
        verdict: Verdict,
    },
    /// Close the connection.
    Disconnect {
        /// To whom.
        peer: Peer,
        /// Why.
        fault: Fault,
    },
}

/// The core thread's own state.
pub struct Core<S: Store> {
    /// The protocol.
    pub node: Node<Evm>,
    /// The only writer.
    pub store: S,
    /// Inputs.
    pub inbox: mpsc::Receiver<Message>,
    /// For inputs that the core's own helpers produce.
    pub loopback: mpsc::WeakSender<Message>,
    /// The first input: the pool's [`journal`].
    pub journal: Option<Input>,
    /// To the network.
    pub outbox: mpsc::Sender<Outgoing>,
    /// To everybody who reads.
    pub publisher: Publisher,
    /// The clocks.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// When the core last finished a step, in monotonic milliseconds.
    pub heartbeat: Arc<AtomicU64>,
    /// Where the run is recorded, if it is.
    pub recorder: Option<Recorder>,
    /// Memory that the state may take.
    pub budget: Budget,
}

/// Steps not yet committed, and what they want done afterwards.
#[derive(Default)]
struct Group {
    batch: Batch,
    effects: Vec<Effect>,
    verdicts: Vec<(GossipToken, Verdict)>,
    steps: usize,
}

/// What changes while the core runs, beside the node itself.
struct Running<S: Store> {
    core: Core<S>,
    snapshot: S::Snapshot,
    replies: BTreeMap<Ticket, oneshot::Sender<Result<TxHash, PoolError>>>,
    next_ticket: u64,
    own_inputs: VecDeque<Input>,
    /// How often the store was opened again after a failed commit.
    mendings: u64,
    /// Messages from the time in which the store could not be written to.
    kept: VecDeque<Message>,
    /// How the state stood to its budget when it was last weighed.
    level: Level,
}

impl<S: Store> Core<S> {
    /// Runs until it is told to stop, all senders are gone, the store fails, or the state takes more
    /// memory than it may.
    ///
    /// # Errors
    /// For the last two: nothing acknowledged is lost, a restart is safe.
    pub fn run(self) -> Result<(), Failure> {
        let failed = |error: StoreError| Failure::new(Exit::Damaged, error);
        let mut running = Running::new(self).map_err(failed)?;
        running.take_journal().map_err(failed)?;
        // A store may hold blocks that were never executed: a tick finds them.
        running.own_inputs.push_back(Input::Tick);
        let mut going = true;
        while going {
            going = running.turn().map_err(failed)?;
            running.weigh_state()?;
        }
        running.end_recording();
        Ok(())
    }
}

impl<S: Store> Running<S> {
    fn new(core: Core<S>) -> Result<Self, StoreError> {
        core.metrics.store_writable.set(1);
        Ok(Self {
            snapshot: core.store.snapshot()?,
            core,
            replies: BTreeMap::new(),
            next_ticket: 0,
            own_inputs: VecDeque::new(),
            mendings: 0,
            kept: VecDeque::new(),
            level: Level::Low,
        })
    }

    /// One group of steps, committed and carried out; whether there is another one.
    fn turn(&mut self) -> Result<bool, StoreError> {
        let mut group = Group::default();
        let mut is_stopping = false;
        while let Some(message) = self.kept.pop_front() {
            self.take(message, &mut group)?;
        }
        if self.own_inputs.is_empty() && group.steps == 0 {
            match self.core.inbox.blocking_recv() {
                Some(Message::Stop) | None => is_stopping = true,
                Some(message) => self.take(message, &mut group)?,
            }
        }
        while !is_stopping && group.steps < STEPS_PER_COMMIT {
            match self.core.inbox.try_recv() {
                Ok(Message::Stop) => is_stopping = true,
                Ok(message) => self.take(message, &mut group)?,
                // Executing waits until all that came is judged: verdicts never wait.
                Err(_) => match self.own_inputs.pop_front() {
                    Some(input) => {
                        self.step(input, &mut group)?;
                    }
                    None => break,
                },
            }
        }
        // But not for ever: peers that never stop asking only slow it down.
        if group.steps >= STEPS_PER_COMMIT
            && let Some(input) = self.own_inputs.pop_front()
        {
            self.step(input, &mut group)?;
        }
        self.finish(group)?;
        Ok(!is_stopping)
    }

    /// Ends the core between two commits if the state takes too much memory, and warns before.
    fn weigh_state(&mut self) -> Result<(), Failure> {
        let budget = self.core.budget;
        let used = budget::used(&self.core.node);
        self.core.metrics.weighed(used, budget);
        let level = budget.level(used);
        match (self.level, level) {
            (_, Level::Exceeded) => return Err(budget.exceeded(used)),
            (Level::Low, Level::Near) => {
                warn!("{}", budget.near(used));
                self.level = level;
            }
            // Once: it may well hover there.
            _ => {}
        }
        Ok(())
    }

    /// Gives the pool back what users were told that it has, before anything else is taken.
    fn take_journal(&mut self) -> Result<(), StoreError> {
        let mut group = Group::default();
        if let Some(journal) = self.core.journal.take() {
            self.step(journal, &mut group)?;
        }
        self.finish(group)
    }

    fn take(&mut self, message: Message, group: &mut Group) -> Result<(), StoreError> {
        match message {
            Message::Input(input) => {
                self.step(input, group)?;
            }
            Message::Checked {
                inputs,
                token,
                room,
            } => {
                let mut verdict = Verdict::Ignore;
                for input in inputs {
                    verdict = self.step(input, group)?;
                }
                group.verdicts.extend(token.map(|token| (token, verdict)));
                drop(room);
            }
            Message::Submission(submission) => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.replies.insert(ticket, submission.reply);
                let transaction = submission.transaction;
                self.step(
                    Input::Submitted {
                        ticket,
                        transaction,
                    },
                    group,
                )?;
            }
            Message::Connected(introduction) => {
                let peer = introduction.peer;
                self.core.publisher.connected(introduction);
                self.step(Input::Connected(peer), group)?;
            }
            Message::Ping { peer, rtt } => self.core.publisher.pinged(peer, rtt),
            Message::Loaded {
                hash,
                mendings,
                block,
            } => match block {
                Ok(block) => {
                    self.step(Input::Block { from: None, block }, group)?;
                }
                // Read from files that were closed meanwhile.
                Err(_) if mendings != self.mendings => self.load(hash),
                Err(error) => return Err(error),
            },
            Message::Stop => {}
        }
        Ok(())
    }

    /// One step; its writes join the group's batch, which the next step reads through.
    fn step(&mut self, input: Input, group: &mut Group) -> Result<Verdict, StoreError> {
        match input {
            Input::Disconnected(peer) => self.core.publisher.disconnected(peer),
            Input::Refused { .. } => drop(self.core.metrics.refused.inc()),
            _ => {}
        }
        let now = self.core.clock.now();
        let db = Overlay::new(&self.snapshot, &group.batch);
        let recorder = self.core.recorder.as_mut().filter(|it| it.is_on());
        let recorded = recorder.is_some().then(|| input.clone());
        let mut effects = Vec::new();
        let verdict = self.core.node.step(now, input, &db, &mut effects)?;
        if let (Some(recorder), Some(input)) = (recorder, recorded) {
            let effects = effects.clone();
            recorder.step(Step {
                now,
                input,
                verdict,
                effects,
            });
        }
        group.steps += 1;
        for effect in effects {
            match effect {
                Effect::Commit(batch) => group.batch.append(batch),
                // Seen by nobody outside, so it need not wait for the commit.
                Effect::Continue => self.own_inputs.push_back(Input::Continue),
                other => group.effects.push(other),
            }
        }
        Ok(verdict)
    }

    fn end_recording(&mut self) {
        if let Some(recorder) = self.core.recorder.take() {
            let node = &self.core.node;
            recorder.end(node.head(), node.head_state().root());
        }
    }

    /// Commits, publishes, and only then carries out the effects.
    fn finish(&mut self, group: Group) -> Result<(), StoreError> {
        if !group.batch.is_empty() {
            self.commit(&group.batch)?;
            self.snapshot = self.core.store.snapshot()?;
            self.core.metrics.committed(&group.batch);
        }
        let core = &mut self.core;
        let is_idle = core.inbox.is_empty();
        core.publisher
            .publish(&core.node, &self.snapshot, &group.effects, is_idle)?;
        for (token, verdict) in group.verdicts {
            self.send(Outgoing::Verdict { token, verdict });
        }
        for effect in group.effects {
            self.carry_out(effect);
        }
        let now = self.core.clock.now().monotonic_ms;
        self.core.heartbeat.store(now, Ordering::Relaxed);
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(_) | Effect::Continue => {}
            Effect::Send { to, request } => self.ask(to, request),
            Effect::Serve { ticket, request } => self.send(Outgoing::Serve { ticket, request }),
            Effect::Decline { ticket } => self.send(Outgoing::Decline { ticket }),
            Effect::AnnounceBlock(block) => {
                self.send(Outgoing::Publish(Gossip::Block(block.to_block())));
            }
            Effect::AnnounceTransaction(transaction) => {
                let bytes = transaction.bytes().to_vec();
                self.send(Outgoing::Publish(Gossip::Transaction(bytes)));
            }
            Effect::Reply { ticket, result } => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    // A caller that has gone away needs no answer.
                    let _ = reply.send(result);
                }
            }
            Effect::Load(hash) => self.load(hash),
            Effect::Disconnect { peer, fault } => {
                info!(peer = peer.0, "peer {fault}; disconnecting");
                self.core.metrics.disconnected.inc();
                self.send(Outgoing::Disconnect { peer, fault });
            }
            Effect::Publish(event) => self.log(&event),
        }
    }

    fn send(&self, outgoing: Outgoing) {
        if self.core.outbox.try_send(outgoing).is_err() {
            self.core.metrics.dropped.inc();
        }
    }

    /// Asks a peer. A question that finds no room is over at once: the node counts those under
    /// way, and would ask nothing more of a peer whose answers it awaits in vain.
    fn ask(&mut self, to: Peer, request: Request) {
        let Err(error) = self.core.outbox.try_send(Outgoing::Send { to, request }) else {
            return;
        };
        self.core.metrics.dropped.inc();
        if let Outgoing::Send { to, request } = error.into_inner() {
            let input = Input::Unserved { to, request };
            self.own_inputs.push_back(input);
        }
    }

    /// Reads and checks a stored block off this thread; it comes back as a message.
    fn load(&self, hash: BlockHash) {
        let Some(inbox) = self.core.loopback.upgrade() else {
            return;
        };
        let (spec, db) = (Arc::clone(self.core.node.spec()), self.snapshot.clone());
        let mendings = self.mendings;
        rayon::spawn(move || {
            let Some(block) = check::stored(&hash, &spec, &db).transpose() else {
                return;
            };
            let loaded = Message::Loaded {
                hash,
                mendings,
                block,
            };
            // The core is gone when the node stops; then nobody needs the block.
            let _ = inbox.blocking_send(loaded);
        });
    }

    fn log(&self, event: &Event) {
        self.core.metrics.event(event);
        match event {
            Event::Head { new, undone, .. } if undone.is_empty() => {
                debug!(height = new.height, hash = %new.hash, "new head");
            }
            Event::Head {
                new,
                undone,
                redone,
                ..
            } => {
                let (left, joined) = (undone.len(), redone.len());
                info!(height = new.height, hash = %new.hash, left, joined, "reorg");
            }
            Event::Invalid { block, reason } => {
                warn!(height = block.height, hash = %block.hash, "invalid block: {reason}");
            }
            Event::DeepReorg { depth } => warn!(depth, "deep reorg: check your peers and miners"),
            Event::Fork { block, rival, .. } => {
                info!(height = block.height, hash = %block.hash, rival = %rival.hash, "fork");
            }
            Event::Returned { transactions } => {
                info!(
                    count = transactions.len(),
                    "transactions returned to the pool"
                );
            }
            Event::Block { .. } | Event::Transaction { .. } => {}
        }
    }
}

pub mod journal;
mod mending;
#[cfg(test)]
mod tests;
