//! The one task that owns the swarm: commands in, events out, nothing decided.
//!
//! Each turn handles one command, report or tick without waiting, and then delivers what it made.
//! Delivery waits for room, so a slow shell slows the network down instead of filling memory; the
//! shell never waits for this task, so that cannot lock up. Started by `start`.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chain::{
    effect::Verdict,
    message::{Gossip, Peer, Request, Response},
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, core::transport::ListenerId, gossipsub, swarm::ConnectionId,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Command, Config, Event, Failure, GossipToken,
    address::{self, Target},
    behaviour::{self, Behaviour},
    book::{Book, Known},
    book_file,
    bootnodes::Bootnodes,
    clock::unix_secs,
    codec::Asked,
    gossip::{self, Topics},
    keeper::Keeper,
    limits::{CLOSE_TIMEOUT, TICK, WARNING_CHARS_MAX},
    peers::Peers,
    reach::Reach,
    requests::Requests,
    start::Report,
};

/// The ends of the channels to the shell.
type Channels = (
    mpsc::Sender<Event>,
    mpsc::Receiver<Command>,
    oneshot::Receiver<()>,
);

/// Everything the task owns.
pub(crate) struct Task {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) topics: Topics,
    pub(crate) name: String,
    pub(crate) spec: Arc<str>,
    pub(crate) reach: Reach,
    pub(crate) wanted_peers: usize,
    pub(crate) peers: Peers,
    pub(crate) bootnodes: Bootnodes,
    pub(crate) book: Book,
    /// Addresses of the book that are being dialled.
    pub(crate) book_dials: HashMap<ConnectionId, (PeerId, Multiaddr)>,
    /// Counts choices from the book.
    pub(crate) turn: u64,
    /// Time between two peers that are met beyond the wanted number.
    pub(crate) feeler: Duration,
    pub(crate) feeler_due: Instant,
    pub(crate) keeper: Keeper,
    pub(crate) requests: Requests,
    /// Made in this turn and not yet delivered; a handful at most.
    pub(crate) made: Vec<Event>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) stopped: oneshot::Receiver<()>,
}

/// What the start hands over.
pub(crate) struct Begin {
    pub bootnodes: Vec<Target>,
    pub listeners: Vec<ListenerId>,
    /// What was reported before the task began.
    pub early: Vec<Report>,
    pub warnings: Vec<String>,
    /// What the book held in the last run.
    pub known: Vec<Known>,
}

/// The shell is gone or wants the end.
struct Stop;

impl Task {
    /// A task that has not begun.
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        topics: Topics,
        config: &Config,
        (events, commands, stopped): Channels,
    ) -> Self {
        let (peers, bootnodes, book_dials, requests, made) = Default::default();
        let own = *swarm.local_peer_id();
        Self {
            swarm,
            topics,
            name: behaviour::network_name(&config.tag),
            spec: config.spec_json.as_str().into(),
            reach: config.reach(),
            wanted_peers: config.wanted_peers,
            peers,
            bootnodes,
            book: Book::new(own, config.reach(), config.identity.seed()),
            book_dials,
            turn: 0,
            feeler: config.feeler,
            feeler_due: Instant::now() + config.feeler,
            keeper: Keeper::new(config.book.clone(), Instant::now()),
            requests,
            made,
            events,
            commands,
            stopped,
        }
    }

    /// Runs until the shell is gone or says so, beginning with what the start left to do.
    pub(crate) async fn run(mut self, begin: Begin) {
        for known in begin.known {
            self.book.restore(known);
        }
        for bootnode in &begin.bootnodes {
            let address = bootnode.address.clone();
            bootnode.id.map(|id| self.book.add_own(id, address));
        }
        self.bootnodes = Bootnodes::new(begin.bootnodes, Instant::now());
        self.made
            .extend(begin.warnings.into_iter().map(Event::Warning));
        begin
            .early
            .into_iter()
            .for_each(|report| self.report(report));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Ok(()) = self.deliver().await {
            tokio::select! {
                _ = &mut self.stopped => break,
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown) | None => break,
                    Some(command) => self.command(command),
                },
                report = self.swarm.select_next_some() => self.report(report),
                _ = ticks.tick() => self.tick(Instant::now()),
            }
        }
        self.close(begin.listeners).await;
    }

    /// Hands over what was made. A gossiped transaction is dropped rather than waited for when
    /// the shell is three quarters full: a flood of them must not hold up blocks and answers.
    async fn deliver(&mut self) -> Result<(), Stop> {
        for event in std::mem::take(&mut self.made) {
            if let Event::Gossip {
                token,
                message: Gossip::Transaction(_),
                ..
            } = &event
                && self.events.capacity() < self.events.max_capacity().div_ceil(4)
            {
                self.verdict(&token.clone(), Verdict::Ignore);
                continue;
            }
            tokio::select! {
                _ = &mut self.stopped => return Err(Stop),
                sent = self.events.send(event) => sent.map_err(|_| Stop)?,
            }
        }
        Ok(())
    }

    /// Says goodbye: what is not closed within half a second is dropped.
    async fn close(mut self, listeners: Vec<ListenerId>) {
        for listener in listeners {
            self.swarm.remove_listener(listener);
        }
        let ids: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for id in ids {
            self.hang_up(id);
        }
        let saved = self.saved();
        let swarm = &mut self.swarm;
        let closed = async {
            while swarm.connected_peers().next().is_some() {
                swarm.select_next_some().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        self.keeper.close(saved).await;
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Send { peer, id, request } => self.send(peer, id, request),
            Command::Respond { ticket, response } => self.respond(ticket, &response),
            Command::Decline { ticket } => self.requests.decline(ticket),
            Command::Publish(message) => self.publish(&message),
            Command::Verdict { token, verdict } => self.verdict(&token, verdict),
            Command::Disconnect { peer, fault } => self.disconnect(peer, fault),
            Command::Block(ids) => self.block(&ids),
            Command::Dial(text) => match address::parse(&text, self.reach) {
                Ok(target) => drop(self.dial(target)),
                Err(error) => self.warn(&error.to_string()),
            },
            Command::Shutdown => unreachable!("the loop ends on it"),
        }
    }

    fn send(&mut self, peer: Peer, id: u64, request: Request) {
        let Some(to) = self.peers.id(peer) else {
            return self.made.push(Event::Failed {
                peer,
                id,
                reason: Failure::Closed,
            });
        };
        if !self.requests.has_room(peer) {
            return self.made.push(Event::Failed {
                peer,
                id,
                reason: Failure::Busy,
            });
        }
        let request = self
            .swarm
            .behaviour_mut()
            .messages
            .send_request(&to, Asked::Request(request));
        self.requests.sent(request, peer, id);
    }

    fn respond(&mut self, ticket: u64, response: &Response) {
        let Some((request, channel, answer)) = self.requests.answer(ticket, response) else {
            return;
        };
        let messages = &mut self.swarm.behaviour_mut().messages;
        // The error means that the request lapsed at this very moment, and libp2p does not always
        // say so: its bytes must not be counted until the connection ends.
        if messages.send_response(channel, answer).is_err() {
            self.requests.over(request);
        }
    }

    fn publish(&mut self, message: &Gossip) {
        let topic = self.topics.of(message);
        match self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(topic, message.encode())
        {
            Ok(_)
            | Err(
                gossipsub::PublishError::Duplicate
                | gossipsub::PublishError::NoPeersSubscribedToTopic,
            ) => {}
            Err(error) => self.warn(&format!("a message was not published: {error}")),
        }
    }

    pub(crate) fn verdict(&mut self, token: &GossipToken, verdict: Verdict) {
        let behaviour = self.swarm.behaviour_mut();
        if verdict == Verdict::Accept {
            let (places, now) = (&mut behaviour.gate.places, Instant::now());
            if token.is_block() {
                places.gave_block(&token.source, now);
            } else {
                places.gave_transaction(&token.source, now);
            }
        }
        let gossip = &mut behaviour.gossip;
        let accepted = gossip::acceptance(verdict);
        if !gossip.report_message_validation_result(&token.id, &token.source, accepted) {
            tracing::debug!(?verdict, "the verdict came too late");
        }
    }

    fn tick(&mut self, now: Instant) {
        for id in self.peers.overdue(now) {
            tracing::debug!(%id, "dropped: it did not show that it speaks our protocol");
            self.hang_up(id);
        }
        self.dial_due(now);
        self.ask_addresses(now);
        if self.keeper.is_due(now) {
            let bans = &mut self.swarm.behaviour_mut().gate.bans;
            // Both are asked, so that neither stays marked.
            let has_changed = [self.book.take_changed(), bans.take_changed()];
            if has_changed.contains(&true) {
                self.keeper.write(self.saved(), now);
            }
        }
    }

    /// What outlives the run, as text.
    fn saved(&self) -> String {
        let bans = &self.swarm.behaviour().gate.bans;
        book_file::text(self.book.entries(), &bans.current(unix_secs()))
    }

    pub(crate) fn warn(&mut self, text: &str) {
        tracing::debug!("{text}");
        self.made.push(Event::Warning(
            text.chars().take(WARNING_CHARS_MAX).collect(),
        ));
    }
}
