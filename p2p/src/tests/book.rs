//! Nodes that find each other again, and those that are kept out.

use std::{fs, path::PathBuf, time::Duration};

use chain::Fault;

use super::{Node, node, pair};
use crate::{Command, Config, Event, Identity};

/// A place for a file, removed in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("lignum-{}", Identity::generate().peer_id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.join("peers")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Node {
    /// Waits until it is connected to another; whether that one dialled.
    async fn meets(&mut self, other: &str) -> bool {
        self.until(|event| match event {
            Event::Connected { id, inbound, .. } if id == other => Some(inbound),
            _ => None,
        })
        .await
    }

    fn id(&self) -> String {
        self.handle.peer_id().to_string()
    }

    async fn meets_nobody(&mut self) {
        for event in self.lately().await {
            assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_finds_its_peers_by_its_book() {
    let (place, one) = (Place::new(), node(|_| {}).await);
    let address = one.host_and_port();
    let mut two = node(|config| {
        config.bootnodes = vec![address];
        config.book = Some(place.file());
    })
    .await;
    assert!(!two.meets(&one.id()).await);
    two.handle.shutdown().await;
    let text = fs::read_to_string(place.file()).unwrap();
    assert!(text.contains(&one.id()), "{text}");
    let mut again = node(|config| config.book = Some(place.file())).await;
    assert!(!again.meets(&one.id()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_book_is_said_and_begun_anew() {
    let place = Place::new();
    fs::write(place.file(), "no book").unwrap();
    let mut one = node(|config| config.book = Some(place.file())).await;
    let warned = one.until(|event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    });
    assert!(warned.await.contains("are damaged"));
    one.handle.shutdown().await;
    let aside = fs::read_to_string(place.0.join("peers.damaged")).unwrap();
    assert_eq!(aside, "no book");
    assert_eq!(
        fs::read_to_string(place.file()).unwrap(),
        "lignum peers 1\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_in_a_line_get_to_know_each_other() {
    let mut last = node(|_| {}).await;
    let address = last.address("/tcp/");
    let mut middle = node(|config| config.bootnodes = vec![address]).await;
    middle.meets(&last.id()).await;
    let address = middle.address("/quic-v1");
    let mut first = node(|config| config.bootnodes = vec![address]).await;
    assert!(!first.meets(&last.id()).await);
    assert!(last.meets(&first.id()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_one_bootnode_get_to_know_each_other() {
    let mut hub = node(|_| {}).await;
    let address = hub.host_and_port();
    let with_hub = |config: &mut Config| config.bootnodes = vec![address.clone()];
    let mut one = node(with_hub).await;
    hub.meets(&one.id()).await;
    let two = node(with_hub).await;
    one.meets(&two.id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_peer_is_let_in_again_after_its_ban() {
    let mut one = node(|config| config.ban_secs = Some((4, 4))).await;
    let address = one.host_and_port();
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    let (peer, fault) = (one.connected().await, Fault::InvalidBlock);
    two.connected().await;
    one.tell(Command::Disconnect { peer, fault });
    assert_eq!(one.disconnected().await, peer);
    two.disconnected().await;
    one.meets_nobody().await;
    one.meets(&two.id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_outlives_a_restart() {
    let (place, identity) = (Place::new(), Identity::generate());
    let mut one = node(|config| {
        config.identity = identity.clone();
        config.book = Some(place.file());
    })
    .await;
    let (address, listen) = (one.host_and_port(), one.handle.addresses().to_vec());
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    let (peer, fault) = (one.connected().await, Fault::InvalidBlock);
    two.connected().await;
    one.tell(Command::Disconnect { peer, fault });
    one.disconnected().await;
    one.handle.shutdown().await;
    let mut again = node(|config| {
        config.identity = identity;
        config.listen = listen;
        config.book = Some(place.file());
    })
    .await;
    again.meets_nobody().await;
    two.tell(Command::Dial(again.address("/tcp/")));
    again.meets_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_takes_the_place_of_the_least_useful() {
    // One is protected by neighbourhood, eight by their pings, and of two the older.
    let mut hub = node(|config| config.max_inbound = 11).await;
    let address = hub.host_and_port();
    let content = |config: &mut Config| {
        config.bootnodes = vec![address.clone()];
        config.wanted_peers = 1;
    };
    let mut inside = Vec::new();
    for _ in 0..11 {
        inside.push(node(content).await);
        hub.connected().await;
    }
    let newcomer = node(content).await;
    let gone = hub.disconnected().await;
    hub.meets(&newcomer.id()).await;
    assert!(gone.0 > 1, "who came first stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_peers_know_of_each_other_is_not_the_shells_business() {
    let ((mut one, _), (mut two, _)) = pair("/tcp/").await;
    for event in one.lately().await.into_iter().chain(two.lately().await) {
        let is_told = matches!(event, Event::Request { .. } | Event::Response { .. });
        assert!(!is_told, "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_dialled_the_book_is_left_in_peace() {
    let place = Place::new();
    let line = |port| {
        let id = Identity::generate().peer_id();
        format!("peer {id} /ip4/127.0.0.1/tcp/{port} 5.{port} new 0 0 0\n")
    };
    let text: String = (1..=200).map(line).collect();
    fs::write(place.file(), format!("lignum peers 1\n{text}")).unwrap();
    let mut one = node(|config| {
        config.book = Some(place.file());
        // The process holds more already.
        config.memory_bytes_max = 1;
    })
    .await;
    assert!(one.lately().await.is_empty());
    one.handle.shutdown().await;
    let text = fs::read_to_string(place.file()).unwrap();
    let untouched = text.lines().filter(|line| line.ends_with(" new 0 0 0"));
    assert!(untouched.count() > 150, "one attempt in a tick");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_peers_are_met_in_turn_where_peers_enough_were_reached() {
    let one = node(|config| config.wanted_peers = 0).await;
    let three = node(|config| config.wanted_peers = 0).await;
    let address = one.address("/tcp/");
    let mut two = node(|config| {
        config.bootnodes = vec![address];
        config.wanted_peers = 1;
        config.feeler = Duration::from_millis(500);
    })
    .await;
    two.connected().await;
    two.tell(Command::Dial(three.host_and_port()));
    let to_three = two.connected().await;
    assert_eq!(two.disconnected().await, to_three, "the last makes room");
    two.connected().await;
}
