//! Opening a data directory: lock, pinned network, store, node. Each failure has its exit code.

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use chain::{BlockHash, ChainSpec, Node, Store, StoreError};
use state::{Evm, allocation};
use tracing::{Level, enabled, warn};

use super::{
    Reach, RedbStore, Trouble,
    directory::{Lock, chain_file, old_chain_file, sled_file, spec_file, write_whole},
    disk::{Directory, Kind},
    founding::{Founding, Located},
};
use crate::{
    budget::Budget,
    db::reindex,
    failure::{Exit, Failure},
    network::Network,
};

/// A data directory in use: ours until the lock is dropped.
pub struct Opened {
    /// The node as its store left it.
    pub node: Node<Evm>,
    /// Its store.
    pub store: RedbStore,
    /// The number it was given that peers cannot know.
    pub salt: u64,
    /// Its network.
    pub network: Network,
    /// Keeps other processes out until its last holder is done.
    pub lock: Arc<Lock>,
}

/// How a directory is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// How far back the state can be asked for; none: as it was.
    pub reach: Option<Reach>,
    /// Memory that the state may take.
    pub budget: Budget,
    /// What keeps the store; none: what does so already, redb for a new one.
    pub engine: Option<Kind>,
    /// What is done about the store that is there.
    pub store: Treatment,
}

/// What is done about a store that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Treatment {
    /// It is used.
    #[default]
    Use,
    /// It is made anew from its own blocks.
    Rebuild,
}

impl Opened {
    /// Opens `directory`, or makes it for `wanted`. A directory that holds another network than
    /// the one wanted is refused; one that holds the same takes over the wanted text, which may
    /// plan later upgrades.
    pub fn open(directory: &Path, wanted: Option<Network>, how: How) -> Result<Self, Failure> {
        let lock = Arc::new(Lock::take(directory)?);
        let pinned = spec_file(directory);
        let is_asked_for = wanted.is_some();
        let mut network = match wanted {
            Some(network) => network,
            None => Network::read(&pinned)?,
        };
        let pin = |network: &Network| {
            let failed =
                |error| Failure::new(Exit::Other, format!("{}: {error}", pinned.display()));
            write_whole(&pinned, network.text.as_bytes()).map_err(failed)
        };
        let genesis = Node::genesis(&network.spec, &Evm::new()).0.header.hash();
        let (log, kind) = log_of(directory, how.engine)?;
        match how.store {
            Treatment::Rebuild if kind == Kind::Sled => return Err(no_rebuild(directory)),
            Treatment::Rebuild => {
                reindex::set_aside(directory, genesis)?;
                let known = reindex::network_name(directory).filter(|_| !is_asked_for);
                network.name = known.unwrap_or(network.name);
            }
            Treatment::Use if old_chain_file(directory).exists() => {
                return Err(interrupted(directory));
            }
            Treatment::Use => {}
        }
        if !log.exists() {
            // First the spec: a store without it could not be opened again.
            pin(&network)?;
        }
        let store = open_store(&log, &network, how.reach).map_err(|located| {
            if let Trouble::Network { holds } = located.1 {
                return other_network(directory, &network, holds, is_asked_for);
            }
            located.failure(&log)
        })?;
        network.name = store.network().to_owned();
        pin(&network)?;
        let mut node = open_node(&store, &network.spec, &log, how.budget)?;
        let store = match how.store {
            Treatment::Use => store,
            Treatment::Rebuild => {
                let store = reindex::fill(node, store, directory, how.budget)?;
                // One that has not taken a step yet, as after any start.
                node = open_node(&store, &network.spec, &log, how.budget)?;
                store
            }
        };
        // The keys of the standard library's maps are drawn afresh in each process.
        let salt = RandomState::new().hash_one(());
        node.set_salt(salt);
        Ok(Self {
            node,
            store,
            salt,
            network,
            lock,
        })
    }
}

/// The log's name in a directory, and what keeps it: what is there already, else what is wanted.
fn log_of(directory: &Path, wanted: Option<Kind>) -> Result<(PathBuf, Kind), Failure> {
    let found = if sled_file(directory).exists() {
        Some(Kind::Sled)
    } else {
        let redb = chain_file(directory).exists() || old_chain_file(directory).exists();
        redb.then_some(Kind::Redb)
    };
    match (found, wanted) {
        (Some(found), Some(wanted)) if found != wanted => {
            let place = directory.display();
            return Err(Failure::new(
                Exit::Config,
                format!(
                    "{place} has a store of {found}, {wanted} was wanted: leave --store out, or choose another --datadir"
                ),
            ));
        }
        _ => {}
    }
    let kind = found.or(wanted).unwrap_or_default();
    if !kind.is_built_in() {
        let what = format!(
            "this lignum was built without {kind}: use one built with --features lignum-node/{kind}"
        );
        return Err(Failure::new(Exit::Config, what));
    }
    match kind {
        Kind::Redb => Ok((chain_file(directory), kind)),
        Kind::Sled => {
            warn_of_sled();
            Ok((sled_file(directory), kind))
        }
    }
}

/// Said at each start.
fn warn_of_sled() {
    let what = "the store is kept by sled, which may lose blocks that were shown when the power goes: its flush does not sync all that it wrote. Use it for comparison alone";
    if enabled!(Level::ERROR) {
        warn!("{what}");
    } else {
        eprintln!("lignum: {what}");
    }
}

fn no_rebuild(directory: &Path) -> Failure {
    let place = directory.display();
    Failure::new(
        Exit::Usage,
        format!(
            "{place}: a store of sled is not rebuilt in place: use lignum db export, and import into a new directory"
        ),
    )
}

fn interrupted(directory: &Path) -> Failure {
    let place = directory.display();
    Failure::new(
        Exit::Damaged,
        format!(
            "{place}: a rebuild of the store was cut off: go on with lignum node --reindex --datadir {place}"
        ),
    )
}

/// Opens the store of a network, or founds it.
fn open_store(log: &Path, network: &Network, reach: Option<Reach>) -> Result<RedbStore, Located> {
    let (genesis, batch) = Node::genesis(&network.spec, &Evm::new());
    let founding = Founding {
        genesis: genesis.header.hash(),
        network: network.name.clone(),
        batch,
        allocation: allocation(&network.spec),
    };
    let medium = Arc::new(Directory::of(log));
    RedbStore::open(medium, founding, reach)
}

/// The node of an open store, its state verified. A state that cannot fit the budget is not read.
fn open_node(
    store: &RedbStore,
    spec: &ChainSpec,
    log: &Path,
    budget: Budget,
) -> Result<Node<Evm>, Failure> {
    let fail = |error: StoreError| Failure::new(Exit::Damaged, error);
    let snapshot = store.snapshot().map_err(fail)?;
    budget.check_entries(store.entries().map_err(fail)?)?;
    let (checkpoint, state) = store.state().map_err(fail)?;
    let base = Some((checkpoint.hash, state));
    let opened = Node::open_at(Arc::new(spec.clone()), Evm::new(), base, &snapshot);
    let node = opened.map_err(|error| {
        // What the store says of itself names the file and the remedy already.
        let directory = log.parent().unwrap_or(log);
        let is_named = error.0.starts_with(&*directory.to_string_lossy());
        let told = Trouble::Damaged(error.0.clone()).at(log);
        fail(if is_named { error } else { told })
    })?;
    budget.check(&node)?;
    Ok(node)
}

fn other_network(
    directory: &Path,
    network: &Network,
    holds: BlockHash,
    is_asked_for: bool,
) -> Failure {
    let remedy = if is_asked_for {
        "choose another --datadir"
    } else {
        "its genesis.json was changed; put the one back that the store was made with"
    };
    let wanted = Node::genesis(&network.spec, &Evm::new()).0.header.hash();
    let place = directory.display();
    Failure::new(
        Exit::WrongNetwork,
        format!("{place} holds the network of genesis {holds}, wanted {wanted}: {remedy}"),
    )
}
