//! Addresses as text: `HOST:PORT`, `[V6]:PORT`, names, and multiaddrs with or without a peer id.
//!
//! Only TCP, and UDP with QUIC, behind an IP address or a name: nothing else is dialled. Called
//! by the start, the bootnodes and the gate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use chain::PeerAddress;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{limits::ADDRESS_TEXT_BYTES_MAX, reach::Reach};

/// A text that is not an address this node can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than any address.
    #[error("an address has at most {ADDRESS_TEXT_BYTES_MAX} bytes, got {0}")]
    TooLong(usize),
    /// Neither `HOST:PORT` nor a multiaddr.
    #[error("wanted HOST:PORT, [V6]:PORT or a multiaddr, got {0:?}")]
    Unreadable(String),
    /// A multiaddr of another transport.
    #[error("wanted a multiaddr of TCP or QUIC, got {0}")]
    Unsupported(String),
    /// A development network does not leave this machine.
    #[error("this network is for this machine only, and {0} is not a loopback address")]
    NotLoopback(String),
    /// A development network in a local network does not leave that.
    #[error("this network is for a local network only, and {0} is not a private address")]
    NotPrivate(String),
}

/// Where to dial, and whom to expect there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without the peer id.
    pub address: Multiaddr,
    /// The peer id, where the text named one.
    pub id: Option<PeerId>,
}

/// What an address listens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP, for QUIC.
    Udp(SocketAddr),
}

/// The two addresses a node listens on: TCP and QUIC on the same port; 0 lets the system choose.
pub fn listen_addresses(host: IpAddr, port: u16) -> Vec<String> {
    let family = if host.is_ipv4() { "ip4" } else { "ip6" };
    vec![
        format!("/{family}/{host}/tcp/{port}"),
        format!("/{family}/{host}/udp/{port}/quic-v1"),
    ]
}

/// Reads an address to dial.
pub(crate) fn parse(text: &str, reach: Reach) -> Result<Target, AddressError> {
    let target = parse_any(text)?;
    check(&target.address, reach)?;
    Ok(target)
}

/// Reads an address to listen on: where a node may be heard beyond this machine, that may stand
/// for all of the machine's addresses; who then comes from too far is not let in.
pub(crate) fn parse_listen(text: &str, reach: Reach) -> Result<Multiaddr, AddressError> {
    let address = parse_any(text)?.address;
    let is_all = ip(&address).is_some_and(|ip| ip.is_unspecified());
    if !(is_all && reach == Reach::Lan) {
        check(&address, reach)?;
    }
    Ok(address)
}

fn check(address: &Multiaddr, reach: Reach) -> Result<(), AddressError> {
    match reach {
        reach if reach.covers(address) => Ok(()),
        Reach::Lan => Err(AddressError::NotPrivate(address.to_string())),
        Reach::Machine | Reach::World => Err(AddressError::NotLoopback(address.to_string())),
    }
}

fn parse_any(text: &str) -> Result<Target, AddressError> {
    let text = text.trim();
    if text.len() > ADDRESS_TEXT_BYTES_MAX {
        return Err(AddressError::TooLong(text.len()));
    }
    if text.starts_with('/') {
        parse_multiaddr(text)
    } else {
        parse_host(text)
    }
}

fn parse_multiaddr(text: &str) -> Result<Target, AddressError> {
    let unreadable = |_| AddressError::Unreadable(text.to_string());
    let (address, id) = split(text.parse().map_err(unreadable)?);
    let address = localise(&address);
    if is_supported(&address) {
        Ok(Target { address, id })
    } else {
        Err(AddressError::Unsupported(text.to_string()))
    }
}

/// An address without the peer id at its end, and that id.
pub(crate) fn split(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let id = match address.iter().last() {
        Some(Protocol::P2p(id)) => {
            address.pop();
            Some(id)
        }
        _ => None,
    };
    (address, id)
}

/// The same address at another IP.
pub(crate) fn at(address: &Multiaddr, ip: IpAddr) -> Multiaddr {
    let rest = address.iter().skip(1);
    std::iter::once(ip.into()).chain(rest).collect()
}

/// An address as it is told to others.
pub(crate) fn to_message((id, address): (PeerId, Multiaddr)) -> PeerAddress {
    PeerAddress(address.with(Protocol::P2p(id)).to_vec())
}

/// What somebody told, if it is an address with a peer id.
pub(crate) fn from_message(told: PeerAddress) -> Option<(PeerId, Multiaddr)> {
    let (address, id) = split(Multiaddr::try_from(told.0).ok()?);
    Some((id?, address))
}

fn parse_host(text: &str) -> Result<Target, AddressError> {
    let unreadable = || AddressError::Unreadable(text.to_string());
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let address = Multiaddr::empty()
            .with(socket.ip().into())
            .with(Protocol::Tcp(socket.port()));
        return Ok(Target { address, id: None });
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(unreadable)?;
    let port = port.parse().map_err(|_| unreadable())?;
    if !is_name(host) {
        return Err(unreadable());
    }
    let address = Multiaddr::empty()
        .with(Protocol::Dns(host.into()))
        .with(Protocol::Tcp(port));
    Ok(Target {
        address: localise(&address),
        id: None,
    })
}

/// RFC 1123: letters, digits, hyphens and dots.
fn is_name(host: &str) -> bool {
    let fits = !host.is_empty() && host.len() <= 253;
    fits && host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The name `localhost` means this machine whatever a resolver says (RFC 6761).
fn localise(address: &Multiaddr) -> Multiaddr {
    let localised = address.iter().map(|part| match part {
        Protocol::Dns(name) | Protocol::Dns4(name) if name.eq_ignore_ascii_case("localhost") => {
            Protocol::Ip4(Ipv4Addr::LOCALHOST)
        }
        other => other,
    });
    localised.collect()
}

/// Whether it is TCP or QUIC at an IP address or a name.
pub(crate) fn is_supported(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Ip4, Ip6, QuicV1, Tcp, Udp};
    let parts: Vec<Protocol> = address.iter().take(4).collect();
    let path = match parts.as_slice() {
        [Ip4(_) | Ip6(_) | Dns(_) | Dns4(_) | Dns6(_), path @ ..] => path,
        _ => return false,
    };
    matches!(path, [Tcp(_)] | [Udp(_), QuicV1])
}

/// The IP address at the head of an address; nothing for a name.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The socket that an address to listen on stands for.
pub(crate) fn socket(address: &Multiaddr) -> Option<Socket> {
    let ip = ip(address)?;
    let parts: Vec<Protocol> = address.iter().skip(1).take(3).collect();
    match parts.as_slice() {
        [Protocol::Tcp(port)] => Some(Socket::Tcp((ip, *port).into())),
        [Protocol::Udp(port), Protocol::QuicV1] => Some(Socket::Udp((ip, *port).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        parse(input, Reach::World).unwrap().address.to_string()
    }

    #[test]
    fn hosts_names_and_multiaddrs_are_read() {
        assert_eq!(text("10.1.2.3:30333"), "/ip4/10.1.2.3/tcp/30333");
        assert_eq!(text("[::1]:7"), "/ip6/::1/tcp/7");
        assert_eq!(text("seed.example.org:7"), "/dns/seed.example.org/tcp/7");
        assert_eq!(text("localhost:7"), "/ip4/127.0.0.1/tcp/7");
        assert_eq!(
            text("/dns4/localhost/udp/7/quic-v1"),
            "/ip4/127.0.0.1/udp/7/quic-v1"
        );
        assert_eq!(
            text("/ip4/1.2.3.4/udp/7/quic-v1"),
            "/ip4/1.2.3.4/udp/7/quic-v1"
        );
    }

    #[test]
    fn a_peer_id_is_taken_off() {
        let id = PeerId::random();
        let target = parse(&format!("/ip4/1.2.3.4/tcp/7/p2p/{id}"), Reach::World).unwrap();
        assert_eq!(target.id, Some(id));
        assert_eq!(target.address.to_string(), "/ip4/1.2.3.4/tcp/7");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "host",
            "host:",
            ":7",
            "host:99999",
            "a b:7",
            "::1:x",
            "/tcp/7",
            "/ip4/1",
        ] {
            assert!(parse(bad, Reach::World).is_err(), "{bad}");
        }
        for other in [
            "/ip4/1.2.3.4/tcp/7/ws",
            "/ip4/1.2.3.4/udp/7",
            "/memory/7",
            "/dnsaddr/a.b",
        ] {
            assert_eq!(
                parse(other, Reach::World),
                Err(AddressError::Unsupported(other.to_string()))
            );
        }
        assert_eq!(
            parse(&"a".repeat(600), Reach::World),
            Err(AddressError::TooLong(600))
        );
    }

    #[test]
    fn a_network_is_not_left() {
        for near in ["127.9.9.9:7", "[::1]:7", "localhost:7"] {
            assert!(parse(near, Reach::Machine).is_ok(), "{near}");
            assert!(parse(near, Reach::Lan).is_ok(), "{near}");
        }
        for (far, is_private) in [
            ("/ip4/10.0.0.1/tcp/7", true),
            ("/ip4/0.0.0.0/tcp/7", false),
            ("/dns/seed.example.org/tcp/7", false),
            ("/ip6/::ffff:8.8.8.8/tcp/1", false),
        ] {
            let refused = Err(AddressError::NotLoopback(far.to_string()));
            assert_eq!(parse(far, Reach::Machine), refused);
            assert_eq!(parse(far, Reach::Lan).is_ok(), is_private, "{far}");
        }
        let public = AddressError::NotPrivate("/ip4/8.8.8.8/tcp/1".to_string());
        assert_eq!(parse("8.8.8.8:1", Reach::Lan), Err(public));
    }

    #[test]
    fn only_a_local_network_is_listened_to_on_all_addresses() {
        let all = "/ip4/0.0.0.0/tcp/0";
        assert!(parse_listen(all, Reach::Machine).is_err());
        assert!(parse_listen(all, Reach::Lan).is_ok());
        assert!(parse_listen(all, Reach::World).is_ok());
        assert!(parse_listen("/ip4/8.8.8.8/tcp/0", Reach::Lan).is_err());
    }

    #[test]
    fn told_addresses_come_back_and_fit() {
        let id = PeerId::random();
        let longest = "/ip6/2001:db8:1:2:3:4:5:6/udp/65535/quic-v1";
        for text in ["/ip4/1.2.3.4/tcp/7", longest] {
            let address: Multiaddr = text.parse().unwrap();
            let told = to_message((id, address.clone()));
            assert!(told.0.len() <= chain::params::PEER_ADDRESS_BYTES_MAX);
            assert_eq!(from_message(told), Some((id, address.clone())));
            assert_eq!(from_message(PeerAddress(address.to_vec())), None);
        }
        assert_eq!(from_message(PeerAddress(vec![0xff; 9])), None);
    }

    #[test]
    fn an_address_is_moved_to_an_ip() {
        let listened = "/ip4/0.0.0.0/udp/7/quic-v1".parse().unwrap();
        let moved = at(&listened, "::1".parse().unwrap());
        assert_eq!(moved.to_string(), "/ip6/::1/udp/7/quic-v1");
    }

    #[test]
    fn listen_addresses_are_tcp_and_quic() {
        let addresses = listen_addresses("127.0.0.1".parse().unwrap(), 9);
        assert_eq!(
            addresses,
            ["/ip4/127.0.0.1/tcp/9", "/ip4/127.0.0.1/udp/9/quic-v1"]
        );
        let sockets = addresses.iter().map(|a| socket(&a.parse().unwrap()));
        let local: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert!(sockets.eq([Some(Socket::Tcp(local)), Some(Socket::Udp(local))]));
    }
}
