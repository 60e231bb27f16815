//! Chains that are shown before they are kept: what an answer with headers may do to a node that
//! asks for a least chain work, and the hostile peer that shows one chain and delivers another.

use std::sync::Arc;

use chain::{BlockHash, Input, Peer};

use super::{
    rare,
    tally::{Fault, Reached},
    world::World,
};

/// How far a peer has come with the chain that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    None,
    First,
    Second,
}

/// What a two-faced peer answers.
pub enum Face {
    Honest,
    Other(Arc<[u8]>),
    Silent,
}

impl World {
    fn pass(&self, host: usize, peer: Peer) -> Pass {
        let node = self.hosts[host].node.as_ref();
        let presync = node.and_then(|node| node.sync().presync(peer));
        match presync.map(chain::sync::Presync::is_second_pass) {
            None => Pass::None,
            Some(false) => Pass::First,
            Some(true) => Pass::Second,
        }
    }

    /// One input of an answer that came over a link. Of a chain that is only shown nothing stays.
    pub fn answered(&mut self, me: usize, link: usize, input: Input) {
        let Input::Headers { from, .. } = &input else {
            self.input(me, input);
            return;
        };
        let (from, life) = (*from, self.life(me));
        let (was, before) = (self.pass(me, from), self.hosts[me].live.headers);
        self.input(me, input);
        if !self.is_up(me) || self.life(me) != life {
            return;
        }
        let (is, after) = (self.pass(me, from), self.hosts[me].live.headers);
        let is_shown = is == Pass::First || (is == Pass::Second && was != Pass::Second);
        assert!(
            !is_shown || before == after,
            "{} headers of a chain joined that was only shown",
            after - before
        );
        let is_honest = self.links[link]
            .ends
            .iter()
            .all(|end| *end < self.hosts.len());
        match (was, is) {
            (Pass::None | Pass::First, Pass::Second) if is_honest => {
                self.tally.reach(Reached::SecondPass);
            }
            (Pass::Second, Pass::None) if is_honest && after > before => {
                self.tally.reach(Reached::Delivered);
            }
            _ => {}
        }
    }

    /// What a two-faced peer makes of a question for headers. It shows the chain as it is, delivers
    /// another with as much work, and is silent from then on; the honest peers get through.
    pub fn face(
        &mut self,
        hostile: usize,
        victim: usize,
        link: usize,
        locator: &[BlockHash],
    ) -> Face {
        if self.tally.faults.contains_key(&Fault::OtherDelivery) {
            return Face::Silent;
        }
        let peer = self.peer(link);
        if locator.len() > 1 {
            self.hostiles[hostile].has_shown = Some(peer);
            return Face::Honest;
        }
        // From genesis on: the first pass, or the second one.
        let node = self.hosts[victim].node.as_ref();
        let presync = node.and_then(|node| node.sync().presync(peer));
        let second = presync.filter(|presync| presync.is_second_pass());
        if second.is_none() && self.hostiles[hostile].has_shown != Some(peer) {
            return Face::Honest;
        }
        // One in 65,536 is taken for what was shown; of two hardly both.
        let others = &rare::past().others;
        let differs = |other: &&rare::Other| {
            second.is_some_and(|presync| presync.clone().deliver(&other.headers).is_err())
        };
        let other = others.iter().find(differs).unwrap_or(&others[0]);
        if second.is_some() {
            self.tally.fault(Fault::OtherDelivery);
            self.end_eclipse(victim);
        }
        Face::Other(Arc::clone(&other.bytes))
    }
}
