//! `lignum init`: makes a data directory for a network and pins its chain spec there.

use std::path::PathBuf;

use super::data_directory;
use crate::{
    failure::Failure,
    network::{DevnetMiners, Network},
    store::opened::{How, Opened},
};

/// Make a data directory for a network.
#[derive(clap::Args)]
pub struct Args {
    /// testnet, regtest, devnet, or a chain spec file (a geth genesis.json with a `lignum` object)
    #[arg(value_name = "NETWORK", default_value = "testnet")]
    network: String,
    /// Data directory [default: one named after the network in the platform's data directory]
    #[arg(long, env = "LIGNUM_DATADIR", value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// For devnet: nodes that will mine at the throttle given, to find the first difficulty
    #[arg(long, default_value_t = 2)]
    nodes: u32,
    /// For devnet: share of its time that each node's one mining thread will work, in percent
    #[arg(long, default_value = "10", value_parser = super::node::parse_percent)]
    throttle: u8,
}

/// Makes the directory and prints the genesis hash.
pub fn run(args: &Args) -> Result<(), Failure> {
    let miners = DevnetMiners {
        nodes: args.nodes.max(1),
        each: miner::Config {
            threads: 1,
            throttle_percent: args.throttle,
            kernel: None,
        },
    };
    let network = Network::open(&args.network, miners)?;
    let directory = data_directory(args.datadir.as_deref(), &network.name)?;
    network
        .warnings
        .iter()
        .for_each(|warning| eprintln!("warning: {warning}"));
    let opened = Opened::open(&directory, Some(network), How::default())?;
    println!(
        "network {}   chain id {}",
        opened.network.name, opened.network.spec.chain_id
    );
    println!("genesis {}", opened.node.genesis_hash());
    println!("data    {}", directory.display());
    println!("run     lignum node --datadir {}", directory.display());
    Ok(())
}
