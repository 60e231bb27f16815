//! A reader that a test stands in front of: it reaches back as far as the test says, and holds reads
//! up at a gate.

use std::sync::{Arc, Condvar, Mutex};

use chain::{
    Account, Address, BlockHash, BlockId, Body, ChangeSet, Header, Reader, Receipt, Stage,
    StoreError, TxHash,
    history::Row,
    store::{Past, TransactionPlace},
};

use crate::View;

/// A gate that is open until a test closes it, and counts who stands before it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<Crowd>, Condvar)>);

#[derive(Default)]
struct Crowd {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    pub fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
    }

    pub fn open(&self) {
        self.0.0.lock().unwrap().is_closed = false;
        self.0.1.notify_all();
    }

    /// Returns once so many stand before it.
    pub fn await_crowd(&self, count: usize) {
        let crowd = self.0.0.lock().unwrap();
        let crowd = self.0.1.wait_while(crowd, |crowd| crowd.waiting < count);
        assert_eq!(crowd.unwrap().waiting, count);
    }

    fn pass(&self) {
        let mut crowd = self.0.0.lock().unwrap();
        if crowd.is_closed {
            crowd.waiting += 1;
            self.0.1.notify_all();
            crowd = self.0.1.wait_while(crowd, |crowd| crowd.is_closed).unwrap();
            crowd.waiting -= 1;
        }
    }
}

/// A version of a store whose reads pass a gate, and whose past begins at a height.
pub struct Guarded {
    pub store: Arc<dyn Reader + Send + Sync>,
    pub gate: Gate,
    pub lowest: u64,
}

impl Guarded {
    /// Puts a gate before a view's store.
    pub fn stand_before(view: &mut View, gate: &Gate, lowest: u64) {
        view.reader = Arc::new(Self {
            store: Arc::clone(&view.reader),
            gate: gate.clone(),
            lowest,
        });
    }

    fn pass(&self) -> &(dyn Reader + Send + Sync) {
        self.gate.pass();
        &*self.store
    }

    fn past<V>(
        &self,
        above: u64,
        found: Result<Past<V>, StoreError>,
    ) -> Result<Past<V>, StoreError> {
        let lowest = self.lowest;
        match above < lowest {
            true => Ok(Past::Unknown { lowest }),
            false => found,
        }
    }
}

impl Reader for Guarded {
    fn head(&self) -> Result<Option<BlockId>, StoreError> {
        self.pass().head()
    }

    fn canonical(&self, height: u64) -> Result<Option<BlockHash>, StoreError> {
        self.pass().canonical(height)
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<Arc<Header>>, StoreError> {
        self.pass().header(hash)
    }

    fn stage(&self, hash: &BlockHash) -> Result<Option<Stage>, StoreError> {
        self.pass().stage(hash)
    }

    fn body(&self, hash: &BlockHash) -> Result<Option<Arc<Body>>, StoreError> {
        self.pass().body(hash)
    }

    fn changes(&self, hash: &BlockHash) -> Result<Option<Arc<ChangeSet>>, StoreError> {
        self.pass().changes(hash)
    }

    fn receipts(&self, hash: &BlockHash) -> Result<Option<Arc<Vec<Receipt>>>, StoreError> {
        self.pass().receipts(hash)
    }

    fn transaction(&self, hash: &TxHash) -> Result<Option<TransactionPlace>, StoreError> {
        self.pass().transaction(hash)
    }

    fn rows(
        &self,
        address: &Address,
        below: Option<BlockId>,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.pass().rows(address, below, count)
    }

    fn past_account(&self, address: &Address, above: u64) -> Result<Past<Account>, StoreError> {
        self.past(above, self.pass().past_account(address, above))
    }

    fn past_slot(
        &self,
        address: &Address,
        slot: &[u8; 32],
        above: u64,
    ) -> Result<Past<[u8; 32]>, StoreError> {
        self.past(above, self.pass().past_slot(address, slot, above))
    }

    fn pooled(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.pass().pooled()
    }

    fn departed(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.pass().departed()
    }

    fn for_each_header(&self, visit: &mut dyn FnMut(Arc<Header>, Stage)) -> Result<(), StoreError> {
        self.pass().for_each_header(visit)
    }
}
