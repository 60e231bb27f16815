//! `lignum node`: runs a node until it is told to stop.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::builder::BoolishValueParser;
use tokio::runtime::Builder;
use tracing::warn;

use super::{data_directory, join};
use crate::{
    config::{LogFormat, Settings},
    devnet::{endpoints::Endpoints, stop, token},
    failure::Failure,
    log,
    network::{DevnetMiners, Network},
    shell::running::Running,
    store::{
        Kind,
        opened::{How, Opened, Treatment},
    },
};

/// Run a node.
#[derive(clap::Args)]
pub struct Args {
    /// Data directory [default: one named after the network in the platform's data directory]
    #[arg(long, env = "LIGNUM_DATADIR", value_name = "DIR")]
    pub datadir: Option<PathBuf>,
    /// testnet, regtest or a chain spec file [default: what the data directory holds, else testnet]
    #[arg(long, env = "LIGNUM_NETWORK", value_name = "NETWORK")]
    pub network: Option<String>,
    /// Configuration file (TOML) with the flags' names as keys
    #[arg(long, env = "LIGNUM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Peer-to-peer port, TCP and UDP; 0: chosen by the system [default: 30777]
    #[arg(long, env = "LIGNUM_PORT")]
    pub port: Option<u16>,
    /// Nodes to connect to: HOST:PORT or multiaddresses, separated by commas
    #[arg(long, env = "LIGNUM_BOOTNODES", value_delimiter = ',')]
    pub bootnodes: Option<Vec<String>>,
    /// Join the network of the node at HOST:PORT: fetch its chain spec, show its genesis hash, ask
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "network")]
    pub join: Option<String>,
    /// With --join: the genesis hash to expect; then nothing is asked
    #[arg(long, value_name = "HASH", requires = "join")]
    pub genesis: Option<String>,
    /// On a dev network: also find and talk to nodes on the local network, not on this machine alone
    #[arg(
        long,
        env = "LIGNUM_LAN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true
    )]
    pub lan: Option<bool>,
    /// Keep the state of every block, not of the last 128 alone; stays until --archive=false
    #[arg(
        long,
        env = "LIGNUM_ARCHIVE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true
    )]
    pub archive: Option<bool>,
    /// Memory that the state may take: beyond it the node ends, in order [default: 4096]
    #[arg(long, env = "LIGNUM_STATE_BUDGET", value_name = "MIB")]
    pub state_budget: Option<u64>,
    /// What keeps a new store: redb, or sled where that was built in [default: redb]
    #[arg(long, env = "LIGNUM_STORE", value_name = "ENGINE")]
    pub store: Option<Kind>,
    /// Make the store anew from the blocks it has, then run
    #[arg(long)]
    pub reindex: bool,
    /// Chain work, in hex, below which headers of other nodes are not kept [default: 0x0]
    #[arg(long, env = "LIGNUM_MIN_CHAIN_WORK", value_name = "HEX")]
    pub min_chain_work: Option<String>,
    /// Address the HTTP API binds [default: 127.0.0.1]
    #[arg(long = "http.addr", env = "LIGNUM_HTTP_ADDR")]
    pub http_addr: Option<IpAddr>,
    /// Port of the HTTP API; 0: chosen by the system [default: 8545]
    #[arg(long = "http.port", env = "LIGNUM_HTTP_PORT")]
    pub http_port: Option<u16>,
    /// Host names the HTTP API answers to beside localhost, separated by commas; * for any
    #[arg(
        long = "http.vhosts",
        env = "LIGNUM_HTTP_VHOSTS",
        value_delimiter = ','
    )]
    pub http_vhosts: Option<Vec<String>>,
    /// Origins of web pages that may read from the HTTP API and hand in signed transactions,
    /// separated by commas; * for any
    #[arg(
        long = "http.corsdomain",
        env = "LIGNUM_HTTP_CORSDOMAIN",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub http_corsdomain: Option<Vec<String>>,
    /// Mine; --mine=false overrides a configuration file
    #[arg(
        long,
        env = "LIGNUM_MINE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
        hide_possible_values = true
    )]
    pub mine: Option<bool>,
    /// Mining threads [default: 1]
    #[arg(long, env = "LIGNUM_THREADS")]
    pub threads: Option<usize>,
    /// Share of its time that each mining thread works, in percent [default: 100]
    #[arg(long, env = "LIGNUM_THROTTLE", value_parser = parse_percent)]
    pub throttle: Option<u8>,
    /// Let miners of other programs work for this node: take them in here over Stratum v1
    #[arg(long, env = "LIGNUM_STRATUM", value_name = "IP:PORT")]
    pub stratum: Option<SocketAddr>,
    /// Loop that mines: avx512, sha-ni, avx2, sha2 or portable [default: the fastest here]
    #[arg(long, env = "LIGNUM_KERNEL", value_name = "NAME")]
    pub kernel: Option<String>,
    /// Who is paid for mined blocks: an address, or dev:N on a dev network
    #[arg(long, env = "LIGNUM_BENEFICIARY", value_name = "ADDRESS")]
    pub beneficiary: Option<String>,
    /// Text that mined blocks carry, up to 32 bytes
    #[arg(long, env = "LIGNUM_TAG")]
    pub tag: Option<String>,
    /// Write all that the node is given to a new file, for `lignum replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Which log lines are written: error, warn, info, debug, or a filter such as p2p=debug
    /// [default: info]
    #[arg(long, env = "LIGNUM_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// What log lines look like [default: text]
    #[arg(
        long,
        env = "LIGNUM_LOG_FORMAT",
        hide_possible_values = true,
        value_name = "text|json"
    )]
    pub log_format: Option<LogFormat>,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    pub supervised: bool,
}

/// A percentage from 1 to 100, with or without its sign.
pub fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<u8>();
    match number {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err(format!("wanted 1 to 100 percent, got {text:?}")),
    }
}

/// Runs the node until a signal, the end of its supervisor, or a failure of its store.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut settings = Settings::resolve(args)?;
    log::start(&settings)?;
    // Before the signals: Ctrl-C at its question ends the process.
    let (directory, network) = match args.join.as_deref() {
        Some(address) => {
            let (network, directory) = join::join(address, args.genesis.as_deref(), &mut settings)?;
            (directory, Some(network))
        }
        None => wanted_directory(&settings)?,
    };
    let stop = stop::on_signal()?;
    if args.supervised {
        stop::on_end_of_input(Arc::clone(&stop));
    }
    let how = How {
        reach: settings.reach,
        budget: settings.state_budget,
        engine: settings.store,
        store: if args.reindex {
            Treatment::Rebuild
        } else {
            Treatment::Use
        },
    };
    let opened = Opened::open(&directory, network, how)?;
    opened
        .network
        .warnings
        .iter()
        .for_each(|warning| warn!("chain spec: {warning}"));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let lock = Arc::clone(&opened.lock);
    let running = Running::start(&runtime, opened, &settings, &directory)?;
    let result = running.wait(&runtime, &stop);
    Endpoints::remove(&directory);
    token::remove(&directory);
    // Not before: a node that is started here next writes its own.
    drop(lock);
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// The data directory, and the network asked for.
fn wanted_directory(settings: &Settings) -> Result<(PathBuf, Option<Network>), Failure> {
    let directory = match (&settings.datadir, &settings.network) {
        (Some(directory), _) => directory.clone(),
        (None, name) => {
            let name = Network::name_of(name.as_deref().unwrap_or("testnet"));
            data_directory(None, &name)?
        }
    };
    let network = wanted_network(settings, &directory)?;
    Ok((directory, network))
}

/// The network asked for; none where the data directory decides.
fn wanted_network(settings: &Settings, directory: &Path) -> Result<Option<Network>, Failure> {
    let miners = DevnetMiners {
        nodes: 1,
        each: settings.miner(),
    };
    let is_made = directory.join("genesis.json").exists();
    match settings.network.as_deref() {
        Some("devnet") if is_made => Ok(None),
        Some(name) => Network::open(name, miners).map(Some),
        None if is_made => Ok(None),
        None => Network::open("testnet", miners).map(Some),
    }
}
