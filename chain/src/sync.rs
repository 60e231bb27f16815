//! Sync: headers first by locator, then bodies from several peers within budgets.
//!
//! Bookkeeping of what was asked of whom, and when; decides what to ask next. Serving others is
//! here too, as a pure function of a store snapshot. Called by `node`, and `serve` by shells.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;

use crate::{
    block::{Block, Body},
    effect::{Effect, Fault, Time},
    forest::Forest,
    hash::BlockHash,
    header::Header,
    message::{Peer, Request, Response, Status},
    params::{
        BLOCKS_BYTES_MAX, BLOCKS_MAX, DOWNLOAD_WINDOW, HEADER_WIRE_BYTES, HEADERS_MAX, PEERS_MAX,
        REQUEST_BUDGET, REQUEST_BUDGET_SECS, REQUEST_TIMEOUT_SECS, REQUESTS_PER_PEER,
        STATUS_INTERVAL_SECS,
    },
    pool::PoolSnapshot,
    store::{Reader, StoreError},
    transaction::CheckedTransaction,
    tree::EntryId,
};

/// What we know of a peer, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSummary {
    /// Which.
    pub peer: Peer,
    /// Its last status; none before the first.
    pub status: Option<Status>,
    /// Chain work that it claims or has shown.
    pub chain_work: Option<U256>,
    /// Seconds that its clock is ahead of ours, the way of the message included.
    pub clock_ahead_secs: Option<i64>,
    /// What it is charged with, against [`Fault::LIMIT`].
    pub points: u32,
    /// Requests of ours that it has not answered yet.
    pub requests: usize,
}

/// What we know of a peer, and what is under way with it.
#[derive(Clone, Debug)]
struct PeerState {
    status: Option<Status>,
    clock_ahead_secs: Option<i64>,
    /// Chain work it claims; `None` before its first status.
    chain_work: Option<U256>,
    points: u32,
    headers_deadline_ms: Option<u64>,
    /// The chain work that its headers have led to since its last status.
    headers_reach: U256,
    requests: usize,
    /// Blocks it answered without, until its next status.
    lacks: BTreeSet<BlockHash>,
    status_due_ms: u64,
    /// Not told of a new head before this.
    quiet_until_ms: u64,
    /// Not asked for blocks before this: it failed to deliver.
    rest_until_ms: u64,
    budget: u32,
    refill_due_ms: u64,
}

impl PeerState {
    fn is_idle(&self, now: Time) -> bool {
        self.requests < REQUESTS_PER_PEER && self.rest_until_ms <= now.monotonic_ms
    }

    fn may_have(&self, wanted: &Wanted) -> bool {
        self.chain_work
            .is_some_and(|chain_work| chain_work >= wanted.chain_work)
            && !self.lacks.contains(&wanted.hash)
    }
}

/// A block whose body we want.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    hash: BlockHash,
    chain_work: U256,
    bytes: usize,
}

impl Wanted {
    fn new(forest: &Forest, id: EntryId) -> Self {
        let entry = &forest.tree()[id];
        let body_bytes = usize::try_from(entry.body_bytes).unwrap_or(BLOCKS_BYTES_MAX);
        Self {
            hash: entry.id().hash,
            chain_work: entry.chain_work(),
            bytes: HEADER_WIRE_BYTES + body_bytes,
        }
    }
}

/// A block asked for.
#[derive(Clone, Copy, Debug)]
struct Flight {
    peer: Peer,
    deadline_ms: u64,
}

/// What is under way with all peers.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    peers: BTreeMap<Peer, PeerState>,
    flights: BTreeMap<BlockHash, Flight>,
}

impl Sync {
    /// A new peer; `false` if there is no place for it.
    pub fn connected(&mut self, peer: Peer, now: Time) -> bool {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            return false;
        }
        self.peers.insert(
            peer,
            PeerState {
                status: None,
                clock_ahead_secs: None,
                chain_work: None,
                points: 0,
                headers_deadline_ms: None,
                headers_reach: U256::ZERO,
                requests: 0,
                lacks: BTreeSet::new(),
                status_due_ms: now.monotonic_ms + STATUS_INTERVAL_SECS * 1000,
                quiet_until_ms: 0,
                rest_until_ms: 0,
                budget: REQUEST_BUDGET,
                refill_due_ms: now.monotonic_ms + REQUEST_BUDGET_SECS * 1000,
            },
        );
        true
    }

    /// A peer is gone; what was asked of it may be asked of others.
    pub fn disconnected(&mut self, peer: Peer) {
        self.peers.remove(&peer);
        self.flights.retain(|_, flight| flight.peer != peer);
    }

    /// Charges a peer. Returns whether it has used up its credit.
    pub fn charge(&mut self, peer: Peer, fault: Fault) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        state.points = state.points.saturating_add(fault.points());
        state.points >= Fault::LIMIT
    }

    /// Takes one request from a peer's budget; `false` if it is used up.
    pub fn spend(&mut self, peer: Peer) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        let affordable = state.budget > 0;
        state.budget = state.budget.saturating_sub(1);
        affordable
    }

    /// Notes what a peer claims.
    pub fn claims(&mut self, peer: Peer, status: &Status, now: Time) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.status = Some(status.clone());
            state.clock_ahead_secs = status.time.checked_signed_diff(now.unix_secs);
            state.chain_work = Some(status.chain_work());
            state.lacks.clear();
            state.headers_reach = U256::ZERO;
        }
    }

    /// Notes where a peer's headers led; `false` unless that is further up than before, so that
    /// nobody keeps us busy with the same headers for ever.
    pub fn made_progress(&mut self, peer: Peer, chain_work: U256) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else {
            return false;
        };
        let better = chain_work > state.headers_reach;
        state.headers_reach = state.headers_reach.max(chain_work);
        better
    }

    /// Notes that a peer has shown a header of this chain work, and so claims at least that.
    pub fn claims_at_least(&mut self, peer: Peer, chain_work: U256) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.chain_work = Some(state.chain_work.unwrap_or_default().max(chain_work));
        }
    }

    /// A peer sent something else in a block's place: it rests, and others are asked.
    pub fn failed(&mut self, peer: Peer, hash: &BlockHash, now: Time) {
        self.flights.remove(hash);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
        }
    }

    /// Whether a peer's answer with headers is awaited.
    pub fn awaits_headers(&self, peer: Peer) -> bool {
        self.peers
            .get(&peer)
            .is_some_and(|state| state.headers_deadline_ms.is_some())
    }

    /// Asks a peer for headers after the locator, unless it is busy with that.
    pub fn ask_headers(
        &mut self,
        peer: Peer,
        locator: Vec<BlockHash>,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if state.headers_deadline_ms.is_none() {
            state.headers_deadline_ms = Some(now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000);
            out.push(Effect::Send {
                to: peer,
                request: Request::Headers(locator),
            });
        }
    }

    /// A request is over. Blocks that did not come will be asked of others.
    pub fn answered(&mut self, peer: Peer, request: &Request, now: Time) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        match request {
            Request::Headers(_) => state.headers_deadline_ms = None,
            Request::Blocks(hashes) => {
                state.requests = state.requests.saturating_sub(1);
                for hash in hashes {
                    if self
                        .flights
                        .get(hash)
                        .is_some_and(|flight| flight.peer == peer)
                    {
                        self.flights.remove(hash);
                        state.lacks.insert(*hash);
                    }
                }
                if state.lacks.len() > DOWNLOAD_WINDOW {
                    state.lacks.clear();
                    state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
                }
            }
            Request::Status(_) | Request::Transactions(_) | Request::Addresses => {}
        }
    }

    /// A block has come, from whomever.
    pub fn arrived(&mut self, hash: &BlockHash) {
        self.flights.remove(hash);
    }

    /// Whether a block was asked of this peer.
    pub fn asked(&self, peer: Peer, hash: &BlockHash) -> bool {
        self.flights
            .get(hash)
            .is_some_and(|flight| flight.peer == peer)
    }

    /// Asks for the bodies that the forest wants, of peers that claim to have them. What nobody
    /// can give now is left out and holds up nothing else (Rule F2).
    pub fn ask_blocks(&mut self, forest: &Forest, now: Time, out: &mut Vec<Effect>) {
        if !self.peers.values().any(|state| state.is_idle(now)) {
            return;
        }
        let can_come = |id| {
            let wanted = Wanted::new(forest, id);
            !self.flights.contains_key(&wanted.hash) && self.idlest_peer(&wanted, now).is_some()
        };
        let ids = forest.wanted_bodies(DOWNLOAD_WINDOW, can_come);
        let mut wanted: Vec<_> = ids.into_iter().map(|id| Wanted::new(forest, id)).collect();
        while let Some(first) = wanted.first() {
            let Some(peer) = self.idlest_peer(first, now) else {
                wanted.remove(0);
                continue;
            };
            let state = self.peers.get_mut(&peer).expect("just found");
            state.requests += 1;
            let hashes = take_request(&mut wanted, state);
            let deadline_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
            let flight = Flight { peer, deadline_ms };
            self.flights
                .extend(hashes.iter().map(|hash| (*hash, flight)));
            out.push(Effect::Send {
                to: peer,
                request: Request::Blocks(hashes),
            });
        }
    }

    fn idlest_peer(&self, wanted: &Wanted, now: Time) -> Option<Peer> {
        let able = self
            .peers
            .iter()
            .filter(|(_, state)| state.is_idle(now) && state.may_have(wanted));
        able.min_by_key(|(_, state)| state.requests)
            .map(|(peer, _)| *peer)
    }

    /// Time-outs, refills, and a point forgiven from time to time. Returns peers whose status is
    /// due, and peers that let us wait.
    pub fn tick(&mut self, now: Time) -> (Vec<Peer>, Vec<Peer>) {
        let mut late: Vec<Peer> = Vec::new();
        self.flights.retain(|_, flight| {
            let in_time = flight.deadline_ms > now.monotonic_ms;
            if !in_time && !late.contains(&flight.peer) {
                late.push(flight.peer);
            }
            in_time
        });
        let mut due = Vec::new();
        for (peer, state) in &mut self.peers {
            if late.contains(peer) {
                state.rest_until_ms = now.monotonic_ms + REQUEST_TIMEOUT_SECS * 1000;
            }
            if state
                .headers_deadline_ms
                .is_some_and(|deadline| deadline <= now.monotonic_ms)
            {
                state.headers_deadline_ms = None;
                late.push(*peer);
            }
            if state.status_due_ms <= now.monotonic_ms {
                state.status_due_ms = now.monotonic_ms + STATUS_INTERVAL_SECS * 1000;
                due.push(*peer);
            }
            if state.refill_due_ms <= now.monotonic_ms {
                state.refill_due_ms = now.monotonic_ms + REQUEST_BUDGET_SECS * 1000;
                state.budget = REQUEST_BUDGET;
                state.points = state.points.saturating_sub(1);
            }
        }
        (due, late)
    }

    /// What is known of every peer.
    pub fn summaries(&self) -> Vec<PeerSummary> {
        let summary = |(peer, state): (&Peer, &PeerState)| PeerSummary {
            peer: *peer,
            status: state.status.clone(),
            chain_work: state.chain_work,
            clock_ahead_secs: state.clock_ahead_secs,
            points: state.points,
            requests: state.requests + usize::from(state.headers_deadline_ms.is_some()),
        };
        self.peers.iter().map(summary).collect()
    }

    /// Bodies asked for and not here yet.
    pub fn bodies_under_way(&self) -> usize {
        self.flights.len()
    }

    /// Peers that claim less chain work than this and have not been told for a second.
    pub fn peers_to_tell(&mut self, chain_work: U256, now: Time) -> Vec<Peer> {
        let mut out = Vec::new();
        for (peer, state) in &mut self.peers {
            let is_behind = state.chain_work.is_some_and(|claimed| claimed < chain_work);
            if is_behind && state.quiet_until_ms <= now.monotonic_ms {
                state.quiet_until_ms = now.monotonic_ms + 1_000;
                out.push(*peer);
            }
        }
        out
    }
}

/// Takes out what one request to this peer asks for: as much as it may have and as fits, by
/// count and by the bytes of the answer, and the first one in any case.
fn take_request(wanted: &mut Vec<Wanted>, state: &PeerState) -> Vec<BlockHash> {
    let (mut bytes, mut hashes) = (0, Vec::new());
    wanted.retain(|wanted| {
        let fits = hashes.len() < BLOCKS_MAX / 2
            && state.may_have(wanted)
            && (hashes.is_empty() || bytes + wanted.bytes <= BLOCKS_BYTES_MAX);
        if fits {
            bytes += wanted.bytes;
            hashes.push(wanted.hash);
        }
        !fits
    });
    hashes
}

/// What a snapshot says to a peer's request; everything is bounded by `params`.
pub fn serve(
    request: &Request,
    status: &Status,
    pool: &PoolSnapshot,
    db: &dyn Reader,
) -> Result<Response, StoreError> {
    match request {
        Request::Status(_) => Ok(Response::Status(status.clone())),
        Request::Headers(locator) => serve_headers(locator, db).map(Response::Headers),
        Request::Blocks(hashes) => serve_blocks(hashes, db).map(Response::Blocks),
        Request::Transactions(hashes) => {
            let mut bytes = 0;
            let found = hashes.iter().filter_map(|hash| pool.get(hash));
            let fitting = found.map(CheckedTransaction::bytes).take_while(|found| {
                bytes += found.len();
                bytes <= BLOCKS_BYTES_MAX
            });
            Ok(Response::Transactions(
                fitting.map(<[u8]>::to_vec).collect(),
            ))
        }
        // The network layer knows where peers are, and answers before it comes to this.
        Request::Addresses => Ok(Response::Addresses(Vec::new())),
    }
}

/// Best-chain headers after the first hash of the locator that stands on the best chain.
fn serve_headers(locator: &[BlockHash], db: &dyn Reader) -> Result<Vec<Header>, StoreError> {
    let mut out = Vec::new();
    for hash in locator {
        let Some(header) = db.header(hash)? else {
            continue;
        };
        let height = header.extension.height;
        if db.canonical(height)? != Some(*hash) {
            continue;
        }
        let last = height.saturating_add(HEADERS_MAX as u64);
        for height in height.saturating_add(1)..=last {
            let Some(hash) = db.canonical(height)? else {
                break;
            };
            let Some(header) = db.header(&hash)? else {
                break;
            };
            out.push(Header::clone(&header));
        }
        break;
    }
    Ok(out)
}

fn serve_blocks(hashes: &[BlockHash], db: &dyn Reader) -> Result<Vec<Block>, StoreError> {
    let mut out = Vec::new();
    let mut bytes = 0;
    for hash in hashes {
        let (Some(header), Some(body)) = (db.header(hash)?, db.body(hash)?) else {
            continue;
        };
        bytes += HEADER_WIRE_BYTES + body.encoded_len();
        if bytes > BLOCKS_BYTES_MAX && !out.is_empty() {
            break;
        }
        out.push(Block {
            header: Header::clone(&header),
            body: Body::clone(&body),
        });
    }
    Ok(out)
}
