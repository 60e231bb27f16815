//! The verbs, each a file of its own.

pub mod devnet;
pub mod init;
mod join;
pub mod node;
pub mod status;
pub mod wallet;

use std::path::{Path, PathBuf};

use crate::{
    devnet::endpoints::Endpoints,
    failure::{Exit, Failure},
};

/// Where a verb finds its node.
#[derive(clap::Args, Clone, Debug)]
pub struct NodeUrl {
    /// Node to talk to [default: the running devnet, else http://127.0.0.1:8545]
    #[arg(long, global = true, env = "LIGNUM_NODE", value_name = "URL")]
    pub node: Option<String>,
}

impl NodeUrl {
    /// The URL given, that of a running devnet, or the default port on this machine.
    pub fn resolve(&self) -> String {
        if let Some(url) = &self.node {
            return url.trim_end_matches('/').to_owned();
        }
        let first = default_root().map(|root| root.join("devnet").join("node-1"));
        let endpoints = first.ok().and_then(|directory| Endpoints::read(&directory));
        endpoints.map_or_else(
            || "http://127.0.0.1:8545".to_owned(),
            |endpoints| endpoints.http,
        )
    }
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
