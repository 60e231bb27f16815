//! The command line: which verbs there are. What they do is in `verbs`.

use clap::{CommandFactory, Parser, Subcommand};

use crate::{failure::Failure, verbs};

/// A proof-of-work blockchain node for networks you run yourself.
#[derive(Parser)]
#[command(
    name = "lignum",
    version,
    propagate_version = true,
    about = "A proof-of-work blockchain node for networks you run yourself"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a data directory for a network
    Init(verbs::init::Args),
    /// Run a node
    Node(Box<verbs::node::Args>),
    /// Run a recording of a node again
    Replay(verbs::replay::Args),
    /// Mine for a node, as a process of its own
    Mine(verbs::mine::Args),
    /// Check, export or import the blocks of a data directory
    Db(verbs::db::Args),
    /// Run a network of several nodes on this machine
    Devnet(verbs::devnet::Args),
    /// Make forks and reorgs happen on a dev network, and money out of its faucet
    Dev(verbs::dev::Args),
    /// Show where a node stands
    Status(verbs::status::Args),
    /// Show the peers of a node
    Peers(verbs::peers::Args),
    /// Show the branches of a node's block forest
    Forks(verbs::forks::Args),
    /// Measure what this machine can do
    Bench(verbs::bench::Args),
    /// Keys, balances and transfers
    Wallet(verbs::wallet::Args),
    /// Print completions for a shell
    Completions(verbs::completions::Args),
    /// Print the man page, or write one for each verb
    Man(verbs::man::Args),
}

/// Parses the command line and runs the verb.
///
/// A malformed command line ends the process with exit code 2 and clap's explanation.
pub fn run() -> Result<(), Failure> {
    match Cli::parse().verb {
        Verb::Init(args) => verbs::init::run(&args),
        Verb::Node(args) => verbs::node::run(&args),
        Verb::Replay(args) => verbs::replay::run(&args),
        Verb::Mine(args) => verbs::mine::run(&args),
        Verb::Db(args) => verbs::db::run(&args),
        Verb::Devnet(args) => verbs::devnet::run(&args),
        Verb::Dev(args) => verbs::dev::run(&args),
        Verb::Status(args) => verbs::status::run(&args),
        Verb::Peers(args) => verbs::peers::run(&args),
        Verb::Forks(args) => verbs::forks::run(&args),
        Verb::Bench(args) => verbs::bench::run(&args),
        Verb::Wallet(args) => verbs::wallet::run(&args),
        Verb::Completions(args) => verbs::completions::run(&args, Cli::command()),
        Verb::Man(args) => verbs::man::run(&args, Cli::command()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
