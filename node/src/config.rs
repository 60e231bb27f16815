//! A node's settings: flags win, then the environment, then the file.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use chain::U256;
use miner::kernel::Kernel;
use serde::Deserialize;

use crate::{
    budget::{self, Budget},
    failure::{Exit, Failure},
    store::{Kind, Reach},
    verbs::node::Args,
};

/// Peer-to-peer port unless told otherwise.
pub const PORT: u16 = 30777;
/// HTTP port unless told otherwise.
pub const HTTP_PORT: u16 = 8545;

/// The keys of the configuration file, those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileConfig {
    datadir: Option<PathBuf>,
    network: Option<String>,
    port: Option<u16>,
    bootnodes: Option<Vec<String>>,
    lan: Option<bool>,
    archive: Option<bool>,
    state_budget: Option<u64>,
    store: Option<String>,
    min_chain_work: Option<String>,
    mine: Option<bool>,
    threads: Option<usize>,
    throttle: Option<u8>,
    stratum: Option<SocketAddr>,
    kernel: Option<String>,
    beneficiary: Option<String>,
    tag: Option<String>,
    log_level: Option<String>,
    log_format: Option<LogFormat>,
    #[serde(default)]
    http: HttpConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpConfig {
    addr: Option<IpAddr>,
    port: Option<u16>,
    vhosts: Option<Vec<String>>,
    corsdomain: Option<Vec<String>>,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs, an object a line
    Json,
}

/// What a node runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its data is; the platform's place for the network if absent.
    pub datadir: Option<PathBuf>,
    /// The network's name or spec file, if one was given.
    pub network: Option<String>,
    /// Peer-to-peer port.
    pub port: u16,
    /// Whom to dial.
    pub bootnodes: Vec<String>,
    /// Whether a dev network reaches beyond this machine.
    pub lan: bool,
    /// How far back the state can be asked for; none: as the store was.
    pub reach: Option<Reach>,
    /// Memory that the state may take.
    pub state_budget: Budget,
    /// What keeps the store; none: what does so already.
    pub store: Option<Kind>,
    /// Chain work below which headers of other nodes are not kept.
    pub min_chain_work: U256,
    /// Address the HTTP API binds.
    pub http_addr: IpAddr,
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Host names it answers to, beside this machine's own.
    pub http_vhosts: Vec<String>,
    /// Origins of pages that may read, and hand in transactions.
    pub http_corsdomain: Vec<String>,
    /// Whether it mines.
    pub mine: bool,
    /// Mining threads.
    pub threads: usize,
    /// Share of its time that each mining thread works, in percent.
    pub throttle: u8,
    /// Where miners of other programs connect.
    pub stratum: Option<SocketAddr>,
    /// The loop that mines, if one was named.
    pub kernel: Option<Kernel>,
    /// Who is paid.
    pub beneficiary: Option<String>,
    /// The miner's tag.
    pub tag: String,
    /// Where the run is recorded.
    pub record: Option<PathBuf>,
    /// Filter of log lines.
    pub log_level: String,
    /// What log lines look like.
    pub log_format: LogFormat,
}

impl Settings {
    /// Joins flags and environment (which clap has joined already) with the file.
    pub fn resolve(args: &Args) -> Result<Self, Failure> {
        let file = args
            .config
            .as_deref()
            .map(read)
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            datadir: args.datadir.clone().or(file.datadir),
            network: args.network.clone().or(file.network),
            port: args.port.or(file.port).unwrap_or(PORT),
            bootnodes: list(&args.bootnodes, file.bootnodes),
            lan: args.lan.or(file.lan).unwrap_or(false),
            reach: args.archive.or(file.archive).map(|archive| match archive {
                true => Reach::Archive,
                false => Reach::Window,
            }),
            state_budget: Budget::of_mib(
                args.state_budget
                    .or(file.state_budget)
                    .unwrap_or(budget::DEFAULT_MIB),
            ),
            store: args.store.or(engine(file.store.as_ref())?),
            min_chain_work: chain_work(
                args.min_chain_work
                    .as_ref()
                    .or(file.min_chain_work.as_ref()),
            )?,
            http_addr: args
                .http_addr
                .or(file.http.addr)
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            http_port: args.http_port.or(file.http.port).unwrap_or(HTTP_PORT),
            http_vhosts: list(&args.http_vhosts, file.http.vhosts),
            http_corsdomain: list(&args.http_corsdomain, file.http.corsdomain),
            mine: args.mine.or(file.mine).unwrap_or(false),
            threads: args.threads.or(file.threads).unwrap_or(1),
            throttle: args.throttle.or(file.throttle).unwrap_or(100),
            stratum: args.stratum.or(file.stratum),
            kernel: kernel(args.kernel.as_ref().or(file.kernel.as_ref()))?,
            beneficiary: args.beneficiary.clone().or(file.beneficiary),
            record: args.record.clone(),
            tag: args.tag.clone().or(file.tag).unwrap_or_default(),
            log_level: args
                .log_level
                .clone()
                .or(file.log_level)
                .unwrap_or("info".into()),
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
        })
    }

    /// What it mines with, if it does.
    pub fn miner(&self) -> miner::Config {
        miner::Config {
            threads: self.threads,
            throttle_percent: self.throttle,
            kernel: self.kernel,
        }
    }
}

/// The kernel of this name.
pub fn kernel(name: Option<&String>) -> Result<Option<Kernel>, Failure> {
    name.map(|name| miner::kernel::named(name))
        .transpose()
        .map_err(|error| Failure::new(Exit::Usage, error))
}

/// The engine of this name.
fn engine(name: Option<&String>) -> Result<Option<Kind>, Failure> {
    let named = name.map(|name| name.parse()).transpose();
    named.map_err(|error: String| Failure::new(Exit::Config, format!("store: {error}")))
}

/// Chain work from its hex digits; none is zero.
fn chain_work(text: Option<&String>) -> Result<U256, Failure> {
    let Some(text) = text else {
        return Ok(U256::ZERO);
    };
    let digits = text.strip_prefix("0x").unwrap_or(text);
    U256::from_str_radix(digits, 16).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("min-chain-work: wanted up to 64 hex digits, got {text:?}"),
        )
    })
}

/// A list from the flag or environment, else from the file. An empty variable is an empty list.
fn list(given: &Option<Vec<String>>, file: Option<Vec<String>>) -> Vec<String> {
    let mut items = given.clone().or(file).unwrap_or_default();
    items.retain(|item| !item.is_empty());
    items
}

fn read(path: &Path) -> Result<FileConfig, Failure> {
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Config,
            format!("configuration {}: {error}", path.display()),
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| failure(&error))?;
    toml::from_str(&text).map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_flags_keys_and_no_others() {
        let file: FileConfig =
            toml::from_str("port = 1\nlog-level = \"debug\"\n[http]\nport = 2\n").unwrap();
        assert_eq!((file.port, file.http.port), (Some(1), Some(2)));
        let error = toml::from_str::<FileConfig>("prot = 1")
            .unwrap_err()
            .to_string();
        assert!(error.contains("prot"), "{error}");
    }

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        args: Args,
    }

    fn settings(flags: &[&str]) -> String {
        let flags = ["lignum"].iter().chain(flags);
        let flags = <Flags as clap::Parser>::try_parse_from(flags).unwrap();
        format!("{:?}", Settings::resolve(&flags.args).unwrap())
    }

    #[test]
    fn the_example_as_it_is_changes_nothing() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/lignum.toml");
        let with = settings(&["--config", path.to_str().unwrap()]);
        assert_eq!(with, settings(&[]));
    }

    #[test]
    fn the_example_has_every_key() {
        let whole = crate::cli::tests::whole_example();
        let file: FileConfig = toml::from_str(&whole).unwrap();
        let text = format!("{file:?}");
        assert!(!text.contains("None"), "a key is missing: {text}");
    }
}
