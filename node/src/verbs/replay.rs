//! `lignum replay`: runs a recording of `lignum node --record` again.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    recording::{
        Standing,
        replay::{Ending, Replayed, replay},
    },
};

/// Steps between two lines about how far a replay is.
const PROGRESS_STEPS: u64 = 50_000;

/// Run a recording of a node again.
#[derive(clap::Args)]
pub struct Args {
    /// File that `lignum node --record` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Stop after so many steps
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Replays the file and prints where the run came to.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut told = 0;
    let progress = |standing: &Standing| {
        if standing.steps / PROGRESS_STEPS > told {
            told = standing.steps / PROGRESS_STEPS;
            eprintln!("step {}   head #{}", standing.steps, standing.height);
        }
    };
    let replayed = replay(&args.file, args.until, progress)?;
    if args.json {
        println!("{:#}", as_json(&replayed));
    } else {
        print!("{}", describe(&replayed));
    }
    Ok(())
}

fn as_json(replayed: &Replayed) -> Value {
    let (preamble, standing) = (&replayed.preamble, &replayed.standing);
    json!({
        "recorded_by": preamble.lignum,
        "network": preamble.network,
        "genesis": preamble.genesis,
        "steps": standing.steps,
        "height": standing.height,
        "head": standing.head,
        "state_root": standing.state_root,
        "trace": standing.trace,
        "ending": match replayed.ending {
            Ending::Whole => "whole",
            Ending::Cut => "cut",
            Ending::Until => "until",
        },
    })
}

fn describe(replayed: &Replayed) -> String {
    let (preamble, standing) = (&replayed.preamble, &replayed.standing);
    let ending = match replayed.ending {
        Ending::Whole => "whole: the recording ends here too, with the same head, state and trace",
        Ending::Cut => {
            "cut off: the node was killed, runs still, or gave up recording; all whole steps agree"
        }
        Ending::Until => "stopped as told; all steps so far agree",
    };
    format!(
        "network     {}   genesis {}   recorded by {}\nsteps       {}\nhead        #{}   {}\n\
         state root  {}\ntrace       {}\nrecording   {ending}\n",
        preamble.network,
        preamble.genesis,
        preamble.lignum,
        standing.steps,
        standing.height,
        standing.head,
        standing.state_root,
        standing.trace,
    )
}
