//! A server on a view of the test's own, whose other parts are simple: the core takes every
//! transaction, or gives the answer that a test wants.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use chain::{Block, ChainSpec, MemoryStore, Node, Store, Time};
use prometheus_client::registry::Registry;
use serde_json::Value;
use state::Evm;
use tokio::sync::{mpsc, oneshot, watch};

use super::faucet;
use crate::{
    ApiState, Submission, View,
    desk::Desk,
    events::{Events, Journal},
    faucet::Faucet,
    fees::Fees,
    limits::BRANCHES_MAX,
    network::{PeerInfo, SyncInfo},
    operator::{Command, Operator, Outcome, Token},
    queries::Queries,
};

/// What a server has beside its view.
pub(super) struct Parts {
    pub faucet: Option<Arc<Faucet>>,
    pub queries: Queries,
    pub answer: fn(Submission),
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            faucet: Some(faucet::open()),
            queries: Queries::default(),
            answer: take,
        }
    }
}

/// The time of these servers.
pub(super) const NOW: Time = Time {
    unix_secs: 1_700_000_100,
    monotonic_ms: 100_000,
};

/// A server on the regtest genesis; the core's place is taken by a thread that gives `answer`. Every
/// order is carried out at once, and every template is the genesis block.
pub(super) struct Server {
    pub address: SocketAddr,
    pub genesis: Block,
    pub views: watch::Sender<Arc<View>>,
    pub journal: watch::Sender<Journal>,
    pub stop: oneshot::Sender<()>,
    _runtime: tokio::runtime::Runtime,
}

pub(super) fn view(spec: &Arc<ChainSpec>) -> (View, Block) {
    let evm = Evm::new();
    let (genesis, batch) = Node::genesis(spec, &evm);
    let mut store = MemoryStore::default();
    store.commit(&batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    let node = Node::open(Arc::clone(spec), evm, &snapshot).unwrap();
    let view = View {
        spec: Arc::clone(spec),
        network: "regtest".into(),
        genesis: genesis.header.hash(),
        head: node.head(),
        head_header: Arc::new(genesis.header.clone()),
        state: node.head_state().clone(),
        reader: Arc::new(snapshot),
        pool: node.pool(),
        peer_list: Arc::new(vec![peer(1), peer(2), peer(3)]),
        branches: Arc::new(node.forest().branches(BRANCHES_MAX)),
        sync: SyncInfo::default(),
        mining: false,
        version: "0.0.0",
    };
    (view, genesis)
}

pub(super) fn peer(number: u64) -> PeerInfo {
    PeerInfo {
        number,
        id: "12D3KooW".into(),
        address: "/ip4/127.0.0.1/tcp/30777".into(),
        inbound: number.is_multiple_of(2),
        connected_since: 1_700_000_000,
        ping_ms: Some(3),
        claims: None,
        chain_work: None,
        clock_ahead_secs: Some(-1),
        points: 10,
        requests: 1,
    }
}

pub(super) fn regtest() -> Arc<ChainSpec> {
    let text = ChainSpec::builtin("regtest").unwrap();
    Arc::new(ChainSpec::parse(text).unwrap().spec)
}

impl Server {
    pub fn start(answer: fn(Submission)) -> Self {
        let (view, genesis) = view(&regtest());
        Self::on(view, genesis, answer)
    }

    pub fn on(view: View, genesis: Block, answer: fn(Submission)) -> Self {
        let parts = Parts {
            answer,
            ..Parts::default()
        };
        Self::with(view, genesis, parts)
    }

    pub fn without_faucet(view: View, genesis: Block) -> Self {
        let parts = Parts {
            faucet: None,
            ..Parts::default()
        };
        Self::with(view, genesis, parts)
    }

    pub fn with(view: View, genesis: Block, parts: Parts) -> Self {
        let Parts {
            faucet,
            queries,
            answer,
        } = parts;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (journal_in, journal) = watch::channel(Journal::new(1, view.head));
        let (sender, views) = watch::channel(Arc::new(view));
        let (submissions, mut inbox) = mpsc::channel(4);
        let (stop, stopped) = oneshot::channel::<()>();
        let (orders, mut commands) = mpsc::channel::<Command>(1);
        let template = genesis.clone();
        let state = ApiState {
            views,
            submissions,
            registry: Arc::new(Registry::default()),
            clock: Arc::new(|| NOW),
            is_healthy: Arc::new(|| true),
            vhosts: Arc::new(vec!["node.example".into()]),
            origins: Arc::new(vec!["https://shop.example".into()]),
            events: Events::new(journal),
            desk: Desk::new(
                Arc::new(move |_, _| Ok(template.clone())),
                mpsc::channel(1).0,
            ),
            operator: Operator {
                token: Token::new([7; 32]),
                orders,
            },
            fees: Arc::new(Fees::default()),
            ledger: Arc::default(),
            faucet,
            queries,
            mining: mpsc::channel(1).0,
        };
        runtime.spawn(crate::serve(
            listener,
            state,
            async move { drop(stopped.await) },
        ));
        runtime.spawn(async move {
            while let Some(command) = commands.recv().await {
                let _ = command.reply.send(Ok(Outcome::Done));
            }
        });
        thread::spawn(move || {
            while let Some(submission) = inbox.blocking_recv() {
                answer(submission);
            }
        });
        Self {
            address,
            genesis,
            views: sender,
            journal: journal_in,
            stop,
            _runtime: runtime,
        }
    }

    pub fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        // The server may close before all of a body that is too long is written.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        (status, text)
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let (status, text) = self.raw(request.as_bytes());
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (
            status,
            serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())),
        )
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    pub fn refuses(&self, method: &str, path: &str, body: &str, status: u16, code: &str) -> Value {
        let (got, problem) = self.ask(method, path, body);
        assert_eq!(
            (got, problem["code"].as_str()),
            (status, Some(code)),
            "{path}: {problem}"
        );
        assert_eq!(problem["status"], status);
        problem
    }
}

pub(super) fn take(submission: Submission) {
    let hash = submission.transaction.hash();
    drop(submission.reply.send(Ok(hash)));
}
