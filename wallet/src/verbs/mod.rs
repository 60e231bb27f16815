//! The verbs of `lignum wallet`: what they ask the node, what they refuse, what they show.
//!
//! A verb prints to standard output only what it was asked for, in lines for people or as one JSON
//! object with `--json`; questions and notes go to the console; everything that goes wrong is a
//! [`VerbError`] with the process's exit code. Called by the command line.

mod change;
mod context;
mod error;
mod export;
mod history;
mod list;
mod message;
mod new;
mod offline;
mod payment;
mod send;
mod upkeep;

use std::{
    io::{self, Write},
    path::Path,
};

use clap::Subcommand;

pub use context::{Context, PasswordArgs};
pub use error::{VerbError, WaitError};

use crate::console::Standard;

/// What a wallet can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a wallet: new words, one key, one password
    New(new::NewArgs),
    /// Take in words, a raw key or a keystore file from elsewhere
    Import(new::ImportArgs),
    /// Make further accounts from a wallet's words
    Derive(new::DeriveArgs),
    /// Show all wallets and watched addresses
    List(list::ListArgs),
    /// Show a wallet's address
    Address(list::AddressArgs),
    /// Show what an account has, or all of them
    Balance(list::BalanceArgs),
    /// Show an account's transactions, newest first
    History(history::HistoryArgs),
    /// Send an amount to somebody
    Send(send::SendArgs),
    /// Send a waiting transaction again with higher fees, or another amount or recipient
    Replace(change::ReplaceArgs),
    /// Put a payment of nothing to oneself in place of a waiting transaction
    Cancel(change::CancelArgs),
    /// Sign a message (EIP-191)
    SignMessage(message::SignArgs),
    /// Check the signature of a message (EIP-191)
    VerifyMessage(message::VerifyArgs),
    /// Write a transaction into a file, to be signed on a machine without a network
    Build(offline::BuildArgs),
    /// Sign a transaction file; needs no node
    Sign(offline::SignArgs),
    /// Send a signed transaction file, or one of this machine's payments again
    Broadcast(offline::BroadcastArgs),
    /// Show a keystore, or a key or words on a terminal
    Export(export::ExportArgs),
    /// Copy all wallets into a new directory
    Backup(export::BackupArgs),
    /// See whether passwords open, addresses match and files are private
    Check(upkeep::CheckArgs),
    /// Give a wallet another password
    ChangePassword(upkeep::ChangePasswordArgs),
    /// Keep an address in the list without a key
    Watch(list::WatchArgs),
    /// Give an address a label
    Label(list::LabelArgs),
}

/// Carries out a verb with the process's terminal: prints to standard output.
pub fn run(command: &Command, node_url: &str, directory: &Path) -> Result<(), VerbError> {
    let (mut console, mut out) = (Standard, io::stdout().lock());
    let mut context = Context::new(node_url, directory, &mut console, &mut out);
    run_with(command, &mut context)?;
    out.flush()?;
    Ok(())
}

/// Carries out a verb in a given context.
pub fn run_with(command: &Command, context: &mut Context) -> Result<(), VerbError> {
    match command {
        Command::New(args) => new::new(args, context),
        Command::Import(args) => new::import(args, context),
        Command::Derive(args) => new::derive(args, context),
        Command::List(args) => list::list(args, context),
        Command::Address(args) => list::address(args, context),
        Command::Balance(args) => list::balance(args, context),
        Command::History(args) => history::history(args, context),
        Command::Send(args) => send::send(args, context),
        Command::Replace(args) => change::replace(args, context),
        Command::Cancel(args) => change::cancel(args, context),
        Command::SignMessage(args) => message::sign(args, context),
        Command::VerifyMessage(args) => message::verify(args, context),
        Command::Build(args) => offline::build(args, context),
        Command::Sign(args) => offline::sign(args, context),
        Command::Broadcast(args) => offline::broadcast(args, context),
        Command::Export(args) => export::export(args, context),
        Command::Backup(args) => export::backup(args, context),
        Command::Check(args) => upkeep::check(args, context),
        Command::ChangePassword(args) => upkeep::change_password(args, context),
        Command::Watch(args) => list::watch(args, context),
        Command::Label(args) => list::label(args, context),
    }
}

/// `1 confirmation`, `2 confirmations`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
