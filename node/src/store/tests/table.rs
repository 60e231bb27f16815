//! A table in memory, for tests of what is put into tables.

use std::collections::BTreeMap;

use super::super::{
    kv::{Get, Order, Put, Range, Scan, Visit},
    named::Named,
    trouble::Trouble,
};

/// Keys and values.
#[derive(Default)]
pub struct Table(BTreeMap<Vec<u8>, Vec<u8>>);

/// An empty one of a name.
pub fn table(name: &'static str) -> Named<Table> {
    Named::open(name, |_| Ok(Table::default())).unwrap()
}

impl Get for Table {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(self.0.get(key).cloned())
    }
}

impl Scan for Table {
    fn scan(&self, range: Range<'_>, order: Order, visit: Visit<'_>) -> Result<(), Trouble> {
        let mut within: Vec<_> = self.0.range::<[u8], _>(range).collect();
        if order == Order::Falling {
            within.reverse();
        }
        for (key, value) in within {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn count(&self) -> Result<u64, Trouble> {
        Ok(u64::try_from(self.0.len()).unwrap())
    }
}

impl Put for Table {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        self.0.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        self.0.remove(key);
        Ok(())
    }
}
