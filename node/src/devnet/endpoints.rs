//! Where a running node listens, written into its data directory for whoever started it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The addresses of a running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Base URL of the HTTP API.
    pub http: String,
    /// Addresses of the peer-to-peer port, as multiaddresses with the peer's id.
    pub p2p: Vec<String>,
    /// Where miners connect, if they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<SocketAddr>,
    /// The process.
    pub pid: u32,
}

fn path(directory: &Path) -> PathBuf {
    directory.join("endpoints.json")
}

impl Endpoints {
    /// The node's peer id.
    pub fn peer_id(&self) -> Option<&str> {
        self.p2p.first()?.rsplit_once("/p2p/").map(|(_, id)| id)
    }

    /// Reads a node's endpoints; `None` if it has none or they are not readable.
    pub fn read(directory: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path(directory)).ok()?).ok()
    }

    /// Writes them so that no reader sees half of them.
    pub fn write(&self, directory: &Path) -> std::io::Result<()> {
        let temporary = directory.join("endpoints.json.new");
        fs::write(&temporary, serde_json::to_string_pretty(self)?)?;
        fs::rename(temporary, path(directory))
    }

    /// Removes them; it does not matter if there are none.
    pub fn remove(directory: &Path) {
        let _ = fs::remove_file(path(directory));
    }
}
