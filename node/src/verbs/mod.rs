//! The verbs, each a file of its own.

pub mod bench;
pub mod completions;
pub mod db;
pub mod dev;
pub mod devnet;
pub mod forks;
pub mod init;
mod join;
pub mod man;
pub mod mine;
pub mod node;
pub mod peers;
pub mod replay;
pub mod status;
mod table;
pub mod wallet;

use std::path::{Path, PathBuf};

use crate::{
    devnet::place::{self, Member},
    failure::{Exit, Failure},
};

/// Where a node listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8545";

/// Where a verb finds its node.
#[derive(clap::Args, Clone, Debug)]
pub struct NodeUrl {
    /// Node to talk to, or its number in the devnet [default: node 1 of the running devnet, else
    /// http://127.0.0.1:8545]
    #[arg(long, global = true, env = "LIGNUM_NODE", value_name = "URL")]
    pub node: Option<String>,
    /// Name of the devnet
    #[arg(id = "devnet", long = "name", global = true, value_name = "NAME")]
    pub name: Option<String>,
}

impl NodeUrl {
    /// The URL given, that of a node of a running devnet, or the default port on this machine.
    pub fn resolve(&self) -> Result<String, Failure> {
        let number = match self.node.as_deref().map(|node| (node, node.parse::<u32>())) {
            Some((url, Err(_))) => return Ok(url.trim_end_matches('/').to_owned()),
            Some((_, Ok(number))) => Some(number),
            None => None,
        };
        let devnet = devnet_directory(None, self.name.as_deref());
        let is_told = number.is_some() || self.name.is_some();
        let devnet = match devnet {
            Ok(devnet) => devnet,
            Err(failure) if is_told => return Err(failure),
            Err(_) => return Ok(DEFAULT_URL.to_owned()),
        };
        let number = number.unwrap_or(1);
        match Member::read(number, place::node_directory(&devnet, number)) {
            Some(member) => Ok(member.endpoints.http),
            // Says that no devnet runs, or that this node of it does not.
            None if is_told => Err(missing(number, place::members(&devnet)?.len())),
            None => Ok(DEFAULT_URL.to_owned()),
        }
    }
}

/// A number that no node has.
fn missing(number: u32, count: usize) -> Failure {
    let what = format!("no node {number} runs: the devnet has {count} nodes, from 1");
    Failure::new(Exit::Usage, what)
}

/// A devnet's directory: the one given, or the place of its name below the default one.
pub fn devnet_directory(given: Option<&Path>, name: Option<&str>) -> Result<PathBuf, Failure> {
    data_directory(given, &place::directory_name(name)?)
}

/// The platform's directory for Lignum's data.
pub fn default_root() -> Result<PathBuf, Failure> {
    if let Some(root) = std::env::var_os("LIGNUM_DATADIR").filter(|root| !root.is_empty()) {
        return Ok(PathBuf::from(root));
    }
    directories::ProjectDirs::from("", "", "lignum")
        .map(|dirs| dirs.data_dir().to_owned())
        .ok_or_else(|| {
            Failure::new(
                Exit::Config,
                "no home directory is known: give a data directory with --datadir",
            )
        })
}

/// The data directory given, or a network's place below the default one.
pub fn data_directory(given: Option<&Path>, network: &str) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => Ok(path.to_owned()),
        None => Ok(default_root()?.join(network)),
    }
}
