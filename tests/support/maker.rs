//! Makes blocks with the real execution, on any block that it has made before.
//!
//! Included by path where the `state` crate can be used; not part of `mod.rs`, whose users go
//! without.
#![allow(dead_code, reason = "no user needs all of it")]

use std::{collections::BTreeMap, sync::Arc};

use chain::{
    Address, Block, BlockHash, ChainSpec, CheckedTransaction, Execution, Header,
    header::skip_height,
    rules::Parent,
    template::{self, TemplateOptions, TemplateParent},
};
use state::{Evm, State};

/// The maker, and what it has made.
pub struct Maker {
    pub spec: Arc<ChainSpec>,
    pub genesis: BlockHash,
    evm: Evm,
    made: BTreeMap<BlockHash, (Header, State)>,
}

impl Maker {
    pub fn new(spec: Arc<ChainSpec>) -> Self {
        let evm = Evm::new();
        let state = evm.genesis(&spec);
        let header = spec.genesis(evm.root(&state)).header;
        let genesis = header.hash();
        Self {
            spec,
            genesis,
            evm,
            made: BTreeMap::from([(genesis, (header, state))]),
        }
    }

    /// A block on a parent with all of these transactions, a second after it.
    pub fn block(
        &mut self,
        parent: BlockHash,
        transactions: &[CheckedTransaction],
        beneficiary: Address,
    ) -> Block {
        let none = |_: u64| -> Option<BlockHash> { None };
        let (before, state) = &self.made[&parent];
        let on = TemplateParent {
            numbers: Parent::new(before, parent),
            skip: self.ancestor(parent, skip_height(before.extension.height + 1)),
        };
        let options = TemplateOptions {
            beneficiary,
            extra_data: [0; 32],
            now_unix_secs: u64::from(before.pow.time) + 1,
        };
        let (spec, evm) = (&self.spec, &self.evm);
        let built = template::build(spec, evm, &on, state, transactions, &none, &options);
        let mut block = built.expect("the chain goes on");
        assert_eq!(block.body.0.len(), transactions.len(), "all fit");
        block.header = mined(block.header);
        let env = template::env(spec, &block.header, &none);
        let executed = evm.execute(state, &env, transactions);
        let after = executed.expect("a template can be executed").state;
        let made = (block.header.clone(), after);
        self.made.insert(block.header.hash(), made);
        block
    }

    fn ancestor(&self, of: BlockHash, wanted: u64) -> BlockHash {
        let mut at = of;
        loop {
            let header = &self.made[&at].0;
            let height = header.extension.height;
            if height == wanted {
                return at;
            }
            let is_short = height >= 1 && skip_height(height) >= wanted;
            at = if is_short {
                header.extension.skip
            } else {
                header.pow.parent
            };
        }
    }
}

/// The header with its commitment and a nonce that meets its target.
pub fn mined(header: Header) -> Header {
    let mut header = Header::sealed(header.pow, header.extension);
    let target = header.pow.bits.target().expect("bits that decode");
    while !target.is_met_by(&header.hash()) {
        header.pow.nonce += 1;
    }
    header
}
