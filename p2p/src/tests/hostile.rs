//! A peer that speaks libp2p correctly and our protocol wrongly.

use std::io;

use chain::{
    Response,
    params::{BLOCKS_BYTES_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX},
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    identity::Keypair,
    request_response::{self as rr, Codec, ProtocolSupport},
    swarm::{SwarmEvent, dial_opts::DialOpts},
};
use tokio::time::timeout;

use super::{Node, PATIENCE, TAG, exchange, node};
use crate::{
    Command, Event, Failure, behaviour,
    limits::{ANSWER_BYTES_PER_PEER, ASKED_PER_PEER},
};

/// Writes bytes as they are; an answer is whatever comes until the end of the stream, or is not
/// read at all.
#[derive(Clone)]
struct Raw {
    reads: bool,
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut first = [0];
        io.read_exact(&mut first).await?;
        Ok(first.to_vec())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if !self.reads {
            std::future::pending::<()>().await;
        }
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

type Attacker = Swarm<rr::Behaviour<Raw>>;

/// Connects to a node.
async fn attacker(node: &Node) -> (Attacker, PeerId) {
    attacker_with(Raw { reads: true }, node).await
}

async fn attacker_with(codec: Raw, node: &Node) -> (Attacker, PeerId) {
    let key = Keypair::generate_ed25519();
    let (transport, _) = behaviour::transport(&key, false).unwrap();
    let name = StreamProtocol::try_from_owned(behaviour::network_name(TAG)).unwrap();
    let names = [(name, ProtocolSupport::Full)];
    let raw = rr::Behaviour::with_codec(codec, names, rr::Config::default());
    let id = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport, raw, id, behaviour::swarm_config());
    let address: Multiaddr = node.handle.addresses()[0].parse().unwrap();
    swarm
        .dial(DialOpts::unknown_peer_id().address(address).build())
        .unwrap();
    let connected = async {
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } =
                swarm.select_next_some().await
            {
                return peer_id;
            }
        }
    };
    let node = timeout(PATIENCE, connected).await.unwrap();
    (swarm, node)
}

/// What the node answers to these bytes; nothing if the stream failed.
async fn ask(swarm: &mut Attacker, node: &PeerId, bytes: Vec<u8>) -> Option<Vec<u8>> {
    swarm.behaviour_mut().send_request(node, bytes);
    let answered = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(rr::Event::Message {
                    message: rr::Message::Response { response, .. },
                    ..
                }) => return Some(response),
                SwarmEvent::Behaviour(rr::Event::OutboundFailure { .. }) => return None,
                SwarmEvent::ConnectionClosed { .. } => panic!("the connection was closed"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("the stream ends")
}

fn announced(length: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(length).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// The node still serves honest peers.
async fn lives_on(node: &mut Node) {
    let address = node.address("/tcp/");
    let mut honest = super::node(|config| config.bootnodes = vec![address]).await;
    let peer = honest.connected().await;
    exchange(&mut honest, node, peer, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_and_the_node_lives_on() {
    let mut one = node(|_| {}).await;
    let (mut swarm, id) = attacker(&one).await;
    let charged = [
        announced(REQUEST_BYTES_MAX + 1, &[]),
        announced(u32::MAX as usize, &[1; 64]),
        announced(REQUEST_BYTES_MAX + 1, &vec![0; REQUEST_BYTES_MAX + 1]),
        announced(4, &[9; 4]),
        announced(0, &[]),
        // A list of 2^60 hashes.
        announced(12, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16]),
    ];
    for frame in charged {
        let answer = ask(&mut swarm, &id, frame).await;
        assert!(answer.unwrap_or_default().is_empty());
        one.until(|event| match event {
            Event::Malformed { .. } => Some(()),
            Event::Request { .. } => panic!("it was taken for a request"),
            _ => None,
        })
        .await;
    }
    // A frame cut short may be a cut connection: refused, and nobody's fault.
    for frame in [vec![], vec![1, 0], announced(100, &[1; 10])] {
        let answer = ask(&mut swarm, &id, frame).await;
        assert!(answer.unwrap_or_default().is_empty());
    }
    for event in one.lately().await {
        assert!(
            !matches!(event, Event::Malformed { .. } | Event::Request { .. }),
            "{event:?}"
        );
    }
    lives_on(&mut one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_failures_and_the_node_lives_on() {
    let mut one = node(|_| {}).await;
    let (mut swarm, id) = attacker(&one).await;
    // It speaks no identify: an attempt at a request shows what it is.
    ask(&mut swarm, &id, announced(4, &[9; 4])).await;
    let peer = one.connected().await;
    let answers = [
        (announced(RESPONSE_BYTES_MAX + 1, &[]), Failure::Malformed),
        (announced(8, &[0xee; 8]), Failure::Malformed),
        (announced(1_000, &[0; 10]), Failure::Closed),
        (vec![], Failure::Declined),
    ];
    let reasons = answers
        .iter()
        .map(|(_, reason)| *reason)
        .collect::<Vec<_>>();
    let hostile = tokio::spawn(async move {
        let mut answers = answers.into_iter().map(|(bytes, _)| bytes);
        loop {
            if let SwarmEvent::Behaviour(rr::Event::Message {
                message: rr::Message::Request { channel, .. },
                ..
            }) = swarm.select_next_some().await
            {
                let answer = answers.next().unwrap_or_default();
                swarm
                    .behaviour_mut()
                    .send_response(channel, answer)
                    .unwrap();
            }
        }
    });
    for (id, reason) in (0..).zip(reasons) {
        let request = chain::message::Request::Blocks(vec![]);
        one.tell(Command::Send { peer, id, request });
        assert_eq!(one.outcome(id).await, Err(reason));
    }
    lives_on(&mut one).await;
    hostile.abort();
}

/// How many requests reach the shell in a while.
async fn requests(swarm: &mut Attacker, node: &mut Node) -> Vec<u64> {
    let drive = async {
        loop {
            swarm.select_next_some().await;
        }
    };
    let events = tokio::select! {
        events = node.lately() => events,
        () = drive => unreachable!("it has no end"),
    };
    let ticket = |event| match event {
        Event::Request { ticket, .. } => Some(ticket),
        _ => None,
    };
    events.into_iter().filter_map(ticket).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_asks_and_never_reads_has_few_answers_waiting() {
    let mut one = node(|_| {}).await;
    let (mut swarm, id) = attacker_with(Raw { reads: false }, &one).await;
    let bytes = chain::Request::Blocks(vec![]).encode();
    let ask = |swarm: &mut Attacker, count| {
        for _ in 0..count {
            let frame = announced(bytes.len(), &bytes);
            swarm.behaviour_mut().send_request(&id, frame);
        }
    };
    ask(&mut swarm, 20);
    let asked = requests(&mut swarm, &mut one).await;
    assert_eq!(asked.len(), ASKED_PER_PEER);
    // Each as large as answers get. Five of them are within the bytes of one peer.
    let large = Response::Transactions(vec![vec![0; BLOCKS_BYTES_MAX]]);
    let fit = ANSWER_BYTES_PER_PEER / large.encode().len();
    assert!(fit < ASKED_PER_PEER);
    for ticket in asked {
        let response = large.clone();
        one.tell(Command::Respond { ticket, response });
    }
    // Those that were declined make room for others.
    ask(&mut swarm, 20);
    let asked = requests(&mut swarm, &mut one).await;
    assert_eq!(asked.len(), ASKED_PER_PEER - fit);
    lives_on(&mut one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_stranger_is_no_peer() {
    let mut one = node(|_| {}).await;
    let (mut swarm, _) = attacker(&one).await;
    let silence = async {
        loop {
            swarm.select_next_some().await;
        }
    };
    let _ = timeout(super::QUIET, silence).await;
    assert!(one.lately().await.is_empty());
    lives_on(&mut one).await;
}
