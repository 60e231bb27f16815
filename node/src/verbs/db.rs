//! `lignum db`: the store of a data directory that no node is using.

use std::path::{Path, PathBuf};

use chain::{Block, Reader, Store};
use clap::{Subcommand, builder::RangedU64ValueParser};

use super::data_directory;
use crate::{
    budget::{self, Budget},
    db::{
        check::Check,
        file::{Blocks, Writer},
        import::{Importer, Pace, Refused, Source, Taken, Times, damaged},
        progress::Progress,
    },
    failure::{Exit, Failure},
    network::{DevnetMiners, Network},
    store::{
        Kind,
        opened::{How, Opened},
    },
};

/// Check, export or import the blocks of a data directory
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Data directory [default: that of --network in the platform's data directory]
    #[arg(long, global = true, env = "LIGNUM_DATADIR", value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// testnet, regtest or a chain spec file [default: what the data directory holds, else testnet]
    #[arg(long, global = true, env = "LIGNUM_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
    /// Memory that the state may take: beyond it the verb ends, in order
    #[arg(
        long,
        global = true,
        env = "LIGNUM_STATE_BUDGET",
        value_name = "MIB",
        default_value_t = budget::DEFAULT_MIB
    )]
    state_budget: u64,
    /// What keeps a new store: redb, or sled where that was built in [default: redb]
    #[arg(long, global = true, env = "LIGNUM_STORE", value_name = "ENGINE")]
    store: Option<Kind>,
}

#[derive(Subcommand)]
enum Verb {
    /// Check everything in the store: blocks, signatures, state, receipts and indexes
    Check,
    /// Write the best chain to a file
    Export {
        /// The file to write
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take the blocks of such a file, checked like those of a peer; goes on where it was cut off
    Import(ImportArgs),
}

#[derive(clap::Args)]
struct ImportArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also say where the time went
    #[arg(long)]
    times: bool,
    /// Blocks that are committed as one, at most
    #[arg(long, value_name = "BLOCKS", value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    commit: Option<usize>,
}

impl ImportArgs {
    fn pace(&self) -> Pace {
        let usual = Pace::default();
        Pace {
            commit_blocks: self.commit.unwrap_or(usual.commit_blocks),
            ..usual
        }
    }
}

/// Runs one of them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = Network::name_of(args.network.as_deref().unwrap_or("testnet"));
    let directory = data_directory(args.datadir.as_deref(), &name)?;
    let is_made = directory.join("genesis.json").exists();
    match &args.verb {
        Verb::Check | Verb::Export { .. } if !is_made => Err(Failure::new(
            Exit::Config,
            format!("{} holds no network: give --datadir", directory.display()),
        )),
        Verb::Check => check(&open(args, &directory)?),
        Verb::Export { file } => export(&open(args, &directory)?, file),
        Verb::Import(arguments) => {
            let budget = Budget::of_mib(args.state_budget);
            import(open(args, &directory)?, arguments, budget)
        }
    }
}

fn open(args: &Args, directory: &Path) -> Result<Opened, Failure> {
    let miners = DevnetMiners {
        nodes: 1,
        each: miner::Config {
            threads: 1,
            throttle_percent: 100,
            kernel: None,
        },
    };
    let is_made = directory.join("genesis.json").exists();
    let network = match args.network.as_deref() {
        Some("devnet") if is_made => None,
        Some(name) => Some(Network::open(name, miners)?),
        None if is_made => None,
        None => Some(Network::open("testnet", miners)?),
    };
    let how = How {
        budget: Budget::of_mib(args.state_budget),
        engine: args.store,
        ..How::default()
    };
    Opened::open(directory, network, how)
}

fn check(opened: &Opened) -> Result<(), Failure> {
    let reader = opened.store.snapshot().map_err(damaged)?;
    let check = Check {
        reader: &reader,
        spec: &opened.network.spec,
        checkpoint: opened.store.state().map_err(damaged)?,
    };
    let checked = check.run()?;
    println!(
        "the store is whole: {} headers, {} bodies; {} blocks with {} transactions executed again",
        checked.headers, checked.bodies, checked.executed, checked.transactions
    );
    Ok(())
}

fn export(opened: &Opened, file: &Path) -> Result<(), Failure> {
    let failed = |error| {
        let what = format!("cannot write {}: {error}", file.display());
        Failure::new(Exit::Other, what)
    };
    let reader = opened.store.snapshot().map_err(damaged)?;
    let head = opened.node.head();
    let mut writer = Writer::create(file, &opened.node.genesis_hash()).map_err(failed)?;
    let mut progress = Progress::new("export", head.height);
    for height in 1..=head.height {
        writer.put(&block_at(&reader, height)?).map_err(failed)?;
        progress.at(height);
    }
    progress.end();
    let count = writer.finish().map_err(failed)?;
    println!(
        "{count} blocks up to {} written to {}",
        head.hash,
        file.display()
    );
    Ok(())
}

fn block_at(reader: &impl Reader, height: u64) -> Result<Block, Failure> {
    let missing = || {
        let what = format!("the best chain has no block at height {height}: run lignum db check");
        Failure::new(Exit::Damaged, what)
    };
    let hash = reader
        .canonical(height)
        .map_err(damaged)?
        .ok_or_else(missing)?;
    let header = reader.header(&hash).map_err(damaged)?.ok_or_else(missing)?;
    let body = reader.body(&hash).map_err(damaged)?.ok_or_else(missing)?;
    Ok(Block {
        header: (*header).clone(),
        body: (*body).clone(),
    })
}

fn import(opened: Opened, arguments: &ImportArgs, budget: Budget) -> Result<(), Failure> {
    let mut blocks = Blocks::open(&arguments.file, &opened.node.genesis_hash())?;
    let mut importer = Importer::new(opened.node, opened.store, budget, arguments.pace())?;
    let mut source = Shown {
        progress: Progress::between("import", 0, blocks.count()?),
        blocks,
    };
    let taken = importer.take(&mut source, Refused::Stops)?;
    source.progress.end();
    let head = importer.node().head();
    println!(
        "{} blocks imported, {} were there; the head is block {} {}",
        taken.new, taken.known, head.height, head.hash
    );
    if taken.given_up > 0 {
        println!(
            "{} blocks of side branches were given up for want of room: import once more if one of them is to win",
            taken.given_up
        );
    }
    if arguments.times {
        show_times(importer.times());
    }
    Ok(())
}

/// A file that is read, and how far.
struct Shown {
    blocks: Blocks,
    progress: Progress,
}

impl Source for Shown {
    fn next(&mut self) -> Result<Option<Block>, Failure> {
        self.blocks.next()
    }

    fn taken(&mut self, taken: &Taken) {
        self.progress.at(taken.new + taken.known);
    }
}

/// Where the time of the thread went that executes and commits.
fn show_times(times: &Times) {
    println!(
        "reading {} ms, waiting for checks {} ms, executing {} ms, {} commits {} ms",
        times.reading.as_millis(),
        times.waiting.as_millis(),
        times.executing.as_millis(),
        times.commits.len(),
        times.committing.as_millis()
    );
    for (quarter, commits) in
        (1..).zip(times.commits.chunks(times.commits.len().div_ceil(4).max(1)))
    {
        let mut sorted = commits.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_micros();
        println!(
            "commits, quarter {quarter}: {} of them, median {} us, p99 {} us",
            sorted.len(),
            at(50),
            at(99)
        );
    }
}
