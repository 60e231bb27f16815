//! `lignum node --reindex`: the store made anew from the bodies that it has.
//!
//! The log is set aside under another name, and its blocks are taken like those of a stranger:
//! checked, executed, indexed. It is removed when all of them are in the new one; until then a rebuild
//! that was cut off goes on where it was. Where anything could not be read or used it is kept, since
//! peers may not have what is missing.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chain::{Block, BlockHash, CheckedTransaction, Node, params::STATE_WINDOW};
use state::Evm;
use tracing::{info, warn};

use super::{
    import::{Importer, Pace, Refused, Source, Taken},
    progress::Progress,
};
use crate::{
    budget::Budget,
    failure::{Exit, Failure},
    store::{
        Part, RedbStore, Trouble,
        directory::{chain_file, kept_chain_file, old_chain_file, state_file, sync_parent},
        salvage::{Salvage, is_usable},
    },
};

/// Headers of the old log that are looked at together: as many bodies may be in memory.
const BLOCKS_PER_PAGE: usize = 16;

/// Logs that may be kept: whoever rebuilds more often than that should look at them.
const KEPT_MAX: u32 = 99;

/// Sets the log aside, unless a rebuild that was cut off has done so: that one is gone on with, but
/// for files that this program cannot. The log's network must be this.
pub fn set_aside(directory: &Path, genesis: BlockHash) -> Result<(), Failure> {
    let (log, old) = (chain_file(directory), old_chain_file(directory));
    if old.exists() {
        check_network(&old, genesis)?;
        return put_away_unusable(directory);
    }
    if !log.exists() {
        return Ok(());
    }
    check_network(&log, genesis)?;
    let state = state_file(directory);
    if state.exists() {
        fs::remove_file(state)?;
    }
    fs::rename(&log, &old)?;
    sync_parent(&old)?;
    Ok(())
}

/// An error unless a log can be read and is this network's, as far as it says.
fn check_network(log: &Path, genesis: BlockHash) -> Result<(), Failure> {
    let salvage = Salvage::open(log).map_err(|trouble| unreadable(log, &trouble))?;
    match salvage.genesis() {
        Some(found) if found != genesis => {
            let what = format!(
                "{} holds the network of genesis {found}, wanted {genesis}: leave --network out",
                log.display()
            );
            Err(Failure::new(Exit::WrongNetwork, what))
        }
        _ => Ok(()),
    }
}

/// Puts away what was begun of a new store, if this program cannot go on with it.
fn put_away_unusable(directory: &Path) -> Result<(), Failure> {
    let (log, state) = (chain_file(directory), state_file(directory));
    let failed = |trouble: Trouble| unreadable(&log, &trouble);
    if log.exists() && !is_usable(&log, Part::Log).map_err(failed)? {
        let kept = keep(directory, &log)?;
        warn!(
            "a rebuild cannot go on with chain.redb: it is now {}",
            kept.display()
        );
    }
    // It follows from the log.
    if state.exists() && !matches!(is_usable(&log, Part::Flat), Ok(true)) {
        fs::remove_file(state)?;
    }
    Ok(())
}

/// Renames a log that may be all there is of its blocks; gives its new name.
fn keep(directory: &Path, log: &Path) -> Result<PathBuf, Failure> {
    let mut names = (1..=KEPT_MAX).map(|number| kept_chain_file(directory, number));
    let Some(kept) = names.find(|name| !name.exists()) else {
        let what = format!(
            "{} has {KEPT_MAX} files chain.kept-N.redb of earlier rebuilds: remove what you do not need",
            directory.display()
        );
        return Err(Failure::new(Exit::Other, what));
    };
    fs::rename(log, &kept)?;
    sync_parent(&kept)?;
    Ok(kept)
}

/// The name that the network had in the log that was set aside: its spec does not tell.
pub fn network_name(directory: &Path) -> Option<String> {
    Salvage::open(&old_chain_file(directory)).ok()?.network()
}

/// Fills a new store with the blocks of the one that was set aside.
pub fn fill(
    node: Node<Evm>,
    store: RedbStore,
    directory: &Path,
    budget: Budget,
) -> Result<RedbStore, Failure> {
    let old = old_chain_file(directory);
    if !old.exists() {
        return Ok(store);
    }
    // Branches come in turns, height by height.
    let pace = Pace {
        window: STATE_WINDOW,
        ..Pace::default()
    };
    let mut importer = Importer::new(node, store, budget, pace)?;
    let lost = read_all(&mut importer, &old)?;
    let head = importer.node().head();
    info!("rebuilt up to block {} {}", head.height, head.hash);
    if lost > 0 {
        let kept = keep(directory, &old)?;
        warn!(
            "{lost} blocks could not be read or used; peers are asked for what is missing. The old log is kept: {}. If this machine's clock was wrong, rename it to chain.old.redb and start with --reindex again, which adds what is missing; else it can be removed once the chain is complete",
            kept.display()
        );
    } else {
        fs::remove_file(&old)?;
        sync_parent(&old)?;
    }
    Ok(importer.into_store())
}

/// Takes all blocks of a log; gives the number of those that were of no use.
fn read_all(importer: &mut Importer, old: &Path) -> Result<u64, Failure> {
    let failed = |trouble: Trouble| unreadable(old, &trouble);
    let salvage = Salvage::open(old).map_err(failed)?;
    let total = salvage.count().map_err(failed)?;
    let mut pages = Pages {
        salvage: &salvage,
        path: old,
        blocks: VecDeque::new(),
        next: Next::Page(None),
        done: 0,
        lost: 0,
        progress: Progress::new("reindex", total),
    };
    let taken = importer.take(&mut pages, Refused::IsPassedOver)?;
    pages.progress.end();
    // A damaged key may hide others.
    let unseen = total.saturating_sub(pages.done);
    let mut lost = pages.lost + unseen + taken.refused + taken.given_up;
    let spec = Arc::clone(importer.node().spec());
    let check = |bytes: Vec<u8>| CheckedTransaction::check(&bytes, spec.chain_id).ok();
    let pooled = match salvage.pooled() {
        Err(Trouble::Damaged(reason)) => {
            warn!("the pool's journal cannot be read: {reason}");
            lost += 1;
            Vec::new()
        }
        pooled => pooled.map_err(failed)?,
    };
    importer.keep(pooled.into_iter().filter_map(check).collect())?;
    Ok(lost)
}

/// The blocks of a log, page by page.
struct Pages<'a> {
    salvage: &'a Salvage,
    path: &'a Path,
    blocks: VecDeque<Block>,
    next: Next,
    done: u64,
    lost: u64,
    progress: Progress,
}

/// What is read next.
enum Next {
    /// The page after a place, or the first one.
    Page(Option<Vec<u8>>),
    /// Nothing: all was read.
    Nothing,
}

impl Source for Pages<'_> {
    fn next(&mut self) -> Result<Option<Block>, Failure> {
        while self.blocks.is_empty() {
            let Next::Page(after) = &self.next else {
                return Ok(None);
            };
            let page = match self.salvage.page(after.as_deref(), BLOCKS_PER_PAGE) {
                Err(Trouble::Damaged(reason)) => {
                    warn!(
                        "what comes after {} blocks cannot be read: {reason}",
                        self.done
                    );
                    self.lost += 1;
                    self.next = Next::Nothing;
                    continue;
                }
                page => page.map_err(|trouble| unreadable(self.path, &trouble))?,
            };
            // Keys rise, unless one is damaged: then the same pages would come for ever.
            if page.last.is_some() && page.last <= *after {
                self.lost += 1;
                self.next = Next::Nothing;
                continue;
            }
            self.lost += page.lost;
            self.done += page.seen;
            self.blocks.extend(page.blocks);
            self.next = page
                .last
                .map_or(Next::Nothing, |last| Next::Page(Some(last)));
        }
        Ok(self.blocks.pop_front())
    }

    fn taken(&mut self, _taken: &Taken) {
        self.progress.at(self.done);
    }
}

fn unreadable(file: &Path, trouble: &Trouble) -> Failure {
    let what = match trouble {
        Trouble::Damaged(reason) => format!(
            "{} cannot be read at all: {reason}. Restore it from a copy, or remove it to sync again",
            file.display()
        ),
        other => other.at(file).to_string(),
    };
    Failure::new(Exit::Damaged, what)
}

#[cfg(test)]
mod tests {
    use crate::{
        network::{DevnetMiners, Network},
        store::opened::{How, Opened, Treatment},
    };

    #[test]
    fn a_rebuilt_store_keeps_the_name_of_its_network() {
        let directory = tempfile::tempdir().unwrap();
        let each = miner::Config {
            threads: 1,
            throttle_percent: 100,
            kernel: None,
        };
        let network = Network::open("regtest", DevnetMiners { nodes: 1, each }).unwrap();
        drop(Opened::open(directory.path(), Some(network), How::default()).unwrap());
        let rebuild = How {
            store: Treatment::Rebuild,
            ..How::default()
        };
        let rebuilt = Opened::open(directory.path(), None, rebuild).unwrap();
        assert_eq!(rebuilt.network.name, "regtest");
    }
}
