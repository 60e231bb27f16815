//! The `lignum` binary: one process that is a node, or a verb that talks to one.
//!
//! The only crate that knows all others. `shell` runs the core; each verb is a file of its own.

mod budget;
mod cli;
mod config;
mod db;
mod devnet;
mod failure;
mod feed;
mod log;
mod network;
mod random;
mod recording;
mod shell;
mod store;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lignum: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
