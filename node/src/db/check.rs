//! `lignum db check`: everything that a store holds, held against everything else it holds.
//!
//! Every header and body of every branch is read and checked as a stranger's would be, and the
//! parties in the log are those of its transactions; the best chain is executed again from the
//! genesis block, and what that gives is compared with the change sets, receipts, indexes and the
//! state at the checkpoint. The first fault ends it.

use std::{collections::BTreeSet, fmt::Display, sync::Arc};

use chain::{
    BlockHash, BlockId, ChainSpec, CheckedBlock, Execution, Header, Past, Reader, Stage,
    history::parties, params::BLOCKHASH_WINDOW, store::TransactionPlace, template,
};
use state::{Evm, State};

use super::{import::damaged, progress::Progress};
use crate::{
    failure::{Exit, Failure},
    shell::check,
    store::{Reach, RedbSnapshot, Sums},
};

/// What was checked.
#[derive(Debug, Default)]
pub struct Checked {
    /// Headers of all branches.
    pub headers: u64,
    /// Bodies of all branches.
    pub bodies: u64,
    /// Blocks executed again.
    pub executed: u64,
    /// Their transactions.
    pub transactions: u64,
}

/// A store under examination.
pub struct Check<'a> {
    /// What it holds.
    pub reader: &'a RedbSnapshot,
    /// Its network's parameters.
    pub spec: &'a ChainSpec,
    /// The checkpoint's block and the state that is stored for it.
    pub checkpoint: (BlockId, State),
}

/// A fault in the store, with the remedy.
fn fault(what: impl Display) -> Failure {
    let remedy = "rebuild the store with lignum node --reindex, or restore it from a copy";
    Failure::new(
        Exit::Damaged,
        format!("the store is damaged: {what}: {remedy}"),
    )
}

fn expect<V: PartialEq>(got: &V, want: &V, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if got == want {
        Ok(())
    } else {
        Err(fault(what()))
    }
}

impl Check<'_> {
    /// Checks all of it.
    pub fn run(&self) -> Result<Checked, Failure> {
        let mut checked = Checked::default();
        self.blocks(&mut checked)?;
        self.replay(&mut checked)?;
        Ok(checked)
    }

    /// Every header has its parent; every body is its header's and has valid signatures.
    fn blocks(&self, checked: &mut Checked) -> Result<(), Failure> {
        let (mut known, mut bodies) = (BTreeSet::from([BlockHash::default()]), Vec::new());
        let mut orphan = None;
        let mut visit = |header: Arc<Header>, stage| {
            if !known.contains(&header.pow.parent) {
                orphan.get_or_insert(header.hash());
            }
            known.insert(header.hash());
            if matches!(stage, Stage::Body | Stage::Executed) && header.extension.height > 0 {
                bodies.push((header.hash(), stage));
            }
        };
        self.reader.for_each_header(&mut visit).map_err(damaged)?;
        if let Some(hash) = orphan {
            return Err(fault(format!("block {hash} has no parent")));
        }
        checked.headers = as_u64(known.len()) - 1;
        let mut progress = Progress::new("bodies", as_u64(bodies.len()));
        for (hash, stage) in bodies {
            let block = check::stored(&hash, self.spec, self.reader).map_err(damaged)?;
            let block = block.ok_or_else(|| fault(format!("block {hash} has no body")))?;
            if stage == Stage::Executed {
                self.outcome(&block)?;
            }
            checked.bodies += 1;
            progress.at(checked.bodies);
        }
        progress.end();
        Ok(())
    }

    /// What the log has of a block's execution, which a reorg of any depth may need: it can be
    /// read, and names the parties that the body has.
    fn outcome(&self, block: &CheckedBlock) -> Result<(), Failure> {
        let hash = block.id().hash;
        self.reader.changes(&hash).map_err(damaged)?;
        self.reader.receipts(&hash).map_err(damaged)?;
        let found = self.reader.parties(&hash).map_err(damaged)?;
        expect(&found, &Some(parties(block.transactions())), || {
            format!("the log names other parties than the transactions of block {hash}")
        })
    }

    /// The best chain from the genesis block, executed again.
    fn replay(&self, checked: &mut Checked) -> Result<(), Failure> {
        let evm = Evm::new();
        let head = self.reader.head().map_err(damaged)?;
        let head = head.ok_or_else(|| fault("it has no head"))?;
        let mut state = evm.genesis(self.spec);
        let mut progress = Progress::new("replay", head.height);
        let mut sums = Sums::default();
        let mut parent = self.canonical(0)?;
        for height in 1..=head.height {
            let hash = self.canonical(height)?;
            let block = check::stored(&hash, self.spec, self.reader).map_err(damaged)?;
            let block = block.ok_or_else(|| fault(format!("block {hash} has no body")))?;
            expect(&block.header().header().pow.parent, &parent, || {
                format!("block {hash} at height {height} is no child of the one below")
            })?;
            state = self.execute(&evm, &state, &block)?;
            self.index(&block, &mut sums)?;
            parent = hash;
            checked.executed += 1;
            checked.transactions += as_u64(block.transactions().len());
            progress.at(height);
        }
        progress.end();
        expect(&parent, &head.hash, || {
            format!("the best chain ends in {parent}, not the head")
        })?;
        expect(
            &self.reader.canonical(head.height + 1).map_err(damaged)?,
            &None,
            || "the best chain goes on above the head".to_owned(),
        )?;
        self.flat(&sums)
    }

    fn canonical(&self, height: u64) -> Result<BlockHash, Failure> {
        let hash = self.reader.canonical(height).map_err(damaged)?;
        hash.ok_or_else(|| fault(format!("the best chain has no block at height {height}")))
    }

    /// Rule S1 again, and what was stored of it.
    fn execute(&self, evm: &Evm, parent: &State, block: &CheckedBlock) -> Result<State, Failure> {
        let (id, header) = (block.id(), block.header().header());
        let block_hash = |wanted: u64| {
            let is_near =
                wanted < id.height && wanted.saturating_add(BLOCKHASH_WINDOW) >= id.height;
            is_near.then(|| self.reader.canonical(wanted).ok().flatten())?
        };
        let env = template::env(self.spec, header, &block_hash);
        let name = |what: &str| format!("block {} {}: {what}", id.height, id.hash);
        let executed = evm.execute(parent, &env, block.transactions());
        let executed = executed.map_err(|error| fault(name(&error.to_string())))?;
        expect(&executed.state_root, &header.extension.state_root, || {
            name("another state root")
        })?;
        let changes = self.reader.changes(&id.hash).map_err(damaged)?;
        expect(&changes.as_deref(), &Some(&executed.changes), || {
            name("its change set is not what its execution changes")
        })?;
        let receipts = self.reader.receipts(&id.hash).map_err(damaged)?;
        expect(&receipts.as_deref(), &Some(&executed.receipts), || {
            name("its receipts are not those of its execution")
        })?;
        Ok(executed.state)
    }

    /// Every entry that the indexes must have for a block.
    fn index(&self, block: &CheckedBlock, sums: &mut Sums) -> Result<(), Failure> {
        let id = block.id();
        for (index, transaction) in (0..).zip(block.transactions()) {
            let hash = transaction.hash();
            let place = TransactionPlace { block: id, index };
            let is_indexed = self.reader.is_indexed(&hash, &place).map_err(damaged)?;
            expect(&is_indexed, &true, || {
                format!("the index has no transaction {hash} of block {}", id.height)
            })?;
        }
        let parties = parties(block.transactions());
        let next = BlockId {
            height: id.height + 1,
            hash: BlockHash::default(),
        };
        for (address, indices) in &parties {
            // One a block: the account's last one up to here is this block's.
            let rows = self.reader.rows(address, Some(next), 1).map_err(damaged)?;
            let row = rows.into_iter().find(|row| row.0 == id);
            expect(&row.as_ref().map(|row| &row.1), &Some(indices), || {
                format!("the history of {address} lacks block {}", id.height)
            })?;
        }
        let changes = self
            .reader
            .changes(&id.hash)
            .map_err(damaged)?
            .unwrap_or_default();
        self.past(id.height, &changes)?;
        let parties = (block.transactions().len(), &parties);
        sums.add(self.reader, id.height, parties, &changes);
        Ok(())
    }

    /// With an archive: what was before each change of a block.
    fn past(&self, height: u64, changes: &chain::ChangeSet) -> Result<(), Failure> {
        if self.reader.reach() == Reach::Window {
            return Ok(());
        }
        for change in &changes.accounts {
            let past = self.reader.past_account(&change.address.into(), height - 1);
            expect(
                &past.map_err(damaged)?,
                &Past::Was(change.old.clone()),
                || format!("the archive of an account is wrong at height {height}"),
            )?;
        }
        for change in &changes.slots {
            let address = change.address.into();
            let past = self.reader.past_slot(&address, &change.slot, height - 1);
            expect(
                &past.map_err(damaged)?,
                &Past::Was(Some(change.old)),
                || format!("the archive of a slot is wrong at height {height}"),
            )?;
        }
        Ok(())
    }

    /// The state at the checkpoint is its block's, and the tables have nothing beside what the
    /// best chain put there.
    fn flat(&self, sums: &Sums) -> Result<(), Failure> {
        let (id, state) = &self.checkpoint;
        let header = self.reader.header(&id.hash).map_err(damaged)?;
        let want = header.map(|header| header.extension.state_root);
        expect(&Some(state.root()), &want, || {
            format!(
                "the state at the checkpoint, block {}, has another root",
                id.height
            )
        })?;
        let found = self.reader.sums().map_err(damaged)?;
        expect(&found, sums, || {
            format!("the indexes have {found:?}, the best chain gives {sums:?}")
        })
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
