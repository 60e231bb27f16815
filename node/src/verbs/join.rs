//! `lignum node --join`: the chain spec of a network, fetched from one of its nodes.
//!
//! Whoever answers may be anybody, so the genesis hash is computed here from what came, shown,
//! and confirmed once: it commits to every parameter of the network. Called by `node`.

use std::{
    io::{self, BufRead, Write},
    net::ToSocketAddrs,
    path::{Path, PathBuf},
    time::Duration,
};

use chain::{BlockHash, ChainSpec, Node};
use state::Evm;

use super::data_directory;
use crate::{
    config::Settings,
    failure::{Exit, Failure},
    network::Network,
    store::directory::spec_file,
};

/// How long the other node may take to answer.
const TIME_OUT: Duration = Duration::from_secs(20);

/// Fetches the spec from `address` and has the user confirm it, unless `expected` or the data
/// directory name the same genesis already. Gives the network and its data directory.
pub fn join(
    address: &str,
    expected: Option<&str>,
    settings: &mut Settings,
) -> Result<(Network, PathBuf), Failure> {
    let text = fetch(address)?;
    let mut network = Network::parse("joined", &text)
        .map_err(|failure| Failure::new(Exit::Config, format!("{address}: {failure}")))?;
    let genesis = genesis_of(&network.spec);
    network.name = name_of(genesis);
    let directory = data_directory(settings.datadir.as_deref(), &network.name)?;
    match (expected, pinned(&directory)) {
        (Some(expected), _) => check_expected(address, expected, genesis)?,
        (None, Some(pinned)) if pinned == genesis => {}
        (None, Some(pinned)) => return Err(other_network(&directory, pinned, genesis)),
        (None, None) => ask(address, &network.spec, genesis)?,
    }
    if network.spec.dev && !is_on_this_machine(address) {
        settings.lan = true;
    }
    if !settings.bootnodes.iter().any(|known| known == address) {
        settings.bootnodes.push(address.to_owned());
    }
    Ok((network, directory))
}

fn fetch(address: &str) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(p2p::fetch_spec(address, false, TIME_OUT))
        .map_err(|error| match error {
            p2p::FetchError::Address(error) => {
                Failure::new(Exit::Usage, format!("--join: {error}"))
            }
            error => Failure::new(
                Exit::Unreachable,
                format!("--join: {error}; is a node of the network listening there?"),
            ),
        })
}

fn genesis_of(spec: &ChainSpec) -> BlockHash {
    Node::genesis(spec, &Evm::new()).0.header.hash()
}

/// A built-in network has its own name, any other one is called after its genesis hash.
fn name_of(genesis: BlockHash) -> String {
    let is_it = |name: &str| {
        let text = ChainSpec::builtin(name).unwrap_or_default();
        ChainSpec::parse(text).is_ok_and(|parsed| genesis_of(&parsed.spec) == genesis)
    };
    if let Some(name) = ["testnet", "regtest"].into_iter().find(|name| is_it(name)) {
        return name.to_owned();
    }
    let text = genesis.to_string();
    format!("network-{}", &text[text.len() - 8..])
}

/// The genesis hash that a data directory is pinned to, if it is one.
fn pinned(directory: &Path) -> Option<BlockHash> {
    let network = Network::read(&spec_file(directory)).ok()?;
    Some(genesis_of(&network.spec))
}

fn other_network(directory: &Path, pinned: BlockHash, genesis: BlockHash) -> Failure {
    let place = directory.display();
    Failure::new(
        Exit::WrongNetwork,
        format!(
            "{place} holds the network of genesis {pinned}, wanted {genesis}: choose another \
             --datadir"
        ),
    )
}

fn check_expected(address: &str, expected: &str, genesis: BlockHash) -> Result<(), Failure> {
    let expected: BlockHash = expected.parse().map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--genesis: wanted 0x and 64 hex digits, got {expected:?}"),
        )
    })?;
    if expected == genesis {
        return Ok(());
    }
    Err(Failure::new(
        Exit::WrongNetwork,
        format!("{address} is of the network of genesis {genesis}, wanted {expected}"),
    ))
}

/// Asks on standard error, reads one line from standard input.
fn ask(address: &str, spec: &ChainSpec, genesis: BlockHash) -> Result<(), Failure> {
    let kind = if spec.dev {
        ", a dev network: everybody knows its keys, its money is worth nothing"
    } else {
        ""
    };
    let mut out = io::stderr();
    write!(
        out,
        "{address} is a node of chain id {}, one block every {} s{kind}\n  genesis {genesis}\n\
         Compare the genesis hash with what its operator says. Join this network? [y/N] ",
        spec.chain_id, spec.spacing_secs,
    )?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("not joined: answer y, or give --genesis {genesis}"),
    ))
}

/// Whether an address, in any form that bootnodes have, is a loopback one.
fn is_on_this_machine(address: &str) -> bool {
    let host_and_port = match address.strip_prefix('/') {
        None => address.to_owned(),
        Some(multiaddr) => {
            let mut parts = multiaddr.split('/').skip(1);
            let host = parts.next().unwrap_or_default();
            let port = parts.nth(1).unwrap_or_default();
            if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        }
    };
    let Ok(mut addresses) = host_and_port.to_socket_addrs() else {
        return false;
    };
    addresses.all(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_networks_keep_their_names() {
        let spec = |name| {
            ChainSpec::parse(ChainSpec::builtin(name).unwrap())
                .unwrap()
                .spec
        };
        assert_eq!(name_of(genesis_of(&spec("testnet"))), "testnet");
        let mut other = spec("testnet");
        other.chain_id += 1;
        assert!(name_of(genesis_of(&other)).starts_with("network-"));
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for address in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "/ip6/::1/tcp/1/p2p/x",
        ] {
            assert!(is_on_this_machine(address), "{address}");
        }
        for address in [
            "192.0.2.1:1",
            "/ip4/192.0.2.1/tcp/1",
            "[2001:db8::1]:1",
            "?",
        ] {
            assert!(!is_on_this_machine(address), "{address}");
        }
    }

    #[test]
    fn another_genesis_than_the_expected_one_is_refused() {
        let genesis = BlockHash::default();
        let other = format!("0x{}", "1".repeat(64));
        assert!(check_expected("a", &genesis.to_string(), genesis).is_ok());
        let failure = check_expected("a", &other, genesis).unwrap_err();
        assert_eq!(failure.code(), Exit::WrongNetwork as u8);
        let failure = check_expected("a", "0x12", genesis).unwrap_err();
        assert_eq!(failure.code(), Exit::Usage as u8);
    }
}
