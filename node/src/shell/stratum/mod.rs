//! Work for miners outside this process: the Stratum port, and `getblocktemplate` for the API.
//!
//! `foreman` makes jobs from block templates, a beneficiary at a time, and takes in what miners
//! find; `server` and `connection` are the sockets around `miner::stratum`; `questions` answers the
//! API. A block that a miner found goes the way of our own: checked, then to the core from nobody.

mod connection;
mod doors;
mod foreman;
mod lines;
mod metrics;
mod questions;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::mining::{QUESTIONS_MAX, Question};
use chain::Address;
use foreman::Foreman;
use server::Server;
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

use super::{mining::Site, running::Tasks};
use crate::{failure::Failure, random};

/// What work for others is made of.
pub struct Workshop {
    /// Where blocks are made. Its beneficiary is replaced by each miner's own.
    pub site: Site,
    /// Whether well-known keys may be paid.
    pub dev: bool,
    /// Whom a miner works for that names nobody; over HTTP alone.
    pub payee: Option<Address>,
}

/// What the API is given of it.
pub struct Outside {
    /// Who makes the jobs, with the counters.
    pub foreman: Arc<Foreman>,
    /// Where miners' questions go.
    pub questions: mpsc::Sender<Question>,
    /// Whether miners have a port to connect to.
    pub has_port: bool,
}

/// Starts the making of jobs, the answers to the API, and the server where there is a port for it.
pub fn start(
    runtime: &Runtime,
    listener: Option<TcpListener>,
    workshop: Workshop,
    tasks: &mut Tasks,
) -> Result<Outside, Failure> {
    let Workshop { site, dev, payee } = workshop;
    let foreman = Foreman::new(site, dev, random::bytes()?);
    let (questions, waiting) = mpsc::channel(QUESTIONS_MAX);
    let answers = questions::answer(waiting, Arc::clone(&foreman), payee);
    tasks.push(("answers to miners", runtime.spawn(answers)));
    let making = Arc::clone(&foreman).run();
    tasks.push(("maker of jobs", runtime.spawn(making)));
    let has_port = listener.is_some();
    if let Some(listener) = listener {
        let foreman = Arc::clone(&foreman);
        let server = Server { listener, foreman };
        tasks.push(("Stratum server", runtime.spawn(server.run())));
    }
    Ok(Outside {
        foreman,
        questions,
        has_port,
    })
}
