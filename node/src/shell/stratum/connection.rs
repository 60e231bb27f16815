//! One miner's connection: its socket, its session, and the jobs of the address it pays.
//!
//! Nothing here waits for ever: lines are read as fast as the session allows, writes have a
//! time-out, and of jobs that come while a write is under way only the last is sent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chain::Address;
use miner::{
    limits::WRITE_TIME_OUT,
    stratum::{Closing, Deed, Session},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task,
    time::{Instant, interval, sleep_until, timeout},
};
use tracing::{debug, info};

use super::{
    foreman::{Foreman, Work},
    lines::Lines,
};

/// How often a session looks at the time.
const TICK: Duration = Duration::from_secs(5);

/// A connected miner.
pub struct Connection {
    foreman: Arc<Foreman>,
    session: Session,
    peer: SocketAddr,
    /// Whom it pays, and the jobs for that.
    post: Option<(Address, watch::Receiver<Option<Arc<Work>>>)>,
}

/// Counts a connection as long as it lives.
struct Counted<'a>(&'a Foreman);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics().connections.dec();
    }
}

impl Connection {
    /// A connection that has said nothing yet.
    pub fn new(foreman: Arc<Foreman>, peer: SocketAddr) -> Self {
        let session = Session::new(foreman.extra_nonce(), foreman.payees(), foreman.now().ms);
        Self {
            foreman,
            session,
            peer,
            post: None,
        }
    }

    /// Serves the miner until one side has had enough.
    pub async fn run(mut self, mut stream: TcpStream) {
        let foreman = Arc::clone(&self.foreman);
        foreman.metrics().connections.inc();
        let _counted = Counted(&foreman);
        // Lines are short and wait for nothing; without this they would for 40 ms.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.split();
        let why = self.serve(reader, writer).await;
        let peer = self.peer;
        match why {
            End::Gone => debug!(%peer, "a miner has gone"),
            End::Closed(why) => {
                self.foreman.metrics().closed.inc();
                debug!(%peer, "closed a miner's connection: {why}");
            }
        }
    }

    async fn serve(
        &mut self,
        reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> End {
        let mut lines = Lines::new(reader);
        let mut ticks = interval(TICK);
        let mut resume = Instant::now();
        loop {
            let next = async {
                sleep_until(resume).await;
                lines.next().await
            };
            let deeds = tokio::select! {
                line = next => {
                    let line = match line {
                        Ok(Some(line)) => line,
                        Ok(None) => return End::Gone,
                        Err(error) => return End::of(&error),
                    };
                    let now = self.foreman.now();
                    resume = Instant::now() + Duration::from_millis(self.session.pause_ms(now.ms));
                    match line.trim_ascii() {
                        [] => continue,
                        line => self.session.line(line, &now),
                    }
                }
                work = next_work(&mut self.post) => {
                    // The head may have moved since; then the next job is on its way.
                    if work.job.parent() != self.foreman.now().head {
                        continue;
                    }
                    self.session.job(Arc::clone(&work.job))
                }
                _ = ticks.tick() => self.session.tick(self.foreman.now().ms),
            };
            if let Err(end) = self.carry_out(deeds, &mut writer).await {
                return end;
            }
        }
    }

    /// Does what the session wants done. What is found is handed in before anything is said.
    async fn carry_out(
        &mut self,
        deeds: Vec<Deed>,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), End> {
        let (mut text, mut closing) = (String::new(), None);
        for deed in deeds {
            match deed {
                Deed::Send(line) => text.push_str(&line),
                Deed::Work(address) => {
                    debug!(peer = %self.peer, %address, "a miner works for this address");
                    self.post = Some((address, self.foreman.join(address)));
                }
                Deed::Accepted(hashes) => {
                    let now_ms = self.foreman.now().ms;
                    self.foreman.metrics().accepted(hashes, now_ms);
                }
                Deed::Refused(refusal) => {
                    debug!(peer = %self.peer, "refused a share: {}", refusal.text());
                    self.foreman.metrics().refused(&refusal);
                }
                Deed::Block(found) => {
                    info!(peer = %self.peer, worker = found.name, "a miner has found a block");
                    let foreman = Arc::clone(&self.foreman);
                    let handed_in =
                        task::spawn_blocking(move || foreman.hand_in_job(&found.job, found.header));
                    // What was wrong with it is in the log; the share counts all the same.
                    let _ = handed_in.await;
                }
                Deed::Renew => {
                    if let Some((address, _)) = &self.post {
                        self.foreman.renew(*address);
                    }
                }
                Deed::Close(why) => closing = Some(why),
            }
        }
        let written = timeout(WRITE_TIME_OUT, writer.write_all(text.as_bytes())).await;
        match (written, closing) {
            (Err(_), _) => Err(End::Closed("it takes no lines".into())),
            (Ok(Err(_)), _) => Err(End::Gone),
            (Ok(Ok(())), Some(closing)) => Err(End::from(closing)),
            (Ok(Ok(())), None) => Ok(()),
        }
    }
}

/// The next job of a post; waits for ever where there is none.
async fn next_work(post: &mut Option<(Address, watch::Receiver<Option<Arc<Work>>>)>) -> Arc<Work> {
    if let Some((_, jobs)) = post {
        // Its sender lives as long as somebody listens.
        while jobs.changed().await.is_ok() {
            if let Some(work) = jobs.borrow_and_update().clone() {
                return work;
            }
        }
    }
    std::future::pending().await
}

/// How a connection ended.
enum End {
    /// By the other side.
    Gone,
    /// By us, for this reason.
    Closed(String),
}

impl End {
    fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidData => Self::Closed(error.to_string()),
            _ => Self::Gone,
        }
    }
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        Self::Closed(closing.to_string())
    }
}
