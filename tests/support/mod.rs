//! What tests of whole nodes share: a toy ledger, a builder of mined blocks, a synchronous shell
//! and a network of such shells. Included by path; no binary uses all of it.
#![allow(dead_code)]

pub mod builder;
pub mod ledger;
pub mod net;
pub mod shell;
pub mod timed;
