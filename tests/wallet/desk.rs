//! A directory of wallets and a console of fixed answers, on which tests run verbs.

use std::{collections::VecDeque, io, path::PathBuf};

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;
use wallet::{
    Key, Keystore,
    console::Console,
    store::Wallets,
    verbs::{Command, Context, VerbError, run_with},
};
use zeroize::Zeroizing;

/// scrypt's N where its cost is not what is tested, as a power of two.
pub const CHEAP: u8 = 4;
/// The URL of a node that nobody asks.
pub const NOBODY: &str = "http://127.0.0.1:1";

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Answers in order; what is said is kept.
#[derive(Default)]
pub struct Script {
    answers: VecDeque<String>,
    /// All that was said and asked.
    pub said: String,
    is_terminal: bool,
    is_output_terminal: bool,
}

impl Script {
    /// An answer to a question for one of the words shown before.
    fn word(&self, number: &str) -> Option<String> {
        let number: usize = number.trim_end_matches(':').parse().ok()?;
        let rows = self.said.split("unasked.").nth(1)?;
        let parts: Vec<&str> = rows.split_whitespace().collect();
        let at = parts.iter().position(|part| *part == number.to_string())?;
        parts.get(at + 1).map(|word| (*word).to_string())
    }

    fn answer(&mut self, question: &str) -> io::Result<String> {
        self.said += question;
        self.said += "\n";
        if self.answers.front().is_some_and(|answer| answer == "WORD") {
            self.answers.pop_front();
            let number = question.trim_start_matches("Word ");
            return Ok(self.word(number).unwrap());
        }
        let none = || io::Error::new(io::ErrorKind::UnexpectedEof, "no answer");
        self.answers.pop_front().ok_or_else(none)
    }
}

impl Console for Script {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    fn is_output_terminal(&self) -> bool {
        self.is_output_terminal
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.said += text;
        self.said += "\n";
        Ok(())
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.answer(question)
    }

    fn ask_secret(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        self.answer(question).map(Zeroizing::new)
    }

    fn take_back(&mut self, _lines: usize) -> io::Result<()> {
        Ok(())
    }
}

/// Where verbs are run.
pub struct Desk {
    directory: TempDir,
    /// The console of the last verb.
    pub console: Script,
    url: String,
}

impl Desk {
    /// An empty desk whose verbs talk to this node.
    pub fn new(url: &str) -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            console: Script::default(),
            url: url.to_string(),
        }
    }

    /// Its wallets.
    pub fn wallets(&self) -> Wallets {
        Wallets::new(&self.path("wallets"))
    }

    /// A path on the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file on the desk.
    pub fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_string()
    }

    /// A wallet of this key and password, sealed cheaply.
    pub fn add(&self, name: &str, key: &Key, password: &str) {
        let keystore = Keystore::seal_at(CHEAP, key, password).unwrap();
        self.wallets().add(name, &keystore, None).unwrap();
    }

    /// From now on a person sits there.
    pub fn at_terminal(mut self) -> Self {
        self.console.is_terminal = true;
        self.console.is_output_terminal = true;
        self
    }

    /// From now on verbs talk to this node.
    pub fn turn_to(&mut self, url: &str) {
        self.url = url.to_string();
    }

    /// Runs a verb: its words, and the answers to what it asks. `WORD` is the word asked for.
    pub fn run(&mut self, words: &str, answers: &[&str]) -> Result<String, VerbError> {
        self.run_all(&words.split_whitespace().collect::<Vec<_>>(), answers)
    }

    /// The same with words that may contain spaces.
    pub fn run_all(&mut self, words: &[&str], answers: &[&str]) -> Result<String, VerbError> {
        let arguments = ["wallet"].into_iter().chain(words.iter().copied());
        let command = Cli::try_parse_from(arguments).unwrap().command;
        self.console.said.clear();
        self.console.answers = answers.iter().map(|answer| (*answer).to_string()).collect();
        let mut out = Vec::new();
        let directory = self.path("wallets");
        let mut context = Context::new(&self.url, &directory, &mut self.console, &mut out);
        context.log_n = CHEAP;
        let ran = run_with(&command, &mut context);
        ran.map(|()| String::from_utf8(out).unwrap())
    }

    /// Runs a verb whose result is JSON.
    pub fn json(&mut self, words: &str, answers: &[&str]) -> Value {
        serde_json::from_str(&self.run(words, answers).unwrap()).unwrap()
    }
}

/// What clap says to words that are no command.
pub fn refused(words: &str) -> clap::Error {
    let words = ["wallet"].into_iter().chain(words.split_whitespace());
    match Cli::try_parse_from(words) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}
