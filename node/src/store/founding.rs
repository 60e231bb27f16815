//! Opening the two files of a store, or making them where they are missing.
//!
//! A file has its name only once its first transaction is on the disk, so one that is there and
//! empty is damaged and is never founded anew. Called by `durable`.

use std::path::Path;

use chain::{Batch, BlockHash, BlockId, ChangeSet, Stage};
use tracing::info;

use super::{
    apply::apply,
    disk::{Directory, Medium, Part, Presence},
    engine::{Engine, environment},
    flat::{ReadFlat, WriteFlat},
    merge::put_allocation,
    tables::{ReadTables, WriteTables},
    trouble::{Trouble, guard},
};
use crate::failure::{Exit, Failure};

/// What an empty store begins with.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The network.
    pub genesis: BlockHash,
    /// The network's name.
    pub network: String,
    /// What puts the genesis block into the log.
    pub batch: Batch,
    /// The first state.
    pub allocation: ChangeSet,
}

/// A trouble and the file it is in.
#[derive(Debug)]
pub struct Located(pub Part, pub Trouble);

impl Located {
    /// How a verb fails over it, given the log's name.
    pub fn failure(&self, log: &Path) -> Failure {
        let file = Directory::of(log).path(self.0);
        Failure::new(Exit::Damaged, self.1.at(&file))
    }
}

/// Trouble with the log.
pub fn in_log(trouble: Trouble) -> Located {
    Located(Part::Log, trouble)
}

/// The same of the flat file.
pub fn in_flat(trouble: Trouble) -> Located {
    Located(Part::Flat, trouble)
}

/// A version of the log.
pub fn read_log(log: &Engine) -> Result<ReadTables, Trouble> {
    let read = log.read()?;
    guard(|| ReadTables::read(&*read))
}

/// A version of the flat file.
pub fn read_flat(flat: &Engine) -> Result<ReadFlat, Trouble> {
    let read = flat.read()?;
    guard(|| ReadFlat::read(&*read))
}

/// The head, which every store has.
pub fn head_of(tables: &ReadTables) -> Result<BlockId, Trouble> {
    let missing = || Trouble::Damaged("table facts has no head".into());
    tables.head()?.ok_or_else(missing)
}

/// Opens the log, or founds it. An existing one must be of the network that is wanted.
pub fn open_log(medium: &dyn Medium, founding: &mut Founding) -> Result<Engine, Trouble> {
    if medium.presence(Part::Log).map_err(environment)? == Presence::Absent {
        return Engine::make(medium, Part::Log, |transaction| {
            let mut tables = WriteTables::write(transaction)?;
            tables.facts.put(b"genesis", &founding.genesis.0)?;
            tables.facts.put(b"network", founding.network.as_bytes())?;
            apply(&mut tables, &founding.batch)
        });
    }
    let log = Engine::open(medium, Part::Log)?;
    let tables = read_log(&log)?;
    let (genesis, network) = guard(|| {
        let missing = |name| Trouble::Damaged(format!("table facts has no {name}"));
        let genesis = tables.facts.get_array(b"genesis")?;
        let network = tables.facts.get(b"network")?;
        Ok((
            BlockHash(genesis.ok_or_else(|| missing("genesis"))?),
            network.ok_or_else(|| missing("network"))?,
        ))
    })?;
    if genesis != founding.genesis {
        return Err(Trouble::Network { holds: genesis });
    }
    let unreadable =
        |error: std::string::FromUtf8Error| tables.facts.damaged(b"network", &error.to_string());
    founding.network = String::from_utf8(network).map_err(unreadable)?;
    Ok(log)
}

/// Whether the log has what it takes to go from a block's state to the head's. An older log may
/// know the block's header and no more.
fn is_executed(log: &ReadTables, id: &BlockId) -> Result<bool, Trouble> {
    let is_known = log.id(&id.hash)? == Some(*id);
    Ok(is_known && log.record(id)?.1 == Stage::Executed)
}

/// Opens the flat file. One that is missing, or of a block that the log does not have or has not
/// executed, begins anew at the genesis block.
pub fn open_flat(
    medium: &dyn Medium,
    founding: &Founding,
    log: &ReadTables,
) -> Result<Engine, Located> {
    let presence = medium.presence(Part::Flat).map_err(environment);
    if presence.map_err(in_flat)? != Presence::Absent {
        let flat = Engine::open(medium, Part::Flat).map_err(in_flat)?;
        let tables = read_flat(&flat).map_err(in_flat)?;
        let checkpoint = guard(|| tables.checkpoint()).map_err(in_flat)?;
        if guard(|| is_executed(log, &checkpoint)).map_err(in_log)? {
            return Ok(flat);
        }
        info!("the state in the directory is that of another log, or of a later one");
    }
    let first = BlockId {
        height: 0,
        hash: founding.genesis,
    };
    let made = Engine::make(medium, Part::Flat, |transaction| {
        let mut tables = WriteFlat::write(transaction)?;
        put_allocation(&mut tables, &founding.allocation)?;
        tables.set_checkpoint(&first)
    });
    made.map_err(in_flat)
}
