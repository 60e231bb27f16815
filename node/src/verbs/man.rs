//! `lignum man`: the manual, made from the command line itself, a page a verb.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap_mangen::Man;

use crate::failure::{Exit, Failure};

/// Print the man page, or write one for each verb.
#[derive(clap::Args)]
pub struct Args {
    /// Directory for the pages of all verbs, made if it is not there [default: lignum(1) alone, to
    /// standard output]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints lignum(1), or writes all pages into the directory.
pub fn run(args: &Args, command: clap::Command) -> Result<(), Failure> {
    match &args.directory {
        None => {
            let mut page = Vec::new();
            Man::new(command.disable_help_subcommand(true)).render(&mut page)?;
            Ok(io::stdout().write_all(&page)?)
        }
        Some(directory) => write(command, directory).map_err(|error| {
            let place = directory.display();
            Failure::new(
                Exit::Other,
                format!("cannot write pages into {place}: {error}"),
            )
        }),
    }
}

fn write(command: clap::Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
