//! `lignum devnet`: several nodes of one network on this machine, with real proof of work.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use clap::builder::RangedU64ValueParser;

use super::{devnet_directory, node::parse_percent};
use crate::{
    config,
    devnet::{
        client,
        console::{Console, shorten},
        place,
        split::Split,
        stop,
        supervisor::{NodeProcess, Plan, Ports, sleep_unless},
    },
    failure::{Exit, Failure},
    network::{DevnetMiners, Network},
    store::directory::{Lock, write_whole},
};

/// The devnet's chain spec, in its directory.
const SPEC: &str = "devnet.json";

/// Run a network of several nodes on this machine.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the devnet, to have several [default: one without a name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Directory of the devnet [default: its place in the platform's data directory]
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Number of nodes, 1 to 64. Each takes about 25 MiB of memory and, beside its share of a core
    /// for mining, 1 % of one; for 16 and more lower --throttle to 3 and less
    #[arg(long, default_value = "4", value_parser = RangedU64ValueParser::<u32>::new().range(1..=64))]
    nodes: u32,
    /// Mining threads of each node
    #[arg(long, default_value = "1", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: usize,
    /// Share of its time that each mining thread works, in percent
    #[arg(long, default_value = "10", value_parser = parse_percent)]
    throttle: u8,
    /// Loop that mines: avx512, sha-ni, avx2, sha2 or portable [default: the fastest here]
    #[arg(long, env = "LIGNUM_KERNEL", value_name = "NAME")]
    kernel: Option<String>,
    /// Peer-to-peer port of node 1; the others take the next free ones. 0: chosen by the system
    #[arg(long, default_value_t = 30777)]
    port: u16,
    /// HTTP port of node 1; the others take the next free ones. 0: chosen by the system
    #[arg(long = "http.port", default_value_t = 8545)]
    http_port: u16,
    /// Let miners of other programs work for node 1: it takes them in here over Stratum v1
    #[arg(long, value_name = "IP:PORT")]
    stratum: Option<SocketAddr>,
    /// Let nodes of the local network in, and find them
    #[arg(long)]
    lan: bool,
    /// Record the runs of each node, for `lignum replay`: node-N/run-1.record, another at each start
    #[arg(long)]
    record: bool,
    /// Forget an earlier devnet in this directory and start a new chain
    #[arg(long)]
    fresh: bool,
}

/// Runs the devnet until Ctrl-C.
pub fn run(args: &Args) -> Result<(), Failure> {
    let stop = stop::on_signal()?;
    let directory = devnet_directory(args.datadir.as_deref(), args.name.as_deref())?;
    let _lock = Lock::take(&directory)?;
    if args.fresh {
        forget(&directory).map_err(|error| {
            let place = directory.display();
            Failure::new(Exit::Other, format!("cannot clear {place}: {error}"))
        })?;
    }
    Split::remove(&directory);
    place::forget_endpoints(&directory)?;
    let plan = plan(args, directory)?;
    let mut nodes = start_nodes(args, &plan, &stop)?;
    if !stop.load(Ordering::Relaxed) {
        say(&banner(args, &plan, &nodes)?, &stop);
        follow(&plan.directory, &mut nodes, &stop)?;
    }
    let place = plan.directory.display();
    say(&format!("stopping; the chain is kept in {place}"), &stop);
    nodes.iter_mut().for_each(NodeProcess::ask_to_stop);
    nodes.iter_mut().for_each(NodeProcess::wait_for_end);
    Ok(())
}

/// Looks after the nodes and prints what happens, until it is to stop.
fn follow(directory: &Path, nodes: &mut [NodeProcess], stop: &AtomicBool) -> Result<(), Failure> {
    let mut split = None;
    let mut console = Console::default();
    while !stop.load(Ordering::Relaxed) {
        let now = Split::read(directory);
        if now != split {
            say(&split_note(now.as_ref()), stop);
            console.set_split(now.as_ref());
            split = now;
        }
        for index in 0..nodes.len() {
            let others = nodes
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            let others: Vec<_> = others
                .filter_map(|(_, node)| node.endpoints.p2p.first().cloned())
                .collect();
            if let Some(line) = nodes[index].look_after(&others)? {
                say(&line, stop);
                keep_split(split.as_ref(), &nodes[index]);
            }
        }
        let url = |number: u32| {
            let index = usize::try_from(number.checked_sub(1)?).ok()?;
            Some(nodes.get(index)?.member()?.endpoints.http)
        };
        console.poll(url).iter().for_each(|line| say(line, stop));
        sleep_unless(stop, Duration::from_millis(250));
    }
    Ok(())
}

/// A node that has come back is split from the others as before.
fn keep_split(split: Option<&Split>, node: &NodeProcess) {
    if let (Some(split), Some(member)) = (split, node.member()) {
        // One that dies again now is told when it comes back.
        let _ = split.tell(&member);
    }
}

fn split_note(split: Option<&Split>) -> String {
    match split {
        Some(split) => format!("split: {split}"),
        None => "healed: all nodes talk to each other again".to_owned(),
    }
}

/// Prints a line. When nobody reads any more, the devnet stops, as any program in a pipe does.
fn say(line: &str, stop: &AtomicBool) {
    if writeln!(io::stdout(), "{line}").is_err() {
        stop.store(true, Ordering::Relaxed);
    }
}

/// Removes what an earlier devnet left: its spec and its nodes' directories, nothing else.
fn forget(directory: &Path) -> io::Result<()> {
    for (_, node) in place::node_directories(directory)? {
        fs::remove_dir_all(node)?;
    }
    match fs::remove_file(directory.join(SPEC)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The spec of an earlier run, or a new one made for this machine's hash rate.
fn plan(args: &Args, directory: PathBuf) -> Result<Plan, Failure> {
    let spec = directory.join(SPEC);
    // Measured once and not by each of the nodes, which start together.
    let kernel = config::kernel(args.kernel.as_ref())?.unwrap_or_else(miner::kernel::best);
    let each = miner::Config {
        threads: args.threads,
        throttle_percent: args.throttle,
        kernel: Some(kernel),
    };
    if !spec.exists() {
        let nodes = args.nodes;
        let network = Network::open("devnet", DevnetMiners { nodes, each })?;
        write_whole(&spec, network.text.as_bytes())?;
    }
    Ok(Plan {
        directory,
        spec,
        miner: each,
        lan: args.lan,
        record: args.record,
        stratum: args.stratum,
    })
}

/// Starts the nodes one after the other, each knowing those before it.
fn start_nodes(args: &Args, plan: &Plan, stop: &AtomicBool) -> Result<Vec<NodeProcess>, Failure> {
    let mut nodes: Vec<NodeProcess> = Vec::new();
    let mut bootnodes: Vec<String> = Vec::new();
    let mut wanted = Ports {
        p2p: args.port,
        http: args.http_port,
    };
    for number in 1..=args.nodes {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let ports = Ports::free_from(wanted)?;
        let mut node = NodeProcess::start(plan, number, ports, &bootnodes)?;
        node.wait_until_up(stop)?;
        bootnodes.extend(node.endpoints.p2p.first().cloned());
        nodes.push(node);
        wanted = ports.next();
    }
    Ok(nodes)
}

/// What a person needs to know once: where the nodes are, what the accounts hold now, how to go on.
fn banner(args: &Args, plan: &Plan, nodes: &[NodeProcess]) -> Result<String, Failure> {
    let url = &nodes[0].endpoints.http;
    let ask = |path: &str| client::get(url, path, Duration::from_secs(5)).unwrap_or_default();
    let spec = Network::read(&plan.spec)?.spec;
    let mut out = format!(
        "Lignum {} devnet   chain id {}   genesis {}   {} nodes, real proof of work, one block \
         every {} s\n",
        env!("CARGO_PKG_VERSION"),
        spec.chain_id,
        shorten(ask("/v1/status")["genesis"].as_str().unwrap_or("?")),
        nodes.len(),
        spec.spacing_secs,
    );
    for (number, node) in (1..).zip(nodes) {
        let url = &node.endpoints.http;
        let hint = if number == 1 {
            "    REST under /v1, metrics at /metrics"
        } else {
            ""
        };
        out.push_str(&format!("  node {number}  {url}{hint}\n"));
    }
    if let Some(address) = nodes[0].endpoints.stratum {
        let hint = "user name: ADDRESS or dev:N";
        out.push_str(&format!("  miners  stratum+tcp://{address}    {hint}\n"));
    }
    out.push_str(&format!(
        "  wallet  {} funded accounts from the words \"{}\" (DEV NETWORK ONLY)\n",
        spec.alloc.len(),
        wallet::derive::DEV_WORDS,
    ));
    for index in 0..3 {
        let address = wallet::dev_key(index).address();
        let account = ask(&format!("/v1/accounts/{address}"));
        let balance = account["chain"]["display"].as_str().unwrap_or("?");
        out.push_str(&format!("          dev:{index} {address}  {balance}\n"));
    }
    out.push_str(&format!(
        "  mining  every node, {} thread(s), throttled to {} %\n  data    {}   logs in \
         node-N/lignum.log\n  try     lignum wallet send dev:1 25 --from dev:0\n  Ctrl-C stops and \
         keeps the chain\n",
        args.threads,
        args.throttle,
        plan.directory.display(),
    ));
    Ok(out)
}
