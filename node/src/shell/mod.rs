//! The shell around the core: threads, queues, clocks and views.
//!
//! One core thread owns the protocol state and the store and takes inputs from one bounded
//! queue. Everything else (network, miner, HTTP) sends inputs and reads immutable views.

pub mod bridge;
pub mod check;
pub mod clock;
pub mod coinbase;
pub mod core;
pub mod delay;
pub mod desk;
pub mod faucet;
mod gate;
mod inputs;
pub mod journal;
pub mod listen;
pub mod metrics;
pub mod mining;
pub mod operator;
pub mod peers;
pub mod publish;
mod rate;
pub mod rival;
pub mod running;
pub mod stratum;
mod ticker;
pub mod view;
