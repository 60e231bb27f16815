//! A network of several node processes on this machine, and one supervisor that starts them.

pub mod client;
pub mod console;
pub mod endpoints;
pub mod place;
pub mod split;
pub mod stop;
pub mod stream;
pub mod supervisor;
pub mod token;
