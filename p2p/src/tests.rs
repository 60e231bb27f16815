//! Real swarms on this machine: every wait is bounded, nothing is timed.

mod blocked;
mod book;
mod gossip;
mod hostile;
mod limits;

use std::time::Duration;

use chain::{
    BlockHash, Fault,
    message::{Peer, Request, Response, Status},
};
use tokio::{sync::mpsc, time::timeout};

use crate::{Command, Config, Event, Failure, FetchError, Handle, Identity, fetch_spec, start};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Long enough for something unwanted to happen.
const QUIET: Duration = Duration::from_millis(1_500);
const TAG: &str = "0badcafe";

struct Node {
    handle: Handle,
    events: mpsc::Receiver<Event>,
}

async fn node(edit: impl FnOnce(&mut Config)) -> Node {
    node_with_queue(256, edit).await
}

async fn node_with_queue(queue: usize, edit: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::new(Identity::generate(), TAG.into(), "{\"spec\":1}".into());
    edit(&mut config);
    let (sender, events) = mpsc::channel(queue);
    Node {
        handle: start(config, sender).await.unwrap(),
        events,
    }
}

/// Two nodes, the second having dialled the first, and what each calls the other.
async fn pair(transport: &str) -> ((Node, Peer), (Node, Peer)) {
    let mut one = node(|_| {}).await;
    let address = one.address(transport);
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    let (first, second) = (two.connected().await, one.connected().await);
    ((one, second), (two, first))
}

impl Node {
    /// Where to dial it by `tcp` or `quic`.
    fn address(&self, transport: &str) -> String {
        let address = self
            .handle
            .addresses()
            .iter()
            .find(|text| text.contains(transport));
        format!("{}/p2p/{}", address.unwrap(), self.handle.peer_id())
    }

    fn host_and_port(&self) -> String {
        let address = self
            .handle
            .addresses()
            .iter()
            .find(|text| text.contains("/tcp/"))
            .unwrap();
        address.replace("/ip4/", "").replace("/tcp/", ":")
    }

    fn tell(&self, command: Command) {
        self.handle.send(command).unwrap();
    }

    /// The first event that `pick` takes; others are passed over.
    async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the task runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the event comes")
    }

    /// What comes in a short while, but for pings.
    async fn lately(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let collect = async {
            while let Some(event) = self.events.recv().await {
                if !matches!(event, Event::Ping { .. }) {
                    events.push(event);
                }
            }
        };
        let _ = timeout(QUIET, collect).await;
        events
    }

    async fn connected(&mut self) -> Peer {
        self.until(|event| match event {
            Event::Connected { peer, .. } => Some(peer),
            _ => None,
        })
        .await
    }

    async fn pinged(&mut self) -> Peer {
        self.until(|event| match event {
            Event::Ping { peer, .. } => Some(peer),
            _ => None,
        })
        .await
    }

    async fn disconnected(&mut self) -> Peer {
        self.until(|event| match event {
            Event::Disconnected { peer } => Some(peer),
            _ => None,
        })
        .await
    }

    async fn request(&mut self) -> (Peer, u64, Request) {
        self.until(|event| match event {
            Event::Request {
                peer,
                ticket,
                request,
            } => Some((peer, ticket, request)),
            _ => None,
        })
        .await
    }

    async fn outcome(&mut self, wanted: u64) -> Result<Response, Failure> {
        self.until(|event| match event {
            Event::Response { id, response, .. } if id == wanted => Some(Ok(response)),
            Event::Failed { id, reason, .. } if id == wanted => Some(Err(reason)),
            _ => None,
        })
        .await
    }
}

fn status(height: u64) -> Status {
    Status {
        version: 1,
        genesis: BlockHash([1; 32]),
        fork_digest: 0,
        fork_next: 0,
        height,
        head: BlockHash([2; 32]),
        chain_work: [0; 32],
        time: 3,
    }
}

/// A asks B for its status and B answers.
async fn exchange(asking: &mut Node, answering: &mut Node, peer: Peer, id: u64) {
    let request = Request::Status(status(id));
    asking.tell(Command::Send {
        peer,
        id,
        request: request.clone(),
    });
    let (_, ticket, got) = answering.request().await;
    assert_eq!(got, request);
    let response = Response::Status(status(id + 1));
    answering.tell(Command::Respond {
        ticket,
        response: response.clone(),
    });
    assert_eq!(asking.outcome(id).await, Ok(response));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_ask_each_other_over_tcp() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/tcp/").await;
    exchange(&mut one, &mut two, to_two, 7).await;
    exchange(&mut two, &mut one, to_one, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_ask_each_other_over_quic() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/quic-v1").await;
    exchange(&mut one, &mut two, to_two, 7).await;
    exchange(&mut two, &mut one, to_one, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootnode_without_an_id_is_enough() {
    let mut one = node(|_| {}).await;
    let address = one.host_and_port();
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    let seen = two.until(|event| match event {
        Event::Connected { id, inbound, .. } => Some((id, inbound)),
        _ => None,
    });
    assert_eq!(seen.await, (one.handle.peer_id().to_string(), false));
    let seen = one.until(|event| match event {
        Event::Connected { id, inbound, .. } => Some((id, inbound)),
        _ => None,
    });
    assert_eq!(seen.await, (two.handle.peer_id().to_string(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootnode_may_have_a_name() {
    let one = node(|_| {}).await;
    let address = one.host_and_port().replace("127.0.0.1", "localhost");
    assert!(address.starts_with("localhost:"));
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    two.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_may_decline_and_may_be_gone() {
    let ((mut one, to_two), (mut two, _)) = pair("/tcp/").await;
    one.tell(Command::Send {
        peer: to_two,
        id: 1,
        request: Request::Blocks(vec![]),
    });
    let (_, ticket, _) = two.request().await;
    two.tell(Command::Decline { ticket });
    assert_eq!(one.outcome(1).await, Err(Failure::Declined));

    one.tell(Command::Send {
        peer: to_two,
        id: 2,
        request: Request::Blocks(vec![]),
    });
    two.request().await;
    two.handle.shutdown().await;
    assert_eq!(one.outcome(2).await, Err(Failure::Closed));
    one.tell(Command::Send {
        peer: Peer(99),
        id: 3,
        request: Request::Blocks(vec![]),
    });
    assert_eq!(one.outcome(3).await, Err(Failure::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_dial_each_other_are_one_peer_each() {
    let mut one = node(|_| {}).await;
    let mut two = node(|_| {}).await;
    one.tell(Command::Dial(two.host_and_port()));
    two.tell(Command::Dial(one.host_and_port()));
    one.tell(Command::Dial(two.address("/quic-v1")));
    let (to_two, to_one) = (one.connected().await, two.connected().await);
    for event in one.lately().await.into_iter().chain(two.lately().await) {
        let again = matches!(event, Event::Connected { .. } | Event::Disconnected { .. });
        assert!(!again, "{event:?}");
    }
    exchange(&mut one, &mut two, to_two, 1).await;
    exchange(&mut two, &mut one, to_one, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootnode_that_returns_is_found_again_under_a_new_number() {
    let ((one, _), (mut two, before)) = pair("/tcp/").await;
    let address = one.handle.addresses().to_vec();
    one.handle.shutdown().await;
    assert_eq!(two.disconnected().await, before);
    // The same place and another key: a node whose data were removed. The dialler insists on the
    // id it was given and says so.
    let other = node(|config| config.listen = address.clone()).await;
    let warning = two.until(|event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    });
    assert!(warning.await.contains("bootnode"));
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_takes_its_ports_again() {
    let identity = Identity::generate();
    let mut one = node(|config| config.identity = identity.clone()).await;
    let address = one.address("/tcp/");
    let mut two = node(|config| config.bootnodes = vec![address]).await;
    let before = two.connected().await;
    one.connected().await;
    let listen = one.handle.addresses().to_vec();
    one.handle.shutdown().await;
    assert_eq!(two.disconnected().await, before);
    let mut again = node(|config| {
        config.identity = identity;
        config.listen = listen.clone();
    })
    .await;
    assert_eq!(again.handle.addresses(), listen);
    again.connected().await;
    assert_ne!(two.connected().await, before, "numbers are not used twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_disconnected_stays_out() {
    let ((mut one, to_two), (mut two, to_one)) = pair("/tcp/").await;
    one.tell(Command::Disconnect {
        peer: to_two,
        fault: Fault::InvalidWork,
    });
    assert_eq!(one.disconnected().await, to_two);
    assert_eq!(two.disconnected().await, to_one);
    for event in one.lately().await.into_iter().chain(two.lately().await) {
        assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_dial_itself() {
    let one = node(|_| {}).await;
    let (identity, address) = (Identity::generate(), one.handle.addresses().to_vec());
    one.handle.shutdown().await;
    let mut own = node(|config| {
        config.identity = identity;
        config.listen = address.clone();
        config.bootnodes = vec![address[0].clone()];
    })
    .await;
    let events = own.lately().await;
    assert!(events.is_empty(), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spec_is_served_to_anybody() {
    let spec = format!("{{\"name\":\"{}\"}}", "é".repeat(200_000));
    let mut one = node(|config| config.spec_json = spec.clone()).await;
    for transport in ["/tcp/", "/quic-v1"] {
        let got = fetch_spec(&one.address(transport), true, PATIENCE).await;
        assert_eq!(got.unwrap(), spec);
    }
    assert_eq!(
        fetch_spec(&one.host_and_port(), true, PATIENCE)
            .await
            .unwrap(),
        spec
    );
    let events = one.lately().await;
    assert!(events.is_empty(), "a joiner is no peer: {events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_a_spec_fails_with_a_reason() {
    let far = fetch_spec("10.0.0.1:7", true, PATIENCE).await;
    assert!(matches!(far, Err(FetchError::Address(_))), "{far:?}");
    let one = node(|_| {}).await;
    let address = one.host_and_port();
    one.handle.shutdown().await;
    let nobody = fetch_spec(&address, true, PATIENCE).await;
    assert!(
        matches!(nobody, Err(FetchError::Unreachable { .. })),
        "{nobody:?}"
    );
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let silent = fetch_spec(&address, true, Duration::from_millis(300)).await;
    assert!(matches!(silent, Err(FetchError::Timeout(_))), "{silent:?}");
}
