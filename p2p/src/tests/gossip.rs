//! Gossip between real nodes: both ways, and through a node that decides.

use chain::{Block, effect::Verdict, message::Gossip, params::TRANSACTION_BYTES_MAX};

use super::{Node, node, node_with_queue, pair};
use crate::{Command, Config, Event, GossipToken};

/// A block like no other.
fn block(nonce: u32) -> Gossip {
    let mut block = Block::default();
    block.header.pow.nonce = nonce;
    block.body.0 = vec![vec![7; 1_000]; 100];
    Gossip::decode_block(&block.encode()).unwrap()
}

impl Node {
    async fn gossip(&mut self) -> (GossipToken, Gossip) {
        self.until(|event| match event {
            Event::Gossip { token, message, .. } => Some((token, message)),
            _ => None,
        })
        .await
    }

    /// Says it until somebody must have heard: who has just connected may not have subscribed.
    async fn tell_all(&self, messages: impl Iterator<Item = Gossip>) {
        tokio::time::sleep(super::QUIET).await;
        for message in messages {
            self.tell(Command::Publish(message));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_transactions_go_both_ways() {
    let ((mut one, _), (mut two, _)) = pair("/tcp/").await;
    one.tell_all([block(1)].into_iter()).await;
    let (token, message) = two.gossip().await;
    assert_eq!(message, block(1));
    two.tell(Command::Verdict {
        token,
        verdict: Verdict::Accept,
    });
    let transaction = Gossip::Transaction(vec![2; 300]);
    two.tell_all([block(2), transaction.clone()].into_iter())
        .await;
    assert_eq!(one.gossip().await.1, block(2));
    assert_eq!(one.gossip().await.1, transaction);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_accepted_passes_the_middle() {
    let mut middle = node(|_| {}).await;
    let address = middle.address("/tcp/");
    // Each is content with the middle, and does not look for the other.
    let only = |config: &mut Config| {
        config.bootnodes = vec![address.clone()];
        config.wanted_peers = 1;
    };
    let (near, mut far) = (node(only).await, node(only).await);
    middle.connected().await;
    middle.connected().await;
    near.tell_all((0..9).map(block)).await;
    for _ in 0..9 {
        let (token, message) = middle.gossip().await;
        let Gossip::Block(block) = message else {
            panic!("a block was sent")
        };
        let verdicts = [Verdict::Ignore, Verdict::Reject, Verdict::Accept];
        let verdict = verdicts[usize::try_from(block.header.pow.nonce % 3).unwrap()];
        middle.tell(Command::Verdict { token, verdict });
    }
    let mut passed = Vec::new();
    for event in far.lately().await {
        if let Event::Gossip {
            message: Gossip::Block(block),
            ..
        } = event
        {
            passed.push(block.header.pow.nonce);
        }
    }
    passed.sort_unstable();
    assert_eq!(passed, [2, 5, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_heard_once() {
    let ((one, _), (mut two, _)) = pair("/tcp/").await;
    one.tell_all((0..5).map(|_| block(1))).await;
    two.gossip().await;
    assert!(two.lately().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_none_is_charged_to_its_sender() {
    let ((one, _), (mut two, to_one)) = pair("/tcp/").await;
    let long = Gossip::Transaction(vec![0; TRANSACTION_BYTES_MAX + 1]);
    one.tell_all([long].into_iter()).await;
    let blamed = two.until(|event| match event {
        Event::Malformed { peer } => Some(peer),
        Event::Gossip { .. } => panic!("it was taken"),
        _ => None,
    });
    assert_eq!(blamed.await, to_one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_does_not_listen_loses_transactions_only() {
    let mut slow = node_with_queue(8, |_| {}).await;
    let address = slow.address("/tcp/");
    let mut fast = node(|config| config.bootnodes = vec![address]).await;
    fast.connected().await;
    slow.connected().await;
    fast.tell_all((0..200_u16).map(|n| Gossip::Transaction(n.to_le_bytes().to_vec())))
        .await;
    fast.tell_all((0..4).map(block)).await;
    let (mut transactions, mut blocks) = (0, 0);
    while blocks < 4 {
        match slow.gossip().await.1 {
            Gossip::Transaction(_) => transactions += 1,
            Gossip::Block(_) => blocks += 1,
        }
    }
    assert!((1..200).contains(&transactions), "{transactions}");
}
