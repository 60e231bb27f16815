//! A running node: its threads and tasks, wired together, started and stopped in order.
//!
//! Core thread, mining thread, network task, bridge, HTTP server, ticker. The only place that
//! knows all of them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use api::{
    desk::{Desk, Miners},
    events::Events,
    fees::Fees,
    operator::Command,
    queries::Queries,
};
use chain::{
    ChainSpec, Store,
    params::{CORE_QUEUE, UNCHECKED_QUEUE},
};
use miner::Miner;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
    task,
    time::timeout,
};
use tracing::{debug, info};

use super::{
    bridge::Bridge,
    clock::Clock,
    coinbase::Coinbase,
    core::{self, Core, Message},
    delay::Delayed,
    desk,
    faucet::faucet,
    listen,
    metrics::{self, Metrics},
    mining::{Mining, Site},
    operator::{ORDERS_MAX, Operator},
    publish::{Identity, Publisher, Readers},
    stratum::{self, Outside, Workshop},
    ticker::Ticker,
};
use crate::{
    config::Settings,
    devnet::token,
    failure::{Exit, Failure},
    random,
    recording::{self, recorder::Recorder},
    store::opened::Opened,
};

/// A core that has not finished a step for this long is not healthy.
const HEARTBEAT_MS_MAX: u64 = 10_000;

/// How long the end waits for answers of the HTTP server that are under way.
const ANSWERS_TIME_OUT: Duration = Duration::from_secs(1);

/// A node's threads and tasks. None of them ends before the node is told to stop, but for the
/// core when its store fails or its state outgrows its memory: a node with a part missing would look
/// alive and not be.
pub struct Running {
    core: JoinHandle<Result<(), Failure>>,
    mining: Option<JoinHandle<()>>,
    tasks: Tasks,
    inbox: mpsc::Sender<Message>,
    network: p2p::Handle,
    stop_mining: Arc<AtomicBool>,
    server: Server,
}

/// The HTTP server.
struct Server {
    task: task::JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// What the HTTP server is given, beside what all parts share.
struct Doors {
    listener: TcpListener,
    vhosts: Vec<String>,
    origins: Vec<String>,
    operator: api::operator::Operator,
    desk: Desk,
    outside: Outside,
}

/// Tasks of the runtime by name.
pub type Tasks = Vec<(&'static str, task::JoinHandle<()>)>;

/// What the parts of a node share.
struct Wiring {
    clock: Clock,
    metrics: Arc<Metrics>,
    inbox: mpsc::Sender<Message>,
    readers: Readers,
    heartbeat: Arc<AtomicU64>,
}

impl Wiring {
    fn ticker(&self) -> Ticker {
        Ticker {
            inbox: self.inbox.clone(),
            views: self.readers.api_views.clone(),
            clock: self.clock,
        }
    }

    fn bridge(
        &self,
        spec: Arc<ChainSpec>,
        outgoing: mpsc::Receiver<core::Outgoing>,
        events: Delayed,
        network: &p2p::Handle,
    ) -> Bridge {
        Bridge {
            spec,
            inbox: self.inbox.clone(),
            outgoing,
            events,
            network: network.commands(),
            views: self.readers.views.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Where blocks are made, by this node and by miners outside.
    fn workshop(&self, coinbase: Coinbase, dev: bool) -> Result<Workshop, Failure> {
        let site = Site {
            // Nobody where nobody may mine.
            beneficiary: coinbase.beneficiary.unwrap_or_default(),
            extra_data: coinbase.extra_data,
            extra_nonce: random::bytes()?,
            views: self.readers.views.clone(),
            inbox: self.inbox.clone(),
            clock: self.clock,
            metrics: Arc::clone(&self.metrics),
        };
        let payee = coinbase.beneficiary;
        Ok(Workshop { site, dev, payee })
    }
}

impl Running {
    /// Starts everything; the node listens when this returns.
    pub fn start(
        runtime: &Runtime,
        mut opened: Opened,
        settings: &Settings,
        directory: &Path,
    ) -> Result<Self, Failure> {
        opened.node.set_min_chain_work(settings.min_chain_work);
        let (dev, genesis) = (opened.network.spec.dev, opened.node.genesis_hash());
        let coinbase = Coinbase::of(settings, dev)?;
        let miner = settings.mine.then(|| own_miner(settings)).transpose()?;
        let (spec, text) = (Arc::clone(opened.node.spec()), opened.network.text.clone());
        let (name, head) = (opened.network.name.clone(), opened.node.head());
        let listener = listen::http(runtime, settings)?;
        let miners = listen::stratum(runtime, settings)?;
        let (events_in, events) = mpsc::channel(UNCHECKED_QUEUE);
        let network = listen::network(
            runtime, settings, directory, genesis, &spec, text, events_in,
        )?;
        let (outbox, outgoing) = mpsc::channel(chain::params::NETWORK_QUEUE);
        // Last, so that a start that fails leaves no file behind.
        let record = |path: &PathBuf| recording::start(path, &opened, settings.min_chain_work);
        let recorder = settings.record.as_ref().map(record).transpose()?;
        let (wiring, core) = start_core(opened, settings, outbox, recorder)?;
        let endpoints = listen::endpoints(&listener, miners.as_ref(), &network)?;
        info!(network = name, %genesis, height = head.height, http = endpoints.http, "node started");
        let (delay, delayed) = watch::channel(Duration::ZERO);
        let bridge = wiring.bridge(spec, outgoing, Delayed::new(events, delayed), &network);
        let mut tasks = vec![
            ("bridge", runtime.spawn(bridge.run())),
            ("ticker", runtime.spawn(wiring.ticker().run())),
        ];
        let (operator, orders) = operator(directory)?;
        let workshop = wiring.workshop(coinbase, dev)?;
        let site = workshop.site.clone();
        let outside = stratum::start(runtime, miners, workshop, &mut tasks)?;
        let doors = Doors {
            listener,
            vhosts: settings.http_vhosts.clone(),
            origins: settings.http_corsdomain.clone(),
            operator,
            desk: start_desk(runtime, site.clone(), &wiring, &mut tasks),
            outside,
        };
        let server = start_api(runtime, doors, &wiring, &mut tasks);
        let (stop_mining, paused) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        if dev {
            let operator = Operator {
                orders,
                network: network.commands(),
                delay,
                site: site.clone(),
                seen: wiring.readers.api_views.clone(),
                stop: Arc::clone(&stop_mining),
                paused: Arc::clone(&paused),
            };
            tasks.push(("operator", runtime.spawn(operator.run())));
        }
        let mining = miner.map(|miner| start_mining(miner, site, Arc::clone(&stop_mining), paused));
        // Written last: whoever reads them finds everything up.
        endpoints.write(directory)?;
        Ok(Self {
            core,
            mining,
            tasks,
            inbox: wiring.inbox,
            network,
            stop_mining,
            server,
        })
    }

    /// Waits for a reason to stop, then stops everything in order: no new work, no new requests,
    /// no peers, and last the core, which commits what it has taken.
    pub fn wait(self, runtime: &Runtime, stop: &AtomicBool) -> Result<(), Failure> {
        let mut lost = None;
        while !stop.load(Ordering::Relaxed) && !self.core.is_finished() && lost.is_none() {
            thread::sleep(Duration::from_millis(20));
            lost = self.lost_part();
        }
        info!("stopping");
        self.stop_mining.store(true, Ordering::Relaxed);
        drop(self.server.stop);
        runtime.block_on(async {
            self.network.shutdown().await;
            // The core may have ended already.
            let _ = self.inbox.send(Message::Stop).await;
        });
        if let Some(mining) = self.mining
            && mining.join().is_err()
        {
            lost = Some("miner");
        }
        let core = self.core.join();
        // Answers under way are finished. A connection that has asked nothing yet, such as browsers
        // keep at hand, is open too, so the wait is short.
        let finished = async { timeout(ANSWERS_TIME_OUT, self.server.task).await };
        if runtime.block_on(finished).is_err() {
            debug!("some connections were still open");
        }
        match core {
            Ok(Ok(())) => lost.map_or(Ok(()), |part| Err(bug(part))),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(bug("core")),
        }
    }

    /// A part that has ended unasked, other than the core, which reports for itself.
    fn lost_part(&self) -> Option<&'static str> {
        if self.network.is_finished() {
            return Some("network");
        }
        if self.mining.as_ref().is_some_and(JoinHandle::is_finished) {
            return Some("miner");
        }
        if self.server.task.is_finished() {
            return Some("HTTP server");
        }
        ended(&self.tasks)
    }
}

fn ended(tasks: &[(&'static str, task::JoinHandle<()>)]) -> Option<&'static str> {
    let ended = tasks.iter().find(|(_, task)| task.is_finished());
    ended.map(|(part, _)| *part)
}

fn bug(part: &str) -> Failure {
    let what = "ended by itself: a bug, of which the log may say more. The chain is safe";
    Failure::new(
        Exit::Other,
        format!("the {part} {what}; start the node again"),
    )
}

fn own_miner(settings: &Settings) -> Result<Miner, Failure> {
    Miner::new(settings.miner()).map_err(|error| Failure::new(Exit::Usage, error))
}

/// A new token in the data directory, and a queue for the orders of whoever shows it.
fn operator(
    directory: &Path,
) -> Result<(api::operator::Operator, mpsc::Receiver<Command>), Failure> {
    let token = token::create(directory)?;
    let (orders, waiting) = mpsc::channel(ORDERS_MAX);
    Ok((api::operator::Operator { token, orders }, waiting))
}

fn start_core(
    opened: Opened,
    settings: &Settings,
    outbox: mpsc::Sender<core::Outgoing>,
    recorder: Option<Recorder>,
) -> Result<(Wiring, JoinHandle<Result<(), Failure>>), Failure> {
    let Opened {
        node,
        store,
        network,
        lock,
        ..
    } = opened;
    let clock = Clock::start();
    let identity = Identity {
        network: network.name,
        mining: settings.mine,
    };
    let metrics = Arc::new(Metrics::default());
    let damaged = |error| Failure::new(Exit::Damaged, error);
    let snapshot = Arc::new(store.snapshot().map_err(damaged)?);
    let journal = core::journal::read(&*snapshot, node.spec()).map_err(damaged)?;
    let (publisher, readers) =
        Publisher::new(&node, snapshot, clock, Arc::clone(&metrics), identity).map_err(damaged)?;
    let (inbox, messages) = mpsc::channel(CORE_QUEUE);
    let heartbeat = Arc::new(AtomicU64::new(0));
    let core = Core {
        node,
        store,
        inbox: messages,
        loopback: inbox.downgrade(),
        journal: Some(journal),
        outbox,
        publisher,
        clock,
        metrics: Arc::clone(&metrics),
        heartbeat: Arc::clone(&heartbeat),
        recorder,
        budget: settings.state_budget,
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
            readers,
            heartbeat,
        },
        thread,
    ))
}

/// Starts the HTTP API; it ends when its `stop` is dropped.
fn start_api(runtime: &Runtime, mut doors: Doors, wiring: &Wiring, tasks: &mut Tasks) -> Server {
    let (stop, stopped) = oneshot::channel::<()>();
    let (submissions, waiting) = mpsc::channel(CORE_QUEUE);
    let mut registry = Registry::default();
    wiring.metrics.register(&mut registry);
    doors.outside.foreman.metrics().register(&mut registry);
    let events = Events::new(wiring.readers.journal.clone());
    metrics::register_streams(&mut registry, events.streams());
    metrics::register_desk(&mut registry, &doors.desk);
    doors.desk.miners = miners(&doors.outside, wiring);
    metrics::register_hash_rates(&mut registry, Arc::clone(&doors.desk.miners));
    let (clock, heartbeat) = (wiring.clock, Arc::clone(&wiring.heartbeat));
    let is_healthy = move || {
        let age = clock
            .now()
            .monotonic_ms
            .saturating_sub(heartbeat.load(Ordering::Relaxed));
        age < HEARTBEAT_MS_MAX
    };
    let dev = wiring.readers.api_views.borrow().spec.dev;
    let state = api::ApiState {
        views: wiring.readers.api_views.clone(),
        submissions,
        registry: Arc::new(registry),
        clock: Arc::new(move || clock.now()),
        is_healthy: Arc::new(is_healthy),
        events,
        desk: doors.desk,
        vhosts: Arc::new(doors.vhosts),
        origins: Arc::new(doors.origins),
        operator: doors.operator,
        mining: doors.outside.questions,
        fees: Arc::new(Fees::default()),
        ledger: Arc::default(),
        queries: Queries::default(),
        faucet: dev.then(faucet),
    };
    let forward = forward(waiting, wiring.inbox.clone());
    let serve = api::serve(doors.listener, state, async move { drop(stopped.await) });
    tasks.push(("queue of submissions", runtime.spawn(forward)));
    let task = runtime.spawn(serve);
    Server { task, stop }
}

/// Tells what is mined at this node.
fn miners(outside: &Outside, wiring: &Wiring) -> Arc<dyn Fn() -> Miners + Send + Sync> {
    let (foreman, has_port) = (Arc::clone(&outside.foreman), outside.has_port);
    let (clock, metrics) = (wiring.clock, Arc::clone(&wiring.metrics));
    Arc::new(move || {
        let now_ms = clock.now().monotonic_ms;
        Miners {
            hash_rate: metrics.hash_rate(now_ms),
            stratum: has_port.then(|| foreman.metrics().reading(now_ms)),
        }
    })
}

/// Opens the place where miners of other processes get templates and leave blocks.
fn start_desk(runtime: &Runtime, site: Site, wiring: &Wiring, tasks: &mut Tasks) -> Desk {
    let (desk, brought) = desk::open(site);
    let forward = desk::forward(brought, wiring.inbox.clone());
    tasks.push(("queue of mined blocks", runtime.spawn(forward)));
    desk
}

/// Hands submitted transactions to the core, as fast as it takes them.
async fn forward(mut waiting: mpsc::Receiver<api::Submission>, inbox: mpsc::Sender<Message>) {
    while let Some(submission) = waiting.recv().await {
        if inbox.send(Message::Submission(submission)).await.is_err() {
            return;
        }
    }
}

fn start_mining(
    miner: Miner,
    site: Site,
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
) -> JoinHandle<()> {
    let mining = Mining {
        miner,
        site,
        stop,
        paused,
    };
    thread::spawn(move || mining.run())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panics_is_missed() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let works = runtime.spawn(async move { drop(stopped.await) });
        let fails = runtime.spawn(async { panic!("a seeded mistake") });
        let mut tasks = vec![("works", works), ("fails", fails)];
        while !tasks[1].1.is_finished() {
            thread::yield_now();
        }
        assert_eq!(ended(&tasks), Some("fails"));
        tasks.truncate(1);
        assert_eq!(ended(&tasks), None);
        drop(stop);
    }
}
