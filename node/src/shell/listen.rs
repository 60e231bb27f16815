//! Where a node listens: its HTTP port, its peer-to-peer port, and the file that says so.
//!
//! A port in use and an address that cannot be had are the user's to mend, so each is an error
//! with its exit code and remedy. Called by `running`.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

use crate::{
    config::Settings,
    devnet::endpoints::Endpoints,
    failure::{Exit, Failure},
};

/// Binds the HTTP port.
pub fn http(runtime: &Runtime, settings: &Settings) -> Result<TcpListener, Failure> {
    let address = SocketAddr::new(settings.http_addr, settings.http_port);
    runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::new(
                Exit::PortInUse,
                format!(
                    "port {} is in use: choose another with --http.port",
                    address.port()
                ),
            ),
            _ => Failure::new(Exit::Config, format!("cannot listen on {address}: {error}")),
        })
}

/// Binds the port of miners, if there is to be one.
pub fn stratum(runtime: &Runtime, settings: &Settings) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = settings.stratum else {
        return Ok(None);
    };
    let listener = runtime.block_on(TcpListener::bind(address));
    listener.map(Some).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            Exit::PortInUse,
            format!("{address} is in use: choose another port with --stratum IP:PORT"),
        ),
        _ => Failure::new(
            Exit::Config,
            format!("cannot take in miners at {address}: {error}"),
        ),
    })
}

/// Starts the network task: identity and peer book from the data directory, listeners bound.
pub fn network(
    runtime: &Runtime,
    settings: &Settings,
    directory: &Path,
    genesis: chain::BlockHash,
    spec: &chain::ChainSpec,
    spec_json: String,
    events: mpsc::Sender<p2p::Event>,
) -> Result<p2p::Handle, Failure> {
    let identity = p2p::identity::load_or_create(&directory.join("node.key"))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    let text = genesis.to_string();
    let mut config = p2p::Config::new(identity, text[text.len() - 8..].to_owned(), spec_json);
    // A dev network's keys are known to everybody, so it stays on this machine unless told.
    config.loopback_only = spec.dev;
    config.lan = settings.lan;
    config.book = Some(directory.join("peers"));
    let address: IpAddr = if spec.dev && !settings.lan {
        [127, 0, 0, 1].into()
    } else {
        [0, 0, 0, 0].into()
    };
    config.listen = p2p::listen_addresses(address, settings.port);
    config.bootnodes.clone_from(&settings.bootnodes);
    runtime
        .block_on(p2p::start(config, events))
        .map_err(|error| match &error {
            p2p::StartError::AddressTaken { .. } => Failure::new(
                Exit::PortInUse,
                format!("{error}: choose another port with --port"),
            ),
            _ => Failure::new(Exit::Config, error),
        })
}

/// Where others find this process.
pub fn endpoints(
    listener: &TcpListener,
    stratum: Option<&TcpListener>,
    network: &p2p::Handle,
) -> Result<Endpoints, Failure> {
    let id = network.peer_id();
    let p2p = network
        .addresses()
        .iter()
        .map(|address| format!("{address}/p2p/{id}"))
        .collect();
    let http = format!("http://{}", listener.local_addr()?);
    Ok(Endpoints {
        http,
        p2p,
        stratum: stratum.map(TcpListener::local_addr).transpose()?,
        pid: std::process::id(),
    })
}
