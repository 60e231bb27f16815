//! `lignum node`: runs a node until it is told to stop.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chain::{Address, Input, StoreError, params::CORE_QUEUE};
use miner::Miner;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot, watch},
};
use tracing::{error, info, warn};

use super::data_directory;
use crate::{
    config::Settings,
    devnet::{endpoints::Endpoints, stop},
    failure::{Exit, Failure},
    network::{DevnetMiners, Network},
    shell::{
        bridge::Bridge,
        clock::Clock,
        core::{self, Core, Identity, Message},
        metrics::Metrics,
        mining::Mining,
        view::View,
    },
    store::opened::Opened,
};

/// Time between two ticks of the core.
const TICK: Duration = Duration::from_millis(250);

/// A core that has not finished a step for this long is not healthy.
const HEARTBEAT_MS_MAX: u64 = 10_000;

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
    /// Mine
    #[arg(long, env = "LIGNUM_MINE")]
    pub mine: bool,
    /// Mining threads [default: 1]
    #[arg(long, env = "LIGNUM_THREADS")]
    pub threads: Option<usize>,
    /// Share of its time that each mining thread works, in percent [default: 100]
    #[arg(long, env = "LIGNUM_THROTTLE", value_parser = parse_percent)]
    pub throttle: Option<u8>,
    /// Who is paid for mined blocks: an address, or dev:N on a dev network
    #[arg(long, env = "LIGNUM_BENEFICIARY", value_name = "ADDRESS")]
    pub beneficiary: Option<String>,
    /// Text that mined blocks carry, up to 32 bytes
    #[arg(long, env = "LIGNUM_TAG")]
    pub tag: Option<String>,
    /// Which log lines are written: error, warn, info, debug, or a filter such as p2p=debug
    #[arg(long, env = "LIGNUM_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// text or json
    #[arg(long, env = "LIGNUM_LOG_FORMAT", value_parser = ["text", "json"])]
    pub log_format: Option<String>,
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
pub fn run(args: Args) -> Result<(), Failure> {
    let stop = stop::on_signal()?;
    if args.supervised {
        stop::on_end_of_input(Arc::clone(&stop));
    }
    let settings = Settings::resolve(&args)?;
    start_log(&settings)?;
    let directory = match (&settings.datadir, &settings.network) {
        (Some(directory), _) => directory.clone(),
        (None, name) => data_directory(None, name.as_deref().unwrap_or("testnet"))?,
    };
    let network = wanted_network(&settings, &directory)?;
    let opened = Opened::open(&directory, network)?;
    opened
        .network
        .warnings
        .iter()
        .for_each(|warning| warn!("chain spec: {warning}"));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let running = Running::start(&runtime, opened, &settings, directory.clone())?;
    let result = running.wait(&runtime, &stop);
    Endpoints::remove(&directory);
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// The network asked for; none where the data directory decides.
fn wanted_network(
    settings: &Settings,
    directory: &std::path::Path,
) -> Result<Option<Network>, Failure> {
    let miners = DevnetMiners {
        nodes: 1,
        threads: settings.threads,
        throttle_percent: settings.throttle,
    };
    let is_made = directory.join("genesis.json").exists();
    match settings.network.as_deref() {
        Some("devnet") if is_made => Ok(None),
        Some(name) => Network::open(name, miners).map(Some),
        None if is_made => Ok(None),
        None => Network::open("testnet", miners).map(Some),
    }
}

fn start_log(settings: &Settings) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log_level).map_err(|error| {
        let got = &settings.log_level;
        Failure::new(
            Exit::Usage,
            format!("log level {got:?}: {error}; try info or debug"),
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber in one process cannot be: the verb runs once.
    let _ = match settings.log_format.as_str() {
        "json" => log.json().try_init(),
        _ => log.with_target(false).with_ansi(false).try_init(),
    };
    Ok(())
}

/// A node's threads and tasks.
struct Running {
    core: JoinHandle<Result<(), StoreError>>,
    mining: Option<JoinHandle<()>>,
    inbox: mpsc::Sender<Message>,
    network: p2p::Handle,
    stop_mining: Arc<AtomicBool>,
    stop_api: oneshot::Sender<()>,
}

/// What the parts of a node share.
struct Wiring {
    clock: Clock,
    metrics: Arc<Metrics>,
    inbox: mpsc::Sender<Message>,
    views: watch::Receiver<Arc<View>>,
    api_views: watch::Receiver<Arc<api::View>>,
    heartbeat: Arc<AtomicU64>,
}

impl Running {
    fn start(
        runtime: &Runtime,
        opened: Opened,
        settings: &Settings,
        directory: PathBuf,
    ) -> Result<Self, Failure> {
        let mining = mining_settings(settings, opened.network.spec.dev)?;
        let (spec, text) = (Arc::clone(opened.node.spec()), opened.network.text.clone());
        let genesis = opened.node.genesis_hash();
        let (name, head) = (opened.network.name.clone(), opened.node.head());
        let listener = listen_http(runtime, settings)?;
        let (events_in, events) = mpsc::channel(CORE_QUEUE);
        let network = start_network(
            runtime, settings, &directory, genesis, &spec, text, events_in,
        )?;
        let (outbox, outgoing) = mpsc::channel(chain::params::NETWORK_QUEUE);
        let (wiring, core) = start_core(opened, mining.is_some(), outbox)?;
        let endpoints = endpoints(&listener, &network)?;
        info!(network = name, %genesis, height = head.height, http = endpoints.http, "node started");
        let bridge = Bridge {
            spec,
            inbox: wiring.inbox.clone(),
            outgoing,
            events,
            network: network.commands(),
            views: wiring.views.clone(),
        };
        runtime.spawn(bridge.run());
        runtime.spawn(tick(wiring.inbox.clone()));
        let stop_api = start_api(runtime, listener, &wiring, settings);
        let stop_mining = Arc::new(AtomicBool::new(false));
        let mining = mining.map(|mining| start_mining(mining, &wiring, &stop_mining));
        // Written last: whoever reads them finds everything up.
        endpoints.write(&directory)?;
        Ok(Self {
            core,
            mining,
            inbox: wiring.inbox,
            network,
            stop_mining,
            stop_api,
        })
    }

    /// Waits for a reason to stop, then stops everything in order: no new work, no new requests,
    /// no peers, and last the core, which commits what it has taken.
    fn wait(self, runtime: &Runtime, stop: &AtomicBool) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) && !self.core.is_finished() {
            thread::sleep(Duration::from_millis(20));
        }
        info!("stopping");
        self.stop_mining.store(true, Ordering::Relaxed);
        drop(self.stop_api);
        runtime.block_on(async {
            self.network.shutdown().await;
            // The core may have ended already.
            let _ = self.inbox.send(Message::Stop).await;
        });
        if let Some(mining) = self.mining
            && mining.join().is_err()
        {
            error!("the mining thread panicked");
        }
        match self.core.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::new(Exit::Other, error)),
            Err(_) => Err(Failure::new(
                Exit::Other,
                "the core thread panicked: this is a bug",
            )),
        }
    }
}

/// The miner and whom it pays, where the settings ask for mining.
fn mining_settings(settings: &Settings, dev: bool) -> Result<Option<MiningSettings>, Failure> {
    if !settings.mine {
        return Ok(None);
    }
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let text = settings.beneficiary.as_deref().ok_or_else(|| {
        usage("mining needs somebody to pay: give --beneficiary ADDRESS".to_owned())
    })?;
    let party: wallet::Party = text
        .parse()
        .map_err(|error| usage(format!("--beneficiary: {error}")))?;
    if matches!(party, wallet::Party::Dev(_)) && !dev {
        return Err(usage(format!(
            "--beneficiary {text}: everybody knows the dev keys; they are for dev networks only"
        )));
    }
    let tag = settings.tag.as_bytes();
    let mut extra_data = [0; 32];
    let room = extra_data
        .get_mut(..tag.len())
        .ok_or_else(|| usage(format!("--tag has at most 32 bytes, got {}", tag.len())))?;
    room.copy_from_slice(tag);
    let config = miner::Config {
        threads: settings.threads,
        throttle_percent: settings.throttle,
    };
    let miner = Miner::new(config).map_err(|error| usage(error.to_string()))?;
    Ok(Some(MiningSettings {
        miner,
        beneficiary: party.address(),
        extra_data,
    }))
}

struct MiningSettings {
    miner: Miner,
    beneficiary: Address,
    extra_data: [u8; 32],
}

fn listen_http(runtime: &Runtime, settings: &Settings) -> Result<TcpListener, Failure> {
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

fn start_network(
    runtime: &Runtime,
    settings: &Settings,
    directory: &std::path::Path,
    genesis: chain::BlockHash,
    spec: &chain::ChainSpec,
    spec_json: String,
    events: mpsc::Sender<p2p::Event>,
) -> Result<p2p::Handle, Failure> {
    let identity = p2p::identity::load_or_create(&directory.join("node.key"))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    let text = genesis.to_string();
    let mut config = p2p::Config::new(identity, text[text.len() - 8..].to_owned(), spec_json);
    // A dev network's keys are known to everybody, so it stays on this machine.
    config.loopback_only = spec.dev;
    let address: IpAddr = if spec.dev {
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

fn start_core(
    opened: Opened,
    mining: bool,
    outbox: mpsc::Sender<core::Outgoing>,
) -> Result<(Wiring, JoinHandle<Result<(), StoreError>>), Failure> {
    let Opened {
        node,
        store,
        network,
        lock,
    } = opened;
    let clock = Clock::start();
    let identity = Identity {
        network: network.name,
        mining,
    };
    let first = core::first_view(&node, &store, clock, &identity)
        .map_err(|error| Failure::new(Exit::Damaged, error))?;
    let metrics = Arc::new(Metrics::default());
    metrics.published(&first);
    let (inbox, messages) = mpsc::channel(CORE_QUEUE);
    let (api_views_in, api_views) = watch::channel(Arc::clone(&first.api));
    let (views_in, views) = watch::channel(Arc::new(first));
    let heartbeat = Arc::new(AtomicU64::new(0));
    let core = Core {
        node,
        store,
        inbox: messages,
        loopback: inbox.downgrade(),
        outbox,
        views: views_in,
        api_views: api_views_in,
        clock,
        metrics: Arc::clone(&metrics),
        heartbeat: Arc::clone(&heartbeat),
        identity,
    };
    let run = move || {
        let result = core.run();
        // The directory is ours until the last write is done.
        drop(lock);
        result
    };
    let thread = thread::Builder::new().name("core".into()).spawn(run)?;
    Ok((
        Wiring {
            clock,
            metrics,
            inbox,
            views,
            api_views,
            heartbeat,
        },
        thread,
    ))
}

fn endpoints(listener: &TcpListener, network: &p2p::Handle) -> Result<Endpoints, Failure> {
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
        pid: std::process::id(),
    })
}

/// Starts the HTTP API; it ends when the sender is dropped.
fn start_api(
    runtime: &Runtime,
    listener: TcpListener,
    wiring: &Wiring,
    settings: &Settings,
) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (submissions, waiting) = mpsc::channel(CORE_QUEUE);
    let mut registry = Registry::default();
    wiring.metrics.register(&mut registry);
    let (clock, heartbeat) = (wiring.clock, Arc::clone(&wiring.heartbeat));
    let is_healthy = move || {
        let age = clock
            .now()
            .monotonic_ms
            .saturating_sub(heartbeat.load(Ordering::Relaxed));
        age < HEARTBEAT_MS_MAX
    };
    let state = api::ApiState {
        views: wiring.api_views.clone(),
        submissions,
        registry: Arc::new(registry),
        is_healthy: Arc::new(is_healthy),
        vhosts: Arc::new(settings.http_vhosts.clone()),
    };
    runtime.spawn(forward(waiting, wiring.inbox.clone()));
    runtime.spawn(api::serve(
        listener,
        state,
        async move { drop(stopped.await) },
    ));
    stop
}

/// Hands submitted transactions to the core, as fast as it takes them.
async fn forward(mut waiting: mpsc::Receiver<api::Submission>, inbox: mpsc::Sender<Message>) {
    while let Some(submission) = waiting.recv().await {
        if inbox.send(Message::Submission(submission)).await.is_err() {
            return;
        }
    }
}

async fn tick(inbox: mpsc::Sender<Message>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        if inbox.send(Message::Input(Input::Tick)).await.is_err() {
            return;
        }
    }
}

fn start_mining(
    settings: MiningSettings,
    wiring: &Wiring,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let mining = Mining {
        miner: settings.miner,
        beneficiary: settings.beneficiary,
        extra_data: settings.extra_data,
        views: wiring.views.clone(),
        inbox: wiring.inbox.clone(),
        clock: wiring.clock,
        metrics: Arc::clone(&wiring.metrics),
        stop: Arc::clone(stop),
    };
    thread::spawn(move || mining.run())
}
