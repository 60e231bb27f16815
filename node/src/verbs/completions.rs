//! `lignum completions`: what a shell needs to complete verbs and flags, made from the command line
//! itself.

use std::io::{self, Write};

use clap_complete::Shell;

use crate::failure::Failure;

/// Print completions for a shell.
#[derive(clap::Args)]
pub struct Args {
    /// The shell that is to read them
    shell: Shell,
}

/// Prints the shell's script to standard output.
pub fn run(args: &Args, mut command: clap::Command) -> Result<(), Failure> {
    // Made in memory: the generator panics where a reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lignum", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
