//! How far an address reaches, and which neighbourhood it lies in.
//!
//! Development networks stay on this machine or in its local network; everywhere, an address book
//! must not be filled from one corner of the internet. Read by the book, the gate and dialling.

use std::{fmt, net::IpAddr, str::FromStr};

use libp2p::Multiaddr;

use crate::address::ip;

/// How far a network may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine only.
    Machine,
    /// Private addresses only, and this machine.
    Lan,
    /// Everywhere.
    World,
}

/// From where an address can be reached, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// This machine.
    Loopback,
    /// A local network: RFC 1918, RFC 4193 and link-local addresses.
    Private,
    /// The internet.
    Public,
}

/// A neighbourhood of addresses, likely in one hand: a /16 of IPv4 or a /32 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    /// The first two bytes of an IPv4 address.
    V4([u8; 2]),
    /// The first four bytes of an IPv6 address.
    V6([u8; 4]),
}

impl Reach {
    /// Whether an address with an IP is within reach. A name is within the world's only: it may
    /// be resolved to anything.
    pub(crate) fn covers(self, address: &Multiaddr) -> bool {
        match (self, ip(address)) {
            (Self::World, _) => true,
            (Self::Lan, Some(ip)) => scope(ip) <= Scope::Private && !ip.is_unspecified(),
            (Self::Machine, Some(ip)) => ip.is_loopback(),
            (Self::Lan | Self::Machine, None) => false,
        }
    }
}

/// The scope of an address.
pub(crate) fn scope(ip: IpAddr) -> Scope {
    let is_private = match ip.to_canonical() {
        ip if ip.is_loopback() => return Scope::Loopback,
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if is_private {
        Scope::Private
    } else {
        Scope::Public
    }
}

/// Whether a single machine can have this address: not a group's, everybody's or nobody's.
pub(crate) fn is_single(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0)
        }
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
    }
}

impl Group {
    /// The group of an address; an IPv4 address written as IPv6 is the same.
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::V6([a, b, c, d])
            }
        }
    }

    /// The group's bytes, for hashing.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([a, b]) => write!(f, "{a}.{b}"),
            Self::V6([a, b, c, d]) => write!(f, "{a:02x}{b:02x}:{c:02x}{d:02x}"),
        }
    }
}

impl FromStr for Group {
    type Err = ();

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some((a, b)) = text.split_once('.') {
            let byte = |text: &str| text.parse::<u8>().map_err(drop);
            return Ok(Self::V4([byte(a)?, byte(b)?]));
        }
        let (high, low) = text.split_once(':').ok_or(())?;
        let half = |text: &str| match text.len() {
            4 => u16::from_str_radix(text, 16).map_err(drop),
            _ => Err(()),
        };
        let ([a, b], [c, d]) = (half(high)?.to_be_bytes(), half(low)?.to_be_bytes());
        Ok(Self::V6([a, b, c, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_reaches_agree() {
        for (text, want) in [
            ("127.0.0.1", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("10.9.9.9", Scope::Private),
            ("172.31.0.1", Scope::Private),
            ("172.32.0.1", Scope::Public),
            ("192.168.1.1", Scope::Private),
            ("169.254.1.1", Scope::Private),
            ("fd00::1", Scope::Private),
            ("fe80::1", Scope::Private),
            ("8.8.8.8", Scope::Public),
            ("::ffff:8.8.8.8", Scope::Public),
            ("2001:db8::1", Scope::Public),
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(scope(ip), want, "{text}");
            let address = Multiaddr::empty().with(ip.into());
            assert!(Reach::World.covers(&address));
            assert_eq!(Reach::Lan.covers(&address), want != Scope::Public, "{text}");
        }
        let name: Multiaddr = "/dns/a.example/tcp/1".parse().unwrap();
        assert!(Reach::World.covers(&name) && !Reach::Lan.covers(&name));
        let nobody: Multiaddr = "/ip4/0.0.0.0/tcp/1".parse().unwrap();
        assert!(!Reach::Lan.covers(&nobody) && !Reach::Machine.covers(&nobody));
    }

    #[test]
    fn a_machine_has_an_address_of_its_own() {
        for text in ["1.2.3.4", "::1", "127.0.0.1"] {
            assert!(is_single(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "0.1.2.3",
        ] {
            assert!(!is_single(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn groups_are_written_and_read() {
        for (ip, text) in [
            ("10.1.2.3", "10.1"),
            ("::ffff:10.1.2.3", "10.1"),
            ("2001:db8:7::1", "2001:0db8"),
        ] {
            let group = Group::of(ip.parse().unwrap());
            assert_eq!(group.to_string(), text);
            assert_eq!(text.parse(), Ok(group));
        }
        for bad in [
            "",
            "10",
            "10.256",
            "10.1.2",
            "2001:",
            "2001:db8",
            "+001:0db8x",
        ] {
            assert!(bad.parse::<Group>().is_err(), "{bad}");
        }
    }
}
