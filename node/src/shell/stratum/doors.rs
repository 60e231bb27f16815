//! How many miners may be connected, in all and of each address. Used by `server`.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use miner::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS};

/// Counts open connections.
#[derive(Default)]
pub struct Doors {
    open: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's place; given back when it is dropped.
pub struct Place {
    doors: Arc<Doors>,
    address: IpAddr,
}

impl Doors {
    /// A place for a connection of this address, if there is one.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&address).copied().unwrap_or(0);
        let is_full = open.values().sum::<usize>() >= CONNECTIONS_MAX;
        if is_full || (own >= CONNECTIONS_PER_ADDRESS && !address.is_loopback()) {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place {
            doors: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .doors
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Threat N2.
    #[test]
    fn each_address_has_its_share_and_all_together_theirs() {
        let doors = Arc::new(Doors::default());
        let enter = |text: &str| doors.enter(address(text));
        let rack: Vec<_> = (0..CONNECTIONS_PER_ADDRESS)
            .map(|_| enter("192.0.2.1").unwrap())
            .collect();
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("::ffff:192.0.2.1").is_none(), "the same address");
        let mut own = Vec::new();
        while let Some(place) = enter("127.0.0.1") {
            own.push(place);
        }
        assert_eq!(own.len() + rack.len(), CONNECTIONS_MAX);
        assert!(enter("192.0.2.2").is_none());
        drop(rack);
        assert!(enter("192.0.2.1").is_some());
        drop(own);
        assert!(doors.open.lock().unwrap().is_empty());
    }
}
