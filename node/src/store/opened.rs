//! Opening a data directory: lock, pinned network, store, node. Each failure has its exit code.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::Instant,
};

use chain::{Node, Store, StoreError};
use state::Evm;
use tracing::info;

use super::{
    RedbStore, Trouble,
    directory::{Lock, chain_file, spec_file, write_whole},
};
use crate::{
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
    /// Keeps other processes out.
    pub lock: Lock,
}

impl Opened {
    /// Opens `directory`, or makes it for `wanted`. A directory that holds another network than
    /// the one wanted is refused; one that holds the same takes over the wanted text, which may
    /// plan later upgrades.
    pub fn open(directory: &Path, wanted: Option<Network>) -> Result<Self, Failure> {
        let lock = Lock::take(directory)?;
        let pinned = spec_file(directory);
        let is_asked_for = wanted.is_some();
        let mut network = match wanted {
            Some(network) => network,
            None => Network::read(&pinned)?,
        };
        let file = chain_file(directory);
        let fail = |trouble: Trouble| {
            let exit = match trouble {
                Trouble::Damaged(_) | Trouble::Format { .. } => Exit::Damaged,
                Trouble::Environment(_) => Exit::Other,
            };
            Failure::new(exit, trouble.at(&file))
        };
        let mut store = RedbStore::open(&file).map_err(fail)?;
        let (genesis, batch) = Node::genesis(&network.spec, &Evm::new());
        let genesis = genesis.header.hash();
        let pin = |network: &Network| {
            let failed =
                |error| Failure::new(Exit::Other, format!("{}: {error}", pinned.display()));
            write_whole(&pinned, network.text.as_bytes()).map_err(failed)
        };
        match store.label() {
            Some(label) if label.genesis != genesis => {
                let remedy = if is_asked_for {
                    "choose another --datadir"
                } else {
                    "its genesis.json was changed; put the one back that the store was made with"
                };
                let (place, theirs) = (directory.display(), label.genesis);
                return Err(Failure::new(
                    Exit::WrongNetwork,
                    format!(
                        "{place} holds the network of genesis {theirs}, wanted {genesis}: {remedy}"
                    ),
                ));
            }
            Some(label) => {
                network.name = label.network.clone();
                pin(&network)?;
            }
            None => {
                // First the spec: a store without it could not be opened again.
                pin(&network)?;
                store.found(genesis, &network.name, &batch).map_err(fail)?;
            }
        }
        let spec = Arc::new(network.spec.clone());
        let fail = |error: StoreError| Failure::new(Exit::Damaged, error);
        complete_history(&mut store, network.spec.chain_id)
            .map_err(|trouble| fail(trouble.at(&file)))?;
        let snapshot = store.snapshot().map_err(fail)?;
        let unfit = |error| fail(named(error, &file));
        let mut node = Node::open(spec, Evm::new(), &snapshot).map_err(unfit)?;
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

/// Why no node can be made of what a file holds. What the store says of itself names the file and the
/// remedy already.
fn named(error: StoreError, file: &Path) -> StoreError {
    let is_named = error.0.starts_with(&*file.to_string_lossy());
    if is_named {
        error
    } else {
        Trouble::Damaged(error.0).at(file)
    }
}

/// Once for a file of the time before accounts had histories; it may take a while.
fn complete_history(store: &mut RedbStore, chain_id: u64) -> Result<(), Trouble> {
    let start = Instant::now();
    let count = store.complete_history(chain_id, || {
        info!("building the index of accounts' histories from the blocks in the store");
    })?;
    if count > 0 {
        let took = start.elapsed().as_secs_f32();
        info!("the index of accounts' histories is built: {count} blocks in {took:.1} s");
    }
    Ok(())
}
