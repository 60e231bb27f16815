//! Fetching the chain spec of a network that one is about to join.
//!
//! A swarm of its own for one question, with a key made for the occasion. The answer is a text of
//! at most 1 MiB; whether it is a spec, and of which network, is the caller's to find out.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Swarm,
    request_response::{self as rr, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};

use crate::{
    Identity,
    address::{self, AddressError},
    bans::Bans,
    behaviour,
    codec::{self, SpecCodec},
    gate::Gate,
    places::Places,
    reach::Reach,
};

/// Why there is no spec.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing can be dialled from here.
    #[error("cannot set up the transports: {0}")]
    Transport(String),
    /// Nobody answers there.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// Whoever answers there serves no chain spec.
    #[error("{0} serves no chain spec")]
    Unsupported(String),
    /// What came is longer than a spec or no text.
    #[error("{0} answered with something that is no chain spec")]
    Malformed(String),
    /// The connection broke before the spec was here.
    #[error("{address} did not answer: {reason}")]
    Closed {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{0} did not answer in time")]
    Timeout(String),
}

#[derive(NetworkBehaviour)]
struct Joiner {
    gate: Gate,
    spec: rr::Behaviour<SpecCodec>,
}

/// Asks the node at `address`, in any form that bootnodes have, for its chain spec.
pub async fn fetch_spec(
    address: &str,
    loopback_only: bool,
    timeout: Duration,
) -> Result<String, FetchError> {
    let reach = if loopback_only {
        Reach::Machine
    } else {
        Reach::World
    };
    let target = address::parse(address, reach)?;
    let identity = Identity::generate();
    let key = identity.keypair();
    let (transport, warning) = behaviour::transport(key, !loopback_only)
        .map_err(|error| FetchError::Transport(error.to_string()))?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    // Nobody is let in: there is no listener, and a place for none.
    let joiner = Joiner {
        gate: Gate::new(reach, Places::new(0, 0, [0; 32]), Bans::new((0, 0))),
        spec: behaviour::spec(ProtocolSupport::Outbound, timeout),
    };
    let id = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport, joiner, id, behaviour::swarm_config());
    swarm
        .dial(behaviour::dial_options(target))
        .map_err(|error| FetchError::Unreachable {
            address: address.to_string(),
            reason: behaviour::causes(&error),
        })?;
    let asked = tokio::time::timeout(timeout, ask(&mut swarm, address));
    asked
        .await
        .unwrap_or_else(|_| Err(FetchError::Timeout(address.to_string())))
}

async fn ask(swarm: &mut Swarm<Joiner>, address: &str) -> Result<String, FetchError> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                swarm.behaviour_mut().spec.send_request(&peer_id, ());
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                let (address, reason) = (address.to_string(), behaviour::causes(&error));
                return Err(FetchError::Unreachable { address, reason });
            }
            SwarmEvent::Behaviour(JoinerEvent::Spec(rr::Event::Message {
                message: rr::Message::Response { response, .. },
                ..
            })) => return Ok(response.as_ref().to_string()),
            SwarmEvent::Behaviour(JoinerEvent::Spec(rr::Event::OutboundFailure {
                error, ..
            })) => return Err(failed(address.to_string(), &error)),
            _ => {}
        }
    }
}

fn failed(address: String, error: &rr::OutboundFailure) -> FetchError {
    match error {
        rr::OutboundFailure::Timeout => FetchError::Timeout(address),
        rr::OutboundFailure::UnsupportedProtocols => FetchError::Unsupported(address),
        rr::OutboundFailure::Io(error) if codec::is_malformed(error) => {
            FetchError::Malformed(address)
        }
        other => FetchError::Closed {
            address,
            reason: behaviour::causes(other),
        },
    }
}
