//! What a verb works with: the node, the wallets, the console; who is meant, and with which key.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

use super::VerbError;
use crate::{
    address::{Party, Who},
    book::Book,
    client::Client,
    console::{Console, first_line},
    derive::{Key, dev_key},
    guard::Network,
    sealed::LOG_N,
    store::{Entry, StoreError, Wallets},
};

/// Bytes from which on a document is not read further.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Characters below which a password gets a note.
const PASSWORD_CHARS_GOOD: usize = 8;
/// The accounts that dev networks fund.
const DEV_FUNDED: u32 = 10;

/// What a verb works with.
pub struct Context<'a> {
    node_url: &'a str,
    /// The directory of wallets.
    pub wallets: Wallets,
    /// Whoever runs the verb.
    pub console: &'a mut dyn Console,
    /// Where the verb's result goes.
    pub out: &'a mut dyn Write,
    /// What a guess at a new password costs: scrypt's N as a power of two.
    pub log_n: u8,
}

/// Where a password comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PasswordArgs {
    /// File whose first line is the password [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// An account that signs.
#[derive(Debug)]
pub enum Account {
    /// A development account.
    Dev(u32),
    /// A wallet and its address.
    Wallet(Entry, Address),
}

impl Account {
    /// Its address.
    pub fn address(&self) -> Address {
        match self {
            Self::Dev(n) => dev_key(*n).address(),
            Self::Wallet(_, address) => *address,
        }
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Dev(n) => format!("dev:{n}"),
            Self::Wallet(entry, _) => entry.name.clone(),
        }
    }
}

impl<'a> Context<'a> {
    /// The context of a verb.
    pub fn new(
        node_url: &'a str,
        directory: &Path,
        console: &'a mut dyn Console,
        out: &'a mut dyn Write,
    ) -> Self {
        Self {
            node_url,
            wallets: Wallets::new(directory),
            console,
            out,
            log_n: LOG_N,
        }
    }

    /// The node's client.
    pub fn client(&self) -> Result<Client, VerbError> {
        Ok(Client::new(self.node_url)?)
    }

    /// The labels.
    pub fn book(&self) -> Result<Book, VerbError> {
        Ok(Book::read(&self.wallets)?)
    }

    /// Prints a line of the result.
    pub fn print(&mut self, line: &str) -> Result<(), VerbError> {
        writeln!(self.out, "{line}")?;
        self.out.flush()?;
        Ok(())
    }

    /// Prints the result as JSON.
    pub fn print_json(&mut self, value: &Value) -> Result<(), VerbError> {
        self.print(&value.to_string())
    }

    /// Says something that is not the result.
    pub fn say(&mut self, text: &str) -> Result<(), VerbError> {
        self.console.say(text).map_err(VerbError::Prompt)
    }

    /// The address that is meant: any address, `dev:N`, a wallet's name, or a label.
    pub fn address(&mut self, who: &Who) -> Result<Address, VerbError> {
        match who {
            Who::Party { party, unchecked } => {
                let address = party.address();
                if *unchecked {
                    self.say(&format!(
                        "note: the address was written without a checksum; compare {address}"
                    ))?;
                }
                Ok(address)
            }
            Who::Name(name) => self.named(name),
        }
    }

    fn named(&self, name: &str) -> Result<Address, VerbError> {
        match self.wallets.entry(name) {
            Ok(entry) => address_of(&entry),
            Err(error) => match (self.book()?.labelled(name), error) {
                (Some(address), StoreError::Missing { .. } | StoreError::Name(_)) => Ok(address),
                (None, StoreError::Name(_)) => Err(self.wallets.missing(name).into()),
                (_, error) => Err(error.into()),
            },
        }
    }

    /// Refuses a name for a new wallet that cannot be given, or is a label.
    pub fn check_new(&self, name: &str) -> Result<(), VerbError> {
        self.wallets.check_new(name)?;
        match self.book()?.labelled(name) {
            Some(of) => Err(VerbError::Usage(format!(
                "{name:?} is the label of {of}: choose another name, or another label"
            ))),
            None => Ok(()),
        }
    }

    /// Gives an address a label, which may not be a wallet's name.
    pub fn set_label(
        &self,
        book: &mut Book,
        address: Address,
        label: &str,
    ) -> Result<(), VerbError> {
        if self.wallets.is_taken(label)? {
            return Err(VerbError::Usage(format!(
                "{label:?} is the name of a wallet: choose another label"
            )));
        }
        Ok(book.set_label(address, label)?)
    }

    /// The account that is meant, whose key is here.
    pub fn account(&mut self, who: &Who) -> Result<Account, VerbError> {
        if let Who::Party {
            party: Party::Dev(n),
            ..
        } = who
        {
            return Ok(Account::Dev(*n));
        }
        if let Who::Name(name) = who
            && self.wallets.is_taken(name)?
        {
            let entry = self.wallets.entry(name)?;
            let address = address_of(&entry)?;
            return Ok(Account::Wallet(entry, address));
        }
        let address = self.address(who)?;
        match self.wallets.of(address)? {
            Some(entry) => Ok(Account::Wallet(entry, address)),
            None => Err(VerbError::NoKey(address.to_string())),
        }
    }

    /// The account of an address: a wallet's, or on a dev network one of those it funds.
    pub fn account_of(&self, address: Address, is_dev: bool) -> Result<Account, VerbError> {
        if let Some(entry) = self.wallets.of(address)? {
            return Ok(Account::Wallet(entry, address));
        }
        let mut funded = (0..DEV_FUNDED).filter(|_| is_dev);
        let found = funded.find(|&n| dev_key(n).address() == address);
        found
            .map(Account::Dev)
            .ok_or_else(|| VerbError::NoKey(address.to_string()))
    }

    /// An account's key, for which the password may be asked.
    pub fn open(&mut self, account: &Account, args: &PasswordArgs) -> Result<Key, VerbError> {
        match account {
            Account::Dev(n) => Ok(dev_key(*n)),
            Account::Wallet(entry, _) => self.open_wallet(&entry.name, args),
        }
    }

    /// A wallet's key, for which the password may be asked.
    pub fn open_wallet(&mut self, name: &str, args: &PasswordArgs) -> Result<Key, VerbError> {
        let keystore = self.wallets.keystore(name)?;
        let password = self.password(args.password_file.as_deref(), name)?;
        let opened = keystore.open(&password);
        opened.map_err(|error| VerbError::Open {
            name: name.to_string(),
            error,
        })
    }

    /// The password of a wallet that exists.
    pub fn password(
        &mut self,
        file: Option<&Path>,
        name: &str,
    ) -> Result<Zeroizing<String>, VerbError> {
        match file {
            Some(path) => password_file(path),
            None => self.secret(&format!("Password of {name}:")),
        }
    }

    /// A password that is to be set: asked for twice, or read once from a file.
    pub fn new_password(
        &mut self,
        file: Option<&Path>,
        may_be_empty: bool,
    ) -> Result<Zeroizing<String>, VerbError> {
        let password = match file {
            Some(path) => password_file(path)?,
            None => self.secret_twice("New password:")?,
        };
        if password.is_empty() && !may_be_empty {
            let reason = "an empty password protects nothing: choose one, or add --empty-password";
            return Err(VerbError::Answer(reason.to_string()));
        }
        if password.chars().count() < PASSWORD_CHARS_GOOD {
            self.say("note: a password of less than 8 characters is soon guessed")?;
        }
        if !password.is_ascii() {
            self.say("note: not all wallets open a file whose password is beyond ASCII")?;
        }
        Ok(password)
    }

    /// A BIP-39 passphrase: asked for twice, since any is right, or read once from a file.
    pub fn passphrase(&mut self, file: Option<&Path>) -> Result<Zeroizing<String>, VerbError> {
        let passphrase = match file {
            Some(path) => password_file(path)?,
            None => self.secret_twice("Passphrase of the words:")?,
        };
        if passphrase.is_empty() {
            let reason = "an empty passphrase is none: leave it out";
            return Err(VerbError::Answer(reason.to_string()));
        }
        Ok(passphrase)
    }

    fn secret_twice(&mut self, question: &str) -> Result<Zeroizing<String>, VerbError> {
        let first = self.secret(question)?;
        if *first != *self.secret("The same again:")? {
            let reason = "the two answers differ, nothing was written: try again";
            return Err(VerbError::Answer(reason.to_string()));
        }
        Ok(first)
    }

    /// A secret from the console.
    pub fn secret(&mut self, question: &str) -> Result<Zeroizing<String>, VerbError> {
        let answer = self.console.ask_secret(question);
        answer.map_err(VerbError::Prompt)
    }

    /// A text from the console: a line, or, where that begins one, a whole JSON object.
    pub fn document(&mut self, question: &str) -> Result<Zeroizing<String>, VerbError> {
        let mut text = self.secret(question)?;
        let is_cut = |text: &str| {
            let read: Result<IgnoredAny, _> = serde_json::from_str(text);
            text.starts_with('{') && read.is_err_and(|error| error.is_eof())
        };
        while text.len() < DOCUMENT_BYTES_MAX && is_cut(&text) {
            let line = self.secret("")?;
            let mut longer = Zeroizing::new(String::with_capacity(text.len() + line.len() + 1));
            longer.extend([text.as_str(), "\n", line.as_str()]);
            text = longer;
        }
        Ok(text)
    }

    /// A line from the console.
    pub fn ask(&mut self, question: &str) -> Result<String, VerbError> {
        self.console.ask(question).map_err(VerbError::Prompt)
    }

    /// How an address is shown to people: with its name or label.
    pub fn show(&self, address: Address) -> Result<String, VerbError> {
        let wallet = self.wallets.of(address)?.map(|entry| entry.name);
        let label = self.book()?.label(address).map(String::from);
        let names: Vec<String> = wallet.into_iter().chain(label).collect();
        match names.is_empty() {
            true => Ok(address.to_string()),
            false => Ok(format!("{address} ({})", names.join(", "))),
        }
    }
}

/// Development keys neither pay nor are paid where money is worth something.
pub fn check_dev(who: &Who, network: &Network) -> Result<(), VerbError> {
    match who {
        Who::Party {
            party: party @ Party::Dev(_),
            ..
        } if !network.dev => Err(VerbError::DevKey {
            party: party.to_string(),
            network: network.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn address_of(entry: &Entry) -> Result<Address, VerbError> {
    entry.address.ok_or_else(|| {
        VerbError::Usage(format!(
            "the file of wallet {0:?} does not say its address: find it with `lignum wallet address {0}`, or import the file",
            entry.name
        ))
    })
}

fn password_file(path: &Path) -> Result<Zeroizing<String>, VerbError> {
    first_line(path).map_err(|error| VerbError::PasswordFile {
        path: path.to_owned(),
        error,
    })
}
