//! Peers that the operator refuses, and pings.

use std::time::Duration;

use chain::Fault;

use super::{Node, exchange, node, pair};
use crate::{Command, Event};

impl Node {
    /// Refuses these from now on.
    fn block(&self, others: &[&Node]) {
        let ids = others
            .iter()
            .map(|other| other.handle.peer_id().to_string());
        self.tell(Command::Block(ids.collect()));
    }

    async fn sees_no_peer(&mut self) {
        for event in self.lately().await {
            assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_peer_is_neither_dialled_nor_let_in_until_it_is_unblocked() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/tcp/").await;
    // The dialler refuses.
    two.block(&[&one]);
    assert_eq!(two.disconnected().await, to_one);
    assert_eq!(one.disconnected().await, to_two);
    two.tell(Command::Dial(one.address("/quic-v1")));
    one.tell(Command::Dial(two.address("/tcp/")));
    two.sees_no_peer().await;
    one.sees_no_peer().await;
    two.block(&[]);
    let (to_one, to_two) = (two.connected().await, one.connected().await);
    // The listener refuses.
    one.block(&[&two]);
    assert_eq!(two.disconnected().await, to_one);
    assert_eq!(one.disconnected().await, to_two);
    two.tell(Command::Dial(one.host_and_port()));
    two.sees_no_peer().await;
    one.sees_no_peer().await;
    one.block(&[]);
    let (to_one, _) = (two.connected().await, one.connected().await);
    exchange(&mut two, &mut one, to_one, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_named_is_not_blocked() {
    let ((mut one, to_two), (mut two, _)) = pair("/tcp/").await;
    let stranger = node(|_| {}).await;
    one.tell(Command::Block(vec!["nobody".into()]));
    let warned = one.until(|event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    });
    assert!(warned.await.contains("\"nobody\" is no peer id"));
    one.block(&[&stranger]);
    exchange(&mut one, &mut two, to_two, 1).await;
    stranger.tell(Command::Dial(one.host_and_port()));
    one.sees_no_peer().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hostility_is_no_ban() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/tcp/").await;
    one.tell(Command::Disconnect {
        peer: to_two,
        fault: Fault::Timeout,
    });
    assert_eq!(one.disconnected().await, to_two);
    assert_eq!(two.disconnected().await, to_one);
    assert_ne!(two.connected().await, to_one);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_told() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/quic-v1").await;
    assert_eq!(one.pinged().await, to_two);
    assert_eq!(two.pinged().await, to_one);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_again_is_dialled_even_where_peers_enough_were_reached() {
    let mut one = node(|config| config.wanted_peers = 0).await;
    let mut three = node(|config| config.wanted_peers = 0).await;
    let address = one.address("/tcp/");
    let mut two = node(|config| {
        config.bootnodes = vec![address];
        config.wanted_peers = 1;
        // Should the first dial fail: the other side may still be closing.
        config.feeler = Duration::from_secs(2);
    })
    .await;
    let (to_one, _) = (two.connected().await, one.connected().await);
    two.block(&[&one]);
    assert_eq!(two.disconnected().await, to_one);
    one.disconnected().await;
    two.tell(Command::Dial(three.host_and_port()));
    two.connected().await;
    three.connected().await;
    two.block(&[]);
    two.connected().await;
    one.connected().await;
}
