//! The supervisor: starts the nodes of a devnet, restarts one that dies, ends all of them.
//!
//! Each child holds the other end of a pipe and stops when it closes, so children end with
//! their supervisor however it ends. Ctrl-C reaches the supervisor alone.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    endpoints::Endpoints,
    place::{self, Member},
};
use crate::failure::{Exit, Failure};

/// How long a node may take until it answers.
const START_TIME_OUT: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed.
const STOP_TIME_OUT: Duration = Duration::from_secs(15);
/// A node that dies this often, each time soon after its start, is given up. It rests a second
/// more before each new start.
const DEATHS_MAX: u32 = 5;
/// A node that lives this long has started well.
const GOOD_LIFE: Duration = Duration::from_secs(20);
/// Bytes of a log in which its last line is looked for.
const LOG_END_BYTES: u64 = 8 * 1024;
/// Ports tried above the one asked for.
const PORTS_TRIED: u16 = 200;

/// What all nodes of a devnet have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The devnet's directory.
    pub directory: PathBuf,
    /// The chain spec file.
    pub spec: PathBuf,
    /// What each node mines with.
    pub miner: miner::Config,
    /// Whether they talk to other machines of the local network.
    pub lan: bool,
    /// Whether each records its runs.
    pub record: bool,
    /// Where node 1 takes in miners of other programs.
    pub stratum: Option<SocketAddr>,
}

/// One node process.
pub struct NodeProcess {
    number: u32,
    directory: PathBuf,
    /// All but the bootnodes and the recording.
    arguments: Vec<String>,
    is_recorded: bool,
    child: Child,
    state: State,
    early_deaths: u32,
    /// Where it listens; where it did when it last ran, while it does not.
    pub endpoints: Endpoints,
}

/// How far a node has come, as its supervisor has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Started at this time, and not heard of since.
    Starting(Instant),
    /// Listening; started at this time.
    Up(Instant),
    /// Dead; to be started again at this time.
    Resting(Instant),
}

/// The ports of one node; 0 lets the system choose.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Peer-to-peer, TCP and UDP.
    pub p2p: u16,
    /// HTTP.
    pub http: u16,
}

impl Ports {
    /// The first free ports from these on; 0 stays 0.
    pub fn free_from(wanted: Ports) -> Result<Self, Failure> {
        let p2p = first_free(wanted.p2p, |port| {
            TcpListener::bind(("127.0.0.1", port)).is_ok()
                && UdpSocket::bind(("127.0.0.1", port)).is_ok()
        });
        let http = first_free(wanted.http, |port| {
            TcpListener::bind(("127.0.0.1", port)).is_ok()
        });
        match (p2p, http) {
            (Some(p2p), Some(http)) => Ok(Self { p2p, http }),
            (None, _) => Err(no_port(wanted.p2p, "--port")),
            (_, None) => Err(no_port(wanted.http, "--http.port")),
        }
    }

    /// The ports after these; 0 stays 0.
    pub fn next(self) -> Self {
        let next = |port: u16| if port == 0 { 0 } else { port.saturating_add(1) };
        Self {
            p2p: next(self.p2p),
            http: next(self.http),
        }
    }
}

fn first_free(from: u16, is_free: impl Fn(u16) -> bool) -> Option<u16> {
    if from == 0 {
        return Some(0);
    }
    (from..=from.saturating_add(PORTS_TRIED)).find(|port| is_free(*port))
}

fn no_port(from: u16, flag: &str) -> Failure {
    let last = from.saturating_add(PORTS_TRIED);
    Failure::new(
        Exit::PortInUse,
        format!("ports {from} to {last} are all in use: choose others with {flag}"),
    )
}

impl NodeProcess {
    /// Starts node `number`.
    pub fn start(
        plan: &Plan,
        number: u32,
        ports: Ports,
        bootnodes: &[String],
    ) -> Result<Self, Failure> {
        let directory = place::node_directory(&plan.directory, number);
        fs::create_dir_all(&directory)?;
        let text = |path: &Path| path.display().to_string();
        let mut arguments: Vec<String> =
            vec!["node".into(), "--supervised".into(), "--mine".into()];
        if plan.lan {
            arguments.push("--lan".into());
        }
        let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        flag("--datadir", text(&directory));
        flag("--network", text(&plan.spec));
        flag("--port", ports.p2p.to_string());
        flag("--http.port", ports.http.to_string());
        flag("--threads", plan.miner.threads.to_string());
        flag("--throttle", plan.miner.throttle_percent.to_string());
        if let Some(kernel) = plan.miner.kernel {
            flag("--kernel", kernel.name.to_owned());
        }
        flag("--beneficiary", format!("dev:{}", 9 + number));
        flag("--tag", format!("node {number}"));
        if let Some(address) = plan.stratum.filter(|_| number == 1) {
            flag("--stratum", address.to_string());
        }
        let is_recorded = plan.record;
        let recording = is_recorded.then(|| place::new_recording(&directory));
        let child = spawn(&directory, &arguments, bootnodes, recording)?;
        Ok(Self {
            number,
            directory,
            arguments,
            is_recorded,
            child,
            state: State::Starting(Instant::now()),
            early_deaths: 0,
            endpoints: Endpoints {
                http: String::new(),
                p2p: Vec::new(),
                stratum: None,
                pid: 0,
            },
        })
    }

    /// Waits until the process listens, or `stop` is set.
    pub fn wait_until_up(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        while !self.is_up() && !stop.load(Ordering::Relaxed) {
            if let Some(status) = self.child.try_wait()? {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                let what = format!("node {}: {}", self.number, self.last_log_line());
                return Err(Failure::with_code(code.unwrap_or(1), what));
            }
            if self.is_overdue() {
                let (number, log) = (self.number, self.log());
                let what = format!("node {number} does not answer; see {}", log.display());
                return Err(Failure::new(Exit::Other, what));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Looks whether a process that was started listens by now.
    fn is_up(&mut self) -> bool {
        let State::Starting(start) = self.state else {
            return true;
        };
        let found = Endpoints::read(&self.directory);
        let Some(found) = found.filter(|found| found.pid == self.child.id()) else {
            return false;
        };
        (self.endpoints, self.state) = (found, State::Up(start));
        true
    }

    fn is_overdue(&self) -> bool {
        matches!(self.state, State::Starting(start) if start.elapsed() > START_TIME_OUT)
    }

    /// Looks after the process without waiting: one that has died is started again after a rest,
    /// and dials the `others`, whose ports may have changed. Returns what to print.
    pub fn look_after(&mut self, others: &[String]) -> Result<Option<String>, Failure> {
        let Some(status) = self.child.try_wait()? else {
            let was_up = matches!(self.state, State::Up(_));
            if self.is_overdue() {
                self.child.kill()?;
            }
            let is_news = !was_up && self.is_up();
            let news = || format!("node {} is up again, {}", self.number, self.endpoints.http);
            return Ok(is_news.then(news));
        };
        match self.state {
            State::Resting(until) if until > Instant::now() => Ok(None),
            State::Resting(_) => {
                let recording = self
                    .is_recorded
                    .then(|| place::new_recording(&self.directory));
                self.child = spawn(&self.directory, &self.arguments, others, recording)?;
                self.state = State::Starting(Instant::now());
                Ok(None)
            }
            State::Starting(start) | State::Up(start) => self.died(start, status).map(Some),
        }
    }

    fn died(&mut self, start: Instant, status: ExitStatus) -> Result<String, Failure> {
        let is_early = start.elapsed() < GOOD_LIFE;
        self.early_deaths = if is_early { self.early_deaths + 1 } else { 0 };
        let (number, how) = (self.number, describe(status));
        if self.early_deaths >= DEATHS_MAX {
            let (reason, log) = (self.last_log_line(), self.log().display().to_string());
            return Err(Failure::new(
                Exit::Other,
                format!("node {number} {how} {DEATHS_MAX} times in a row: {reason} (see {log})"),
            ));
        }
        let rest = Duration::from_secs(u64::from(self.early_deaths));
        self.state = State::Resting(Instant::now() + rest);
        Ok(format!("node {number} {how}; starting it again"))
    }

    /// Where it is, while it listens.
    pub fn member(&self) -> Option<Member> {
        let is_up = matches!(self.state, State::Up(_));
        is_up.then(|| Member {
            number: self.number,
            directory: self.directory.clone(),
            endpoints: self.endpoints.clone(),
        })
    }

    /// Asks the process to stop, by closing its pipe.
    pub fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the end of the process, and kills it if that takes too long.
    pub fn wait_for_end(&mut self) {
        let deadline = Instant::now() + STOP_TIME_OUT;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // It ended by itself in the meantime, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> PathBuf {
        self.directory.join("lignum.log")
    }

    fn last_log_line(&self) -> String {
        let end = read_end(&self.log()).unwrap_or_default();
        let last = String::from_utf8_lossy(&end);
        let last = last.trim_end().lines().last().unwrap_or("the log is empty");
        last.strip_prefix("lignum: ").unwrap_or(last).to_owned()
    }
}

/// The last bytes of a file, enough for its last line.
fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut end) = (File::open(path)?, Vec::new());
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END_BYTES)))?;
    file.take(LOG_END_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.ask_to_stop();
        self.wait_for_end();
    }
}

fn spawn(
    directory: &Path,
    arguments: &[String],
    bootnodes: &[String],
    recording: Option<PathBuf>,
) -> Result<Child, Failure> {
    Endpoints::remove(directory);
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("lignum.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    if !bootnodes.is_empty() {
        command.args(["--bootnodes", &bootnodes.join(",")]);
    }
    if let Some(file) = recording {
        command.arg("--record").arg(file);
    }
    // Settings meant for a node of one's own would make these another network's, or fail.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("LIGNUM_") && !name.starts_with("LIGNUM_LOG_") {
            command.env_remove(&*name);
        }
    }
    let child = command
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(child)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Sleeps, but not longer than until `stop` is set.
pub fn sleep_unless(stop: &AtomicBool, duration: Duration) {
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
}
