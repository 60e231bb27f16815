//! Places, ports and addresses: what a node refuses.

use std::net::{TcpListener, UdpSocket};

use chain::params::SPEC_BYTES_MAX;
use tokio::sync::mpsc;

use super::{PATIENCE, TAG, exchange, node};
use crate::{AddressError, Command, Config, Event, Identity, StartError, start};

/// Why a configuration does not start.
async fn refused(edit: impl FnOnce(&mut Config)) -> StartError {
    let mut config = Config::new(Identity::generate(), TAG.into(), String::new());
    edit(&mut config);
    let (sender, _events) = mpsc::channel(1);
    tokio::time::timeout(PATIENCE, start(config, sender))
        .await
        .unwrap()
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Another node of the same user would share its TCP port with us, if we let it.
    let other = node(|_| {}).await;
    let taken = [
        format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port()),
        format!(
            "/ip4/127.0.0.1/udp/{}/quic-v1",
            udp.local_addr().unwrap().port()
        ),
        other.handle.addresses()[0].clone(),
        other.handle.addresses()[1].clone(),
    ];
    for wanted in taken {
        match refused(|config| config.listen = vec![wanted.clone()]).await {
            StartError::AddressTaken { address } => assert_eq!(address, wanted),
            error => panic!("{wanted}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_with_its_reason() {
    let error = refused(|config| config.tag = "0BADCAFE".into()).await;
    assert!(matches!(error, StartError::Tag(_)), "{error}");
    let error = refused(|config| config.spec_json = "x".repeat(SPEC_BYTES_MAX + 1)).await;
    assert!(matches!(error, StartError::Spec(_)), "{error}");
    let error = refused(|config| config.bootnodes = vec!["127.0.0.1:1".into(); 65]).await;
    assert!(matches!(error, StartError::Bootnodes(65)), "{error}");
    let error = refused(|config| config.bootnodes = vec!["nonsense".into()]).await;
    assert!(
        matches!(error, StartError::Address(AddressError::Unreadable(_))),
        "{error}"
    );
    let error = refused(|config| config.listen = vec!["/dns/localhost.example/tcp/0".into()]).await;
    assert!(
        matches!(error, StartError::Address(AddressError::NotLoopback(_))),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_network_stays_on_this_machine() {
    for (listen, bootnode) in [
        ("/ip4/0.0.0.0/tcp/0", "127.0.0.1:1"),
        ("/ip4/127.0.0.1/tcp/0", "192.0.2.1:1"),
    ] {
        let error = refused(|config| {
            config.listen = vec![listen.into()];
            config.bootnodes = vec![bootnode.into()];
        });
        let error = error.await;
        assert!(
            matches!(error, StartError::Address(AddressError::NotLoopback(_))),
            "{error}"
        );
    }
    let mut one = node(|_| {}).await;
    one.tell(Command::Dial("192.0.2.1:1".into()));
    let warning = one.until(|event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    });
    assert!(warning.await.contains("not a loopback address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inbound_places_are_limited() {
    let mut one = node(|config| config.max_inbound = 2).await;
    let address = one.host_and_port();
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(node(|config| config.bootnodes = vec![address.clone()]).await);
    }
    // Both have shown how near they are, and are worth more than newcomers.
    let (mut first, mut second) = (one.pinged().await, one.pinged().await);
    while first == second {
        second = one.pinged().await;
    }
    if second < first {
        (first, second) = (second, first);
    }
    for _ in 0..3 {
        others.push(node(|config| config.bootnodes = vec![address.clone()]).await);
    }
    for event in one.lately().await {
        assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
    }
    // Who is in is served, who is not knows nothing of a peer.
    let (mut inside, mut waiting) = (Vec::new(), Vec::new());
    for mut other in others {
        let came = other.events.try_recv();
        match came {
            Ok(Event::Connected { peer, .. }) => {
                exchange(&mut other, &mut one, peer, 1).await;
                inside.push(other);
            }
            _ => waiting.push(other),
        }
    }
    assert_eq!((inside.len(), waiting.len()), (2, 3));
    // A place that is given back is taken by the next that asks.
    inside.remove(0).handle.shutdown().await;
    let gone = one.disconnected().await;
    assert!(gone == first || gone == second);
    let next = node(|config| config.bootnodes = vec![address]).await;
    one.connected().await;
    drop(next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_network_is_sent_away_and_both_know_why() {
    let mut one = node(|_| {}).await;
    let address = one.address("/tcp/");
    let mut other = node(|config| {
        config.tag = "deadbeef".into();
        config.bootnodes = vec![address];
    })
    .await;
    for (node, tag, who) in [
        (&mut one, "deadbeef", other.handle.peer_id().to_string()),
        (&mut other, TAG, String::new()),
    ] {
        let told = node.until(|event| match event {
            Event::WrongNetwork { id, theirs, .. } => Some((id, theirs)),
            Event::Connected { .. } => panic!("it was let in"),
            _ => None,
        });
        let (id, theirs) = told.await;
        assert_eq!(theirs, tag);
        assert!(who.is_empty() || id == who);
    }
    for event in one.lately().await {
        assert!(!matches!(event, Event::Connected { .. }), "{event:?}");
    }
}
