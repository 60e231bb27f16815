//! What peers ask of a node: a flood of questions by a hostile one, and the limits of what is
//! answered. The budget of a peer is counted here again, from what the node answers.

use std::collections::BTreeMap;

use chain::{
    BlockHash, Fault as Blame, Input, Request, Ticket, TxHash,
    params::{REQUEST_BUDGET, REQUEST_BUDGET_SECS},
};

use super::{
    net::Pending,
    tally::{Fault, Reached},
    world::World,
};

/// Questions in a flood: the budget, as many that are declined for free, and those for which the
/// peer is let go.
const FLOOD: u32 = 2 * REQUEST_BUDGET + Blame::LIMIT;
/// Steps that one commit holds back, at most: what they answer is counted a moment late.
const HELD: u32 = 16;

/// Answers of each host to each link since the budget was last refilled.
#[derive(Default)]
pub struct Accounts(BTreeMap<(usize, usize), Account>);

struct Account {
    refilled_ms: u64,
    answered: u32,
}

impl Accounts {
    /// A connection begins with a whole budget.
    pub fn open(&mut self, host: usize, link: usize, refilled_ms: u64) {
        let answered = 0;
        let account = Account {
            refilled_ms,
            answered,
        };
        self.0.insert((host, link), account);
    }

    /// At a tick, what is due.
    pub fn refill(&mut self, host: usize, now_ms: u64) {
        let own = self.0.range_mut((host, 0)..(host + 1, 0));
        for (_, account) in own {
            if now_ms - account.refilled_ms >= REQUEST_BUDGET_SECS * 1_000 {
                (account.refilled_ms, account.answered) = (now_ms, 0);
            }
        }
    }
}

impl World {
    /// A host answers: no peer more often than its budget allows.
    pub fn check_served(&mut self, me: usize, ticket: Ticket) {
        let link = self.pending.get(&ticket.0).map(|pending| pending.link);
        let account = link.and_then(|link| self.accounts.0.get_mut(&(me, link)));
        if let Some(account) = account {
            account.answered += 1;
            let answered = account.answered;
            assert!(
                answered <= REQUEST_BUDGET + HELD,
                "{answered} questions of one peer were answered in one refill of its budget"
            );
        }
    }

    /// A host's core declines: no honest peer ever asks so much, whatever others ask.
    pub fn check_declined(&self, ticket: Ticket) {
        let asker = self.pending.get(&ticket.0).map(|pending| pending.asker);
        assert!(
            asker.is_none_or(|asker| asker >= self.hosts.len()),
            "an honest peer's question was declined"
        );
    }

    /// A hostile peer asks more than its budget allows, and goes on. Returns whether it could:
    /// then it was let go for that.
    pub fn flood(&mut self) -> bool {
        let Some(link) = self.link_to_flood() else {
            return false;
        };
        let [host, asker] = self.links[link].ends;
        let life = self.life(host);
        // It does not listen to the answers.
        let epoch = u64::MAX;
        let status = self.hosts[host]
            .node()
            .status(self.hosts[host].now(self.now_ms));
        for at in 0..FLOOD {
            if self.tally.has_reached(Reached::FloodStopped) {
                break;
            }
            let request = match at % 4 {
                0 => Request::Status(status.clone()),
                1 => Request::Headers(vec![status.head]),
                2 => Request::Blocks(vec![BlockHash([0xee; 32])]),
                _ => Request::Transactions(vec![TxHash([0xee; 32])]),
            };
            self.next_request += 1;
            let pending = Pending {
                link,
                epoch,
                asker,
                request: request.clone(),
                since_ms: self.now_ms,
            };
            self.pending.insert(self.next_request, pending);
            let (from, ticket) = (self.peer(link), Ticket(self.next_request));
            self.input(
                host,
                Input::Request {
                    from,
                    ticket,
                    request,
                },
            );
        }
        if self.is_up(host) {
            self.flush(host);
        }
        // The flooded one has asked others meanwhile: those questions stay.
        self.pending.retain(|_, pending| pending.epoch != epoch);
        self.ask_of(host);
        self.tally.fault(Fault::QuestionFlood);
        let has_crashed = !self.is_up(host) || self.life(host) != life;
        assert!(
            has_crashed || self.tally.has_reached(Reached::FloodStopped),
            "{FLOOD} questions at once, and the peer was not let go"
        );
        !has_crashed
    }

    /// All honest peers of a host ask it at once where it stands.
    fn ask_of(&mut self, host: usize) {
        for link in self.links_of(host) {
            let peer = self.links[link].ends[1 - self.links[link].end(host)];
            let is_connected = self.links[link].connected == [true; 2];
            if is_connected && peer < self.hosts.len() && self.is_up(peer) {
                let status = self.hosts[peer]
                    .node()
                    .status(self.hosts[peer].now(self.now_ms));
                self.ask(peer, link, Request::Status(status));
            }
        }
    }

    /// A link of a hostile peer to a host that is up and awake.
    fn link_to_flood(&self) -> Option<usize> {
        let is_open = |at: &usize| {
            let link = &self.links[*at];
            let [host, other] = link.ends;
            let is_hostile = other >= self.hosts.len() && link.connected == [true; 2];
            let is_awake = |host: usize| self.hosts[host].asleep_until_ms <= self.now_ms;
            is_hostile && self.is_up(host) && is_awake(host) && !self.is_cut(*at)
        };
        (0..self.links.len()).find(is_open)
    }
}
