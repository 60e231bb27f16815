//! What is told to everybody: two topics, deduplicated by content, forwarded only after a verdict.
//!
//! Messages carry no author and no signature: a block vouches for itself by its work, a
//! transaction by its signer, and who spoke first stays unknown. Called by the swarm's task.

use std::{collections::HashSet, time::Duration};

use chain::{
    effect::Verdict,
    hash::sha256,
    message::{Gossip, MessageError},
};
use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour, ConfigBuilder, IdentTopic, IdentityTransform, Message, MessageAcceptance,
        MessageAuthenticity, MessageId, TopicHash, ValidationMode, WhitelistSubscriptionFilter,
    },
};

use crate::limits::{GOSSIP_FRAME_BYTES_MAX, GOSSIP_QUEUE_PER_PEER};

/// Gossipsub that knows our two topics and no others.
pub(crate) type Gossipsub = Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// Names a gossiped message until its verdict. A verdict counts within about five seconds, after
/// which the message is forgotten and not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipToken {
    pub(crate) id: MessageId,
    pub(crate) source: PeerId,
}

impl GossipToken {
    /// Whether it came on the topic of blocks: [`message_id`] begins with that.
    pub(crate) fn is_block(&self) -> bool {
        self.id.0.first() == Some(&1)
    }
}

/// The topics of one network.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    blocks: IdentTopic,
    transactions: IdentTopic,
    blocks_hash: TopicHash,
}

impl Topics {
    /// Those of the network with this tag and protocol version.
    pub(crate) fn new(network: &str) -> Self {
        let blocks = IdentTopic::new(format!("{network}/blocks"));
        let transactions = IdentTopic::new(format!("{network}/transactions"));
        Self {
            blocks_hash: blocks.hash(),
            blocks,
            transactions,
        }
    }

    /// Where a message of ours goes.
    pub(crate) fn of(&self, message: &Gossip) -> TopicHash {
        match message {
            Gossip::Block(_) => self.blocks_hash.clone(),
            Gossip::Transaction(_) => self.transactions.hash(),
        }
    }

    /// Reads what came; the filter lets only our two topics through.
    pub(crate) fn decode(&self, message: &Message) -> Result<Gossip, MessageError> {
        if message.topic == self.blocks_hash {
            Gossip::decode_block(&message.data)
        } else {
            Gossip::decode_transaction(&message.data)
        }
    }
}

/// Gossipsub, subscribed to the topics. The error is a mistake in this very function.
pub(crate) fn behaviour(topics: &Topics) -> Result<Gossipsub, String> {
    let known = topics.clone();
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(move |message| message_id(&known, message))
        .max_transmit_size(GOSSIP_FRAME_BYTES_MAX)
        .connection_handler_queue_len(GOSSIP_QUEUE_PER_PEER)
        .flood_publish(true)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .heartbeat_interval(Duration::from_secs(1))
        .build()
        .map_err(|error| error.to_string())?;
    let names = HashSet::from([topics.blocks_hash.clone(), topics.transactions.hash()]);
    let filter = WhitelistSubscriptionFilter(names);
    let anonymous = MessageAuthenticity::Anonymous;
    let mut gossip = Gossipsub::new_with_subscription_filter(anonymous, config, filter)?;
    for topic in [&topics.blocks, &topics.transactions] {
        gossip.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossip)
}

/// The topic is part of the id: else a block's bytes sent as a transaction, and refused, would
/// make the block itself a duplicate that nobody looks at.
fn message_id(topics: &Topics, message: &Message) -> MessageId {
    let mut id = vec![u8::from(message.topic == topics.blocks_hash)];
    id.extend_from_slice(&sha256(&message.data));
    MessageId(id)
}

/// The core's verdict in gossipsub's words.
pub(crate) fn acceptance(verdict: Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    }
}

#[cfg(test)]
mod tests {
    use chain::{Block, params::TRANSACTION_BYTES_MAX};

    use super::*;

    fn block() -> Gossip {
        Gossip::decode_block(&Block::default().encode()).unwrap()
    }

    fn message(topic: TopicHash, data: Vec<u8>) -> Message {
        Message {
            source: None,
            data,
            sequence_number: None,
            topic,
        }
    }

    #[test]
    fn the_configuration_is_sound() {
        assert!(behaviour(&Topics::new("/lignum/00000000/1")).is_ok());
    }

    #[test]
    fn the_topic_decides_what_the_bytes_are() {
        let topics = Topics::new("/lignum/00000000/1");
        let block = block();
        let transaction = Gossip::Transaction(vec![2; 50]);
        for gossip in [block.clone(), transaction.clone()] {
            let topic = topics.of(&gossip);
            assert_eq!(topics.decode(&message(topic, gossip.encode())), Ok(gossip));
        }
        let wrong = message(topics.of(&block), transaction.encode());
        assert!(topics.decode(&wrong).is_err());
        let long = message(topics.of(&transaction), vec![0; TRANSACTION_BYTES_MAX + 1]);
        assert!(topics.decode(&long).is_err());
    }

    #[test]
    fn ids_are_by_topic_and_content() {
        let topics = Topics::new("/lignum/00000000/1");
        let (blocks, transactions) = (topics.blocks.hash(), topics.transactions.hash());
        let id = |topic: &TopicHash, data: &[u8]| {
            message_id(&topics, &message(topic.clone(), data.to_vec()))
        };
        let source = PeerId::random();
        for (topic, is_block) in [(&blocks, true), (&transactions, false)] {
            let id = id(topic, b"a");
            assert_eq!(GossipToken { id, source }.is_block(), is_block);
        }
        assert_eq!(id(&blocks, b"a"), id(&blocks, b"a"));
        assert_ne!(id(&blocks, b"a"), id(&blocks, b"b"));
        assert_ne!(id(&blocks, b"a"), id(&transactions, b"a"));
    }

    #[test]
    fn networks_share_no_topic() {
        let (one, two) = (
            Topics::new("/lignum/00000000/1"),
            Topics::new("/lignum/00000001/1"),
        );
        let block = block();
        assert_ne!(one.of(&block), two.of(&block));
    }
}
