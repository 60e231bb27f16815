//! `new`, `import` and `derive`: how wallets come to be.
//!
//! New words are shown once and asked back before anything is written, so that nobody is paid on
//! words that were never copied. Secrets come from a prompt, a file or standard input, never from
//! an argument.

use std::path::PathBuf;

use serde_json::json;
use zeroize::Zeroizing;

use alloy_primitives::hex;

use super::{
    VerbError,
    context::{Context, PasswordArgs},
};
use crate::{
    derive::{HARDENED, Key},
    files,
    keystore::{FILE_BYTES_MAX, Keystore, KeystoreError},
    sealed::random,
    store::StoreError,
    words::{Words, WordsFile},
};

/// Words that are asked back.
const ASKED_BACK: usize = 3;
/// Wrong answers after which a word is given up.
const TRIES: usize = 3;
/// Accounts that are derived at once.
const DERIVED_MAX: u32 = 100;

/// How a new wallet is written.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteArgs {
    #[command(flatten)]
    password: PasswordArgs,
    /// Allow an empty password
    #[arg(long)]
    empty_password: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `new` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct NewArgs {
    /// What to call it
    #[arg(default_value = "main")]
    name: String,
    /// How many words
    #[arg(long, default_value = "12", value_parser = ["12", "24"])]
    words: String,
    /// Do not ask for some of the words, to see that they were copied
    #[arg(long)]
    no_ask_back: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// What `import` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// What to call it
    name: String,
    /// File with words, a raw key in hex, or a keystore [default: asked for, or standard input]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which account of words: m/44'/60'/0'/0/INDEX
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..i64::from(HARDENED)))]
    index: u32,
    /// Ask for the passphrase that belongs to the words (BIP-39, the "25th word"): they are not kept
    /// then, only the one account is
    #[arg(long)]
    passphrase: bool,
    /// File whose first line is that passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
}

/// What `derive` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DeriveArgs {
    /// A wallet made from words
    name: String,
    /// Which accounts: one number, or the first and the last, as in 1-4
    #[arg(long, value_parser = parse_range)]
    index: Range,
    /// Show the addresses and write nothing
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    password: PasswordArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The first and the last of some accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    last: u32,
}

fn parse_range(text: &str) -> Result<Range, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let read = |number: &str| number.parse::<u32>().ok().filter(|&n| n < HARDENED);
    match (read(first), read(last)) {
        (Some(first), Some(last)) if first <= last && last - first < DERIVED_MAX => {
            Ok(Range { first, last })
        }
        _ => Err(format!(
            "wanted a number below 2^31, or a first and a last as in 1-4, {DERIVED_MAX} at most"
        )),
    }
}

/// Makes a wallet with new words.
pub fn new(args: &NewArgs, context: &mut Context) -> Result<(), VerbError> {
    context.check_new(&args.name)?;
    let file = args.write.password.password_file.as_deref();
    let password = context.new_password(file, args.write.empty_password)?;
    let count = if args.words == "24" { 24 } else { 12 };
    let words = Words::random(count)?;
    show_words(&words, context)?;
    if !args.no_ask_back {
        ask_back(&words, context)?;
    }
    let key = words.key(0)?;
    write(&args.name, &key, Some(&words), &password, context)?;
    report(&args.name, &key, args.write.json, context)
}

/// Shows words, numbered, in rows of four; on a terminal only until they are copied.
fn show_words(words: &Words, context: &mut Context) -> Result<(), VerbError> {
    context.say(
        "These words are the wallet: whoever has them has its money, and nobody can restore them.\n\
         Write them down on paper, in this order. They are not shown again unasked.\n",
    )?;
    let rows = words.rows();
    for row in &rows {
        context.say(row)?;
    }
    if context.console.is_terminal() {
        context.ask("\nPress Enter when they are on paper; they vanish from the screen then.")?;
        // The rows of words, an empty line and the question, with its end.
        let taken = context.console.take_back(rows.len() + 2);
        taken.map_err(VerbError::Prompt)?;
    }
    Ok(())
}

/// Asks for some of the words, chosen at random.
fn ask_back(words: &Words, context: &mut Context) -> Result<(), VerbError> {
    let list = words.list();
    for position in positions(list.len())? {
        let question = format!("Word {}:", position + 1);
        let mut is_right = false;
        for _ in 0..TRIES {
            let answer = context.secret(&question)?;
            is_right = answer.trim().eq_ignore_ascii_case(list[position]);
            if is_right {
                break;
            }
            context.say("That is not the word.")?;
        }
        if !is_right {
            let reason = format!(
                "word {} was wrong {TRIES} times, nothing was written: begin again, these words are void",
                position + 1
            );
            return Err(VerbError::Answer(reason));
        }
    }
    Ok(())
}

/// Some different positions below `count`, in order.
fn positions(count: usize) -> Result<Vec<usize>, VerbError> {
    let mut found: Vec<usize> = Vec::new();
    while found.len() < ASKED_BACK {
        let [byte] = *random::<1>()?;
        let position = usize::from(byte) % count;
        if !found.contains(&position) {
            found.push(position);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What came in.
enum Imported {
    Words(Words),
    Key(Key),
    Keystore(Keystore),
}

/// Takes in words, a raw key or a keystore.
pub fn import(args: &ImportArgs, context: &mut Context) -> Result<(), VerbError> {
    context.check_new(&args.name)?;
    let text = read_secret(args, context)?;
    let file = args.write.password.password_file.as_deref();
    let (key, words, password) = match recognise(&text)? {
        // The file of words leads to accounts without a passphrase alone, so none is made.
        Imported::Words(words) if args.has_passphrase() => {
            let passphrase = context.passphrase(args.passphrase_file.as_deref())?;
            let key = words.key_with(&passphrase, args.index)?;
            let password = context.new_password(file, args.write.empty_password)?;
            (key, None, password)
        }
        _ if args.has_passphrase() => {
            let what = "a passphrase belongs to words, and this is a key: leave it out";
            return Err(VerbError::Usage(what.to_string()));
        }
        Imported::Words(words) => {
            let password = context.new_password(file, args.write.empty_password)?;
            (words.key(args.index)?, Some(words), password)
        }
        Imported::Key(key) => {
            let password = context.new_password(file, args.write.empty_password)?;
            (key, None, password)
        }
        Imported::Keystore(keystore) => {
            let password = context.password(file, "the keystore file")?;
            (keystore.open(&password)?, None, password)
        }
    };
    write(&args.name, &key, words.as_ref(), &password, context)?;
    report(&args.name, &key, args.write.json, context)
}

impl ImportArgs {
    fn has_passphrase(&self) -> bool {
        self.passphrase || self.passphrase_file.is_some()
    }
}

fn read_secret(args: &ImportArgs, context: &mut Context) -> Result<Zeroizing<String>, VerbError> {
    let Some(path) = &args.file else {
        return context.document("Words, raw key in hex, or a keystore:");
    };
    let limit = u64::try_from(FILE_BYTES_MAX).expect("a small number");
    let Some(bytes) = files::read(path, limit)?.map(Zeroizing::new) else {
        let shown = path.display();
        return Err(VerbError::Usage(format!(
            "there is no file {shown} to import"
        )));
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| KeystoreError::Form("it is not text in UTF-8".to_string()))?;
    Ok(Zeroizing::new(text.to_string()))
}

/// Tells a keystore from a raw key from words.
fn recognise(text: &str) -> Result<Imported, VerbError> {
    let text = text.trim();
    if text.starts_with('{') {
        return Ok(Imported::Keystore(Keystore::parse(text.as_bytes())?));
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.is_empty() || (is_hex && digits.len() != 64) {
        let got = digits.len();
        return Err(VerbError::Answer(format!(
            "a raw key has 64 hex digits, words are 12 to 24 in a line, got {got} digits"
        )));
    }
    if is_hex {
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, &mut secret[..]).expect("64 hex digits are 32 bytes");
        return Ok(Imported::Key(Key::from_secret(&secret)?));
    }
    Ok(Imported::Words(Words::parse(text)?))
}

/// Makes further accounts from a wallet's words, under the password of the words.
pub fn derive(args: &DeriveArgs, context: &mut Context) -> Result<(), VerbError> {
    let name = &args.name;
    let sealed = match context.wallets.words(name)? {
        Some(sealed) => sealed,
        None if context.wallets.is_taken(name)? => {
            return Err(StoreError::NoWords(name.clone()).into());
        }
        None => return Err(context.wallets.missing(name).into()),
    };
    let numbers = args.index.first..=args.index.last;
    let name_of = |index: u32| format!("{name}-{index}");
    if !args.show {
        for index in numbers.clone() {
            context.check_new(&name_of(index))?;
        }
    }
    let password = context.password(args.password.password_file.as_deref(), name)?;
    let words = sealed.open(&password).map_err(|error| VerbError::Open {
        name: name.clone(),
        error,
    })?;
    for index in numbers {
        let key = words.key(index)?;
        if !args.show {
            write(&name_of(index), &key, None, &password, context)?;
            report(&name_of(index), &key, args.json, context)?;
        } else if args.json {
            context.print_json(&json!({ "index": index, "address": key.address().to_string() }))?;
        } else {
            context.print(&format!("{index:<6} {}", key.address()))?;
        }
    }
    Ok(())
}

/// Seals and writes a wallet.
fn write(
    name: &str,
    key: &Key,
    words: Option<&Words>,
    password: &str,
    context: &mut Context,
) -> Result<(), VerbError> {
    let keystore = Keystore::seal_at(context.log_n, key, password)?;
    let words = words.map(|words| WordsFile::seal_at(context.log_n, words, password));
    let words = words.transpose()?;
    context.wallets.add(name, &keystore, words.as_ref())?;
    Ok(())
}

fn report(name: &str, key: &Key, json: bool, context: &mut Context) -> Result<(), VerbError> {
    let (address, file) = (key.address(), context.wallets.key_file(name));
    if json {
        return context.print_json(&json!({
            "name": name,
            "address": address.to_string(),
            "file": file.display().to_string(),
            "has_words": context.wallets.words_file(name).exists(),
        }));
    }
    context.print(&format!("{name} {address}"))?;
    context.say(&format!("written to {}", file.display()))
}
