//! The one task that owns the swarm: commands in, events out, nothing decided.
//!
//! Each turn handles one command, report or tick without waiting, and then delivers what it made.
//! Delivery waits for room, so a slow shell slows the network down instead of filling memory; the
//! shell never waits for this task, so that cannot lock up. Started by `start`.

use std::{collections::HashSet, sync::Arc, time::Instant};

use chain::{
    Fault,
    effect::Verdict,
    message::{Gossip, Peer, Request, Response},
};
use futures::StreamExt;
use libp2p::{
    PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub,
    swarm::{ConnectionId, DialError},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Command, Config, Event, Failure, GossipToken,
    address::{self, Target},
    behaviour::{self, Behaviour},
    bootnodes::Bootnodes,
    codec::Asked,
    gossip::{self, Topics},
    limits::{BLOCKED_MAX, CLOSE_TIMEOUT, TICK, WARNING_CHARS_MAX},
    peers::Peers,
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
    pub(crate) loopback_only: bool,
    pub(crate) wanted_peers: usize,
    pub(crate) peers: Peers,
    pub(crate) bootnodes: Bootnodes,
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
    pub warning: Option<String>,
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
        let (peers, bootnodes, requests, made) = Default::default();
        Self {
            swarm,
            topics,
            name: behaviour::network_name(&config.tag),
            spec: config.spec_json.as_str().into(),
            loopback_only: config.loopback_only,
            wanted_peers: config.wanted_peers,
            peers,
            bootnodes,
            requests,
            made,
            events,
            commands,
            stopped,
        }
    }

    /// Runs until the shell is gone or says so, beginning with what the start left to do.
    pub(crate) async fn run(mut self, begin: Begin) {
        self.bootnodes = Bootnodes::new(begin.bootnodes, Instant::now());
        self.made.extend(begin.warning.map(Event::Warning));
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
        let swarm = &mut self.swarm;
        let closed = async {
            while swarm.connected_peers().next().is_some() {
                swarm.select_next_some().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Send { peer, id, request } => self.send(peer, id, request),
            Command::Respond { ticket, response } => self.respond(ticket, response),
            Command::Decline { ticket } => drop(self.requests.take(ticket)),
            Command::Publish(message) => self.publish(&message),
            Command::Verdict { token, verdict } => self.verdict(&token, verdict),
            Command::Disconnect { peer, fault } => self.disconnect(peer, fault),
            Command::Block(ids) => self.block(&ids),
            Command::Dial(text) => match address::parse(&text, self.loopback_only) {
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

    fn respond(&mut self, ticket: u64, response: Response) {
        let Some(channel) = self.requests.take(ticket) else {
            return;
        };
        // The error means that the request lapsed at this very moment.
        let _ = self
            .swarm
            .behaviour_mut()
            .messages
            .send_response(channel, response);
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
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let accepted = gossip::acceptance(verdict);
        if !gossip.report_message_validation_result(&token.id, &token.source, accepted) {
            tracing::debug!(?verdict, "the verdict came too late");
        }
    }

    /// The peer is gone for the shell at once: one that stops reading can hold up the end of its
    /// connection, and what it sends meanwhile must not be heard.
    fn disconnect(&mut self, peer: Peer, fault: Fault) {
        let (Some(id), now) = (self.peers.id(peer), Instant::now()) else {
            return;
        };
        if is_hostile(fault) {
            tracing::info!(%id, "banned: it {fault}");
            self.swarm.behaviour_mut().gate.ban(id, now);
        }
        self.hang_up(id);
        self.gone(id, now);
    }

    fn block(&mut self, texts: &[String]) {
        if texts.len() > BLOCKED_MAX {
            let got = texts.len();
            self.warn(&format!(
                "at most {BLOCKED_MAX} peers are blocked, got {got}"
            ));
        }
        let mut ids = HashSet::new();
        for text in texts.iter().take(BLOCKED_MAX) {
            match text.parse::<PeerId>() {
                Ok(id) => drop(ids.insert(id)),
                Err(error) => self.warn(&format!("{text:?} is no peer id: {error}")),
            }
        }
        let now = Instant::now();
        for id in ids.iter().copied() {
            self.hang_up(id);
            self.gone(id, now);
        }
        if self.swarm.behaviour_mut().gate.block(ids) {
            self.bootnodes.hurry(now);
            self.tick(now);
        }
    }

    pub(crate) fn gone(&mut self, id: PeerId, now: Instant) {
        self.bootnodes.closed(&id, now);
        let peer = self.peers.closed(&id);
        self.made
            .extend(peer.map(|peer| Event::Disconnected { peer }));
    }

    pub(crate) fn hang_up(&mut self, id: PeerId) {
        // The error means that it is not connected, which is what was wanted.
        let _ = self.swarm.disconnect_peer_id(id);
    }

    /// Dials, and gives the attempt's name if it began. It does not where there is nothing to do:
    /// a peer that is connected, or an address of our own, which libp2p takes out before dialling.
    fn dial(&mut self, target: Target) -> Option<ConnectionId> {
        let options = behaviour::dial_options(target);
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => Some(connection),
            Err(DialError::DialPeerConditionFalse(_) | DialError::NoAddresses) => None,
            Err(error) => {
                self.warn(&format!("not dialled: {}", behaviour::causes(&error)));
                None
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        for id in self.peers.overdue(now) {
            tracing::debug!(%id, "dropped: it did not show that it speaks our protocol");
            self.hang_up(id);
        }
        if self.peers.count() >= self.wanted_peers {
            return;
        }
        let (peers, gate) = (&self.peers, &self.swarm.behaviour().gate);
        let is_served = |id: &PeerId| peers.is_connected(id) || !gate.is_welcome(id);
        for (index, target) in self.bootnodes.due(now, is_served) {
            match self.dial(target) {
                Some(connection) => self.bootnodes.dialled(index, connection),
                None => self.bootnodes.not_dialled(index, now),
            }
        }
    }

    pub(crate) fn warn(&mut self, text: &str) {
        tracing::debug!("{text}");
        self.made.push(Event::Warning(
            text.chars().take(WARNING_CHARS_MAX).collect(),
        ));
    }
}

/// Whether a fault is an attack or a broken node, and not bad luck or a mistake of its owner's.
fn is_hostile(fault: Fault) -> bool {
    match fault {
        Fault::InvalidWork
        | Fault::Mismatch
        | Fault::InvalidBlock
        | Fault::Contradiction
        | Fault::InvalidTransaction
        | Fault::Malformed
        | Fault::Unsolicited
        | Fault::TooManyRequests => true,
        Fault::WrongNetwork | Fault::NoProgress | Fault::Timeout | Fault::Full => false,
    }
}
