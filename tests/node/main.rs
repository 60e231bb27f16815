//! Real processes of the `lignum` binary on loopback, a module a scenario.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod budget;
mod catch_up;
mod crash;
mod dev_orders;
mod devnet;
mod doors;
mod events;
mod faults;
mod golden;
mod harness;
mod honest;
mod hostile;
mod join;
mod mine;
mod money;
mod operating;
mod path;
mod pool;
mod readme;
mod record;
mod refusals;
mod settings;
mod split;
mod store;
mod stratum;
mod wallet;
