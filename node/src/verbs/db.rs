//! `lignum db`: the store of a data directory that no node is using.

use std::path::{Path, PathBuf};

use chain::{Block, Reader, Store};
use clap::Subcommand;

use super::data_directory;
use crate::{
    budget::{self, Budget},
    db::{
        check::Check,
        file::{Blocks, Writer},
        import::{BLOCKS_PER_COMMIT, Importer, Refused, Taken, damaged},
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
    Import {
        /// The file to read
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
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
        Verb::Import { file } => {
            let budget = Budget::of_mib(args.state_budget);
            import(open(args, &directory)?, file, budget)
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

fn import(opened: Opened, file: &Path, budget: Budget) -> Result<(), Failure> {
    let mut blocks = Blocks::open(file, &opened.node.genesis_hash())?;
    let mut importer = Importer::new(opened.node, opened.store, budget)?;
    let mut progress = Progress::between("import", 0, blocks.count()?);
    let mut sum = Taken::default();
    loop {
        let mut group = Vec::new();
        let mut broken = None;
        while group.len() < BLOCKS_PER_COMMIT {
            match blocks.next() {
                Ok(Some(block)) => group.push(block),
                Ok(None) => break,
                // What comes before a damaged record is taken.
                Err(failure) => {
                    broken = Some(failure);
                    break;
                }
            }
        }
        let is_over = group.is_empty();
        let taken = importer.take(group, Refused::Stops)?;
        sum.new += taken.new;
        sum.known += taken.known;
        progress.at(sum.new + sum.known);
        if let Some(failure) = broken {
            return Err(failure);
        }
        if is_over {
            break;
        }
    }
    progress.end();
    let head = importer.node().head();
    println!(
        "{} blocks imported, {} were there; the head is block {} {}",
        sum.new, sum.known, head.height, head.hash
    );
    Ok(())
}
