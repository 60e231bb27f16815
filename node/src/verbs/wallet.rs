//! `lignum wallet`: keys, balances and transfers, against a node over HTTP.

use std::path::PathBuf;

use super::NodeUrl;
use crate::failure::{Exit, Failure};

/// Keys, balances and transfers.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: wallet::verbs::Command,
    #[command(flatten)]
    node: NodeUrl,
    /// Directory of the wallets, which belongs to no chain [default: below the platform's data
    /// directory]
    #[arg(long, global = true, env = "LIGNUM_WALLET_DIR", value_name = "DIR")]
    wallet_dir: Option<PathBuf>,
}

/// Runs the wallet's verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    let url = args.node.resolve()?;
    let directory = match &args.wallet_dir {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    wallet::verbs::run(&args.command, &url, &directory)
        .map_err(|error| Failure::with_code(error.exit_code(), error))
}

/// `wallets` in the platform's data directory for Lignum, wherever the chain may lie.
fn default_directory() -> Result<PathBuf, Failure> {
    let found = directories::ProjectDirs::from("", "", "lignum");
    found
        .map(|dirs| dirs.data_dir().join("wallets"))
        .ok_or_else(|| {
            Failure::new(
                Exit::Config,
                "no home directory is known: give a directory of wallets with --wallet-dir",
            )
        })
}
