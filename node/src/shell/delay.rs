//! A slow network on purpose: what peers send is held back for a while, in its order.
//!
//! Between the network and the bridge. Without a delay events pass straight through. The queue is
//! bounded: full, it leaves the rest with the network, which slows down its peers in turn.

use std::{collections::VecDeque, time::Duration};

use p2p::Event;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// Events held back at a time.
const HELD_MAX: usize = 1_024;

/// The network's events, late.
pub struct Delayed {
    events: mpsc::Receiver<Event>,
    delay: watch::Receiver<Duration>,
    /// With the time of their arrival.
    held: VecDeque<(Instant, Event)>,
    is_closed: bool,
}

impl Delayed {
    /// Holds back `events` by what `delay` says at the time.
    pub fn new(events: mpsc::Receiver<Event>, delay: watch::Receiver<Duration>) -> Self {
        Self {
            events,
            delay,
            held: VecDeque::new(),
            is_closed: false,
        }
    }

    /// The next event that is due; none when the network has ended. Nothing is lost where the
    /// wait is broken off.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let delay = *self.delay.borrow_and_update();
            let due = self.held.front().map(|(came, _)| *came + delay);
            if self.is_closed || due.is_some_and(|due| due <= Instant::now()) {
                return self.held.pop_front().map(|(_, event)| event);
            }
            if due.is_none() && delay.is_zero() {
                tokio::select! {
                    event = self.events.recv() => return event,
                    // What comes after the order is held back already.
                    Ok(()) = self.delay.changed() => continue,
                }
            }
            let until = due.unwrap_or_else(Instant::now);
            tokio::select! {
                event = self.events.recv(), if self.held.len() < HELD_MAX => match event {
                    Some(event) => self.held.push_back((Instant::now(), event)),
                    None => self.is_closed = true,
                },
                () = sleep_until(until), if due.is_some() => {}
                // A shorter delay lets go of what is held. The sender lives as long as the node.
                Ok(()) = self.delay.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Event {
        Event::Warning(number.to_string())
    }

    fn number(event: &Event) -> usize {
        match event {
            Event::Warning(text) => text.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    struct Rig {
        network: mpsc::Sender<Event>,
        delay: watch::Sender<Duration>,
        delayed: Delayed,
    }

    fn rig(delay: Duration) -> Rig {
        let (network, events) = mpsc::channel(4 * HELD_MAX);
        let (delay, receiver) = watch::channel(delay);
        let delayed = Delayed::new(events, receiver);
        Rig {
            network,
            delay,
            delayed,
        }
    }

    #[tokio::test]
    async fn the_first_event_after_the_order_is_held_back() {
        let mut rig = rig(Duration::ZERO);
        let start = Instant::now();
        let order = async {
            tokio::task::yield_now().await;
            rig.delay.send_replace(Duration::from_millis(50));
            tokio::task::yield_now().await;
            rig.network.try_send(event(7)).unwrap();
        };
        let (found, ()) = tokio::join!(rig.delayed.next(), order);
        assert_eq!(number(&found.unwrap()), 7);
        assert!(start.elapsed() >= Duration::from_millis(50));
    }

    #[tokio::test]
    async fn without_a_delay_events_pass_and_the_end_too() {
        let mut rig = rig(Duration::ZERO);
        rig.network.try_send(event(1)).unwrap();
        assert_eq!(number(&rig.delayed.next().await.unwrap()), 1);
        drop(rig.network);
        assert!(rig.delayed.next().await.is_none());
    }

    #[tokio::test]
    async fn events_come_late_in_their_order_and_none_is_lost() {
        let delay = Duration::from_millis(40);
        let mut rig = rig(delay);
        let start = Instant::now();
        (0..3 * HELD_MAX).for_each(|number| rig.network.try_send(event(number)).unwrap());
        for wanted in 0..3 * HELD_MAX {
            // A wait that is broken off takes nothing with it.
            let broken_off = tokio::time::timeout(Duration::ZERO, rig.delayed.next()).await;
            let next = match broken_off {
                Ok(next) => next,
                Err(_) => rig.delayed.next().await,
            };
            assert_eq!(number(&next.unwrap()), wanted);
            assert!(rig.delayed.held.len() <= HELD_MAX);
            assert!(start.elapsed() >= delay, "held back");
        }
    }

    #[tokio::test]
    async fn an_end_of_the_delay_lets_go_of_what_is_held() {
        let mut rig = rig(Duration::from_secs(3_600));
        (0..5).for_each(|number| rig.network.try_send(event(number)).unwrap());
        let early = tokio::time::timeout(Duration::from_millis(20), rig.delayed.next());
        assert!(early.await.is_err());
        rig.delay.send_replace(Duration::ZERO);
        for wanted in 0..5 {
            assert_eq!(number(&rig.delayed.next().await.unwrap()), wanted);
        }
    }
}
