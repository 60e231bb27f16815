//! Which inbound peer makes room for a newcomer when all places are taken.
//!
//! As Bitcoin Core does it: whoever is hard to imitate stays. Protected are four by neighbourhood,
//! eight by short round trips, four by recent transactions and four by recent blocks, and of the
//! rest the half that has been here longest; from what is left the youngest of the most populous
//! neighbourhood goes. Whoever comes in great numbers late and from few places evicts his own. A
//! pure function, called by the gate.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chain::hash::sha256;

use crate::reach::Group;

/// Protected by neighbourhood.
const BY_GROUP: usize = 4;
/// Protected by round trip.
const BY_PING: usize = 8;
/// Protected by their last useful transaction.
const BY_TRANSACTION: usize = 4;
/// Protected by their last useful block.
const BY_BLOCK: usize = 4;

/// What counts for and against an inbound connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merits {
    /// Where it comes from.
    pub group: Group,
    /// When it came.
    pub since: Instant,
    /// Its shortest round trip.
    pub rtt: Option<Duration>,
    /// When it last gossiped a block that was accepted.
    pub block: Option<Instant>,
    /// When it last gossiped a transaction that was accepted.
    pub transaction: Option<Instant>,
}

/// The index of the one that goes; nothing where all are protected. The seed, which is secret,
/// decides which neighbourhoods are protected.
pub(crate) fn evict(all: &[Merits], seed: &[u8; 32]) -> Option<usize> {
    let mut rest: Vec<(usize, &Merits)> = all.iter().enumerate().collect();
    protect_groups(&mut rest, seed);
    protect(&mut rest, BY_PING, |one| one.rtt);
    protect(&mut rest, BY_TRANSACTION, |one| {
        one.transaction.map(Reverse)
    });
    protect(&mut rest, BY_BLOCK, |one| one.block.map(Reverse));
    let half = rest.len() / 2;
    protect(&mut rest, half, |one| Some(one.since));
    let mut population: BTreeMap<Group, usize> = BTreeMap::new();
    for (_, one) in &rest {
        *population.entry(one.group).or_default() += 1;
    }
    let crowd = |one: &Merits| population.get(&one.group).copied().unwrap_or(0);
    let goes = rest
        .into_iter()
        .max_by_key(|(index, one)| (crowd(one), one.since, *index));
    goes.map(|(index, _)| index)
}

/// Takes out the one that has been here longest from each of a few neighbourhoods.
fn protect_groups(rest: &mut Vec<(usize, &Merits)>, seed: &[u8; 32]) {
    rest.sort_by_key(|(index, one)| (one.since, *index));
    let groups: BTreeSet<Group> = rest.iter().map(|(_, one)| one.group).collect();
    let mut groups: Vec<Group> = groups.into_iter().collect();
    groups.sort_by_cached_key(|group| sha256(&[&seed[..], group.bytes()].concat()));
    for group in groups.into_iter().take(BY_GROUP) {
        if let Some(place) = rest.iter().position(|(_, one)| one.group == group) {
            rest.remove(place);
        }
    }
}

/// Takes out up to `count` of those that have a key, the least first.
fn protect<K: Ord>(
    rest: &mut Vec<(usize, &Merits)>,
    count: usize,
    key: impl Fn(&Merits) -> Option<K>,
) {
    // Those without a key come first in the order of options, and are none of the best.
    rest.sort_by_key(|(index, one)| (key(one).map(Reverse), Reverse(*index)));
    let best = rest
        .iter()
        .rev()
        .take(count)
        .take_while(|(_, one)| key(one).is_some());
    let kept = rest.len() - best.count();
    rest.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [7; 32];

    fn merits(group: u16, since: Instant) -> Merits {
        Merits {
            group: Group::V4(group.to_be_bytes()),
            since,
            rtt: None,
            block: None,
            transaction: None,
        }
    }

    fn after(start: Instant, secs: u64) -> Instant {
        start + Duration::from_secs(secs)
    }

    #[test]
    fn few_are_all_protected() {
        let start = Instant::now();
        let one = merits(1, start);
        assert_eq!(evict(&[], &SEED), None);
        assert_eq!(evict(&[one], &SEED), None);
        let apart: Vec<Merits> = (0..4).map(|n| merits(n, start)).collect();
        assert_eq!(evict(&apart, &SEED), None);
    }

    #[test]
    fn the_youngest_of_the_most_populous_group_goes() {
        let start = Instant::now();
        let mut all: Vec<Merits> = (0..20)
            .map(|n| merits(n, after(start, u64::from(n))))
            .collect();
        all.extend((30..40).map(|n| merits(99, after(start, n))));
        let gone = evict(&all, &SEED).unwrap();
        assert_eq!(all[gone], merits(99, after(start, 39)));
    }

    #[test]
    fn each_merit_protects() {
        let start = Instant::now();
        let crowd: Vec<Merits> = (0..40).map(|n| merits(1, after(start, n))).collect();
        let youngest = 39;
        assert_eq!(evict(&crowd, &SEED), Some(youngest));
        let merited: [fn(&mut Merits); 3] = [
            |one| one.rtt = Some(Duration::from_millis(1)),
            |one| one.block = Some(one.since),
            |one| one.transaction = Some(one.since),
        ];
        for merit in merited {
            let mut all = crowd.clone();
            merit(&mut all[youngest]);
            assert_eq!(evict(&all, &SEED), Some(youngest - 1));
        }
    }

    /// A full house of honest peers.
    fn honest(start: Instant, random: &mut impl FnMut() -> u64) -> Vec<Merits> {
        let one = |n: u64, random: &mut dyn FnMut() -> u64| {
            let since = after(start, n);
            Merits {
                rtt: Some(Duration::from_millis(20 + random() % 200)),
                block: random()
                    .is_multiple_of(2)
                    .then(|| after(since, random() % 1_000)),
                transaction: random()
                    .is_multiple_of(2)
                    .then(|| after(since, random() % 1_000)),
                ..merits(u16::try_from(random() % 20_000).unwrap(), since)
            }
        };
        (0..48).map(|n| one(n, random)).collect()
    }

    /// Threat P4: whoever comes later, in any number, from any `k` neighbourhoods, with better
    /// pings and as many transactions as he likes, pushes out at most those protected by nothing
    /// else; from a single one, hardly more than the places that protect him.
    #[test]
    fn p4_an_adversary_pushes_out_no_more_than_his_bound() {
        for case in 0..60_u64 {
            let mut state = case + 1;
            let mut random = move || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state >> 33
            };
            let start = Instant::now();
            let mut all = honest(start, &mut random);
            let later = after(start, 10_000);
            let groups = 1 + random() % 200;
            let (fast, chatty) = (case % 2 == 0, case % 3 == 0);
            for n in 0..400 {
                let gone = evict(&all, &SEED).expect("48 are never all protected");
                all.remove(gone);
                let since = after(later, n);
                let group = 30_000 + u16::try_from(random() % groups).unwrap();
                all.push(Merits {
                    rtt: fast.then_some(Duration::from_millis(1)),
                    transaction: chatty.then_some(since),
                    ..merits(group, since)
                });
            }
            let stayed = all.iter().filter(|one| one.since < later).count();
            // Sure to stay: four by block, and of those that neither neighbourhood, ping,
            // transaction nor block protects (28 at least), the older half.
            let mut sure = 4 + 28 / 2;
            sure += if fast { 0 } else { BY_PING };
            sure += if chatty { 0 } else { BY_TRANSACTION };
            assert!(
                stayed >= sure,
                "case {case}: {stayed} of 48 stayed, wanted {sure}"
            );
            if groups == 1 {
                // The places that protect him, and two more to be the most populous.
                let lost = 3 + if fast { BY_PING } else { 0 };
                let lost = lost + if chatty { BY_TRANSACTION } else { 0 };
                assert!(stayed >= 48 - lost, "case {case}: {stayed} of 48 stayed");
            }
        }
    }
}
