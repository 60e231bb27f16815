//! `lignum wallet`: balances and transfers, against a node over HTTP.

use super::NodeUrl;
use crate::failure::Failure;

/// Balances and transfers.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: wallet::verbs::Command,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs the wallet's verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    let url = args.node.resolve()?;
    wallet::verbs::run(&args.command, &url)
        .map_err(|error| Failure::with_code(error.exit_code(), error))
}
