//! Who is kept out for a while for what it did: peer ids, and where they came from.
//!
//! The first ban of a peer is short, each further one twice as long, up to a longest. Peer ids
//! cost nothing, so nobody from its IP is let in for the same time. Not so for this machine's and
//! private ones: behind a container's bridge or a proxy all the world comes from one of those, and
//! anybody could shut the node off. A pure structure over Unix seconds. Owned by the gate; `book_file` keeps it on disk.

use std::{collections::HashMap, net::IpAddr};

use libp2p::PeerId;

use crate::{
    limits::{BAN_MEMORY_SECS, BANS_MAX},
    reach::{Scope, scope},
};

/// A ban, and how many there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    pub id: PeerId,
    /// Not let in either; a public one.
    pub ip: Option<IpAddr>,
    /// When it ends.
    pub until: u64,
    /// The how manieth of this peer.
    pub times: u32,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Bans {
    first_secs: u64,
    last_secs: u64,
    by_id: HashMap<PeerId, Ban>,
    changed: bool,
}

impl Bans {
    /// None yet. The first ban of a peer lasts `first_secs`, none longer than `last_secs`.
    pub(crate) fn new((first_secs, last_secs): (u64, u64)) -> Self {
        let (by_id, changed) = Default::default();
        Self {
            first_secs,
            last_secs,
            by_id,
            changed,
        }
    }

    /// Takes back what was saved; what has ended by `now` is dropped, what would last longer
    /// than any ban is cut.
    pub(crate) fn restore(&mut self, bans: Vec<Ban>, now: u64) {
        let longest = now.saturating_add(self.last_secs);
        for ban in bans.into_iter().filter(|ban| ban.until > now) {
            let until = ban.until.min(longest);
            self.by_id.insert(ban.id, Ban { until, ..ban });
        }
    }

    /// Keeps a peer out. Gives the ban.
    pub(crate) fn ban(&mut self, id: PeerId, ip: Option<IpAddr>, now: u64) -> Ban {
        let remembered = |ban: &Ban| ban.until.saturating_add(BAN_MEMORY_SECS) > now;
        self.by_id.retain(|_, ban| remembered(ban));
        let before = self.by_id.remove(&id).map_or(0, |ban| ban.times);
        if self.by_id.len() >= BANS_MAX {
            let first = self.by_id.values().min_by_key(|ban| ban.until);
            first.map(|ban| ban.id).map(|id| self.by_id.remove(&id));
        }
        let doubled = self.first_secs.saturating_mul(2_u64.saturating_pow(before));
        let ban = Ban {
            id,
            ip: ip
                .map(|ip| ip.to_canonical())
                .filter(|ip| scope(*ip) == Scope::Public),
            until: now.saturating_add(doubled.min(self.last_secs)),
            times: before.saturating_add(1),
        };
        self.by_id.insert(id, ban);
        self.changed = true;
        ban
    }

    /// Whether a peer is kept out.
    pub(crate) fn has(&self, id: &PeerId, now: u64) -> bool {
        self.by_id.get(id).is_some_and(|ban| ban.until > now)
    }

    /// Whether an address is kept out.
    pub(crate) fn has_ip(&self, ip: IpAddr, now: u64) -> bool {
        let ip = Some(ip.to_canonical());
        self.by_id
            .values()
            .any(|ban| ban.ip == ip && ban.until > now)
    }

    /// Those that have not ended, in the order of their ids.
    pub(crate) fn current(&self, now: u64) -> Vec<Ban> {
        let mut bans: Vec<Ban> = self.by_id.values().copied().collect();
        bans.retain(|ban| ban.until > now);
        bans.sort_by_key(|ban| ban.id);
        bans
    }

    /// Whether anything changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bans() -> Bans {
        Bans::new((600, 86_400))
    }

    #[test]
    fn bans_double_up_to_a_day() {
        let (mut bans, id) = (bans(), PeerId::random());
        let lasts: Vec<u64> = (0..9)
            .map(|_| bans.ban(id, None, 1_000).until - 1_000)
            .collect();
        assert_eq!(
            lasts,
            [
                600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 76_800, 86_400
            ]
        );
        for _ in 0..200 {
            bans.ban(id, None, 1_000);
        }
        assert_eq!(bans.ban(id, None, 1_000).until, 87_400);
    }

    #[test]
    fn flat_bans_do_not_grow() {
        let (mut bans, id) = (Bans::new((60, 60)), PeerId::random());
        for _ in 0..9 {
            assert_eq!(bans.ban(id, None, 5).until, 65);
        }
    }

    #[test]
    fn a_ban_holds_for_id_and_ip_and_ends() {
        let (mut bans, id) = (bans(), PeerId::random());
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        bans.ban(id, Some(ip), 0);
        assert!(bans.has(&id, 599) && bans.has_ip(ip, 599));
        assert!(bans.has_ip("::ffff:192.0.2.7".parse().unwrap(), 599));
        assert!(!bans.has_ip("192.0.2.8".parse().unwrap(), 599));
        assert!(!bans.has(&id, 600) && !bans.has_ip(ip, 600));
        assert!(!bans.has(&PeerId::random(), 0));
    }

    #[test]
    fn addresses_that_many_may_share_are_not_banned() {
        let mut bans = bans();
        for shared in ["127.0.0.1", "172.17.0.1", "::ffff:10.0.2.2", "fe80::1"] {
            let (id, ip) = (PeerId::random(), shared.parse().unwrap());
            assert_eq!(bans.ban(id, Some(ip), 0).ip, None, "{shared}");
            assert!(bans.has(&id, 0) && !bans.has_ip(ip, 0), "{shared}");
        }
    }

    #[test]
    fn a_good_day_makes_forget() {
        let (mut bans, id) = (bans(), PeerId::random());
        bans.ban(id, None, 0);
        let later = 600 + BAN_MEMORY_SECS;
        assert_eq!(bans.ban(id, None, later - 1).times, 2);
        let later = later + 1_200 + BAN_MEMORY_SECS;
        assert_eq!(bans.ban(id, None, later).times, 1);
    }

    #[test]
    fn bans_are_bounded_and_the_one_that_ends_first_goes() {
        let (mut bans, first) = (bans(), PeerId::random());
        bans.ban(first, None, 0);
        for _ in 0..BANS_MAX {
            bans.ban(PeerId::random(), None, 1);
        }
        assert_eq!(bans.by_id.len(), BANS_MAX);
        assert!(!bans.has(&first, 1));
    }

    #[test]
    fn what_was_saved_comes_back_cut_to_size() {
        let (mut before, one, two) = (bans(), PeerId::random(), PeerId::random());
        before.ban(one, None, 0);
        before.ban(two, None, 500);
        let mut after = bans();
        after.restore(before.current(0), 700);
        assert!(!after.has(&one, 700) && after.has(&two, 700));
        let forever = Ban {
            id: one,
            ip: None,
            until: u64::MAX,
            times: 1,
        };
        after.restore(vec![forever], 700);
        assert!(after.has(&one, 700) && !after.has(&one, 700 + 86_400));
    }
}
