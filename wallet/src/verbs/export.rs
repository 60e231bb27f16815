//! `export` and `backup`: wallets that leave the directory.

use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    VerbError,
    context::{Context, PasswordArgs},
    count,
};
use crate::{
    files::{self, Place},
    store::{StoreError, check_name},
};

/// Bytes of the longest file that is copied.
const COPY_BYTES_MAX: u64 = 1 << 30;

/// What `export` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// A wallet's name
    name: String,
    /// Show the raw key, on a terminal only
    #[arg(long, conflicts_with = "words")]
    secret_key: bool,
    /// Show the words, on a terminal only
    #[arg(long)]
    words: bool,
    /// File for the keystore, which must not exist [default: standard output]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_key", "words"])]
    out: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
}

/// What `backup` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// A directory that does not exist, or is empty
    directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a keystore, or after a typed confirmation a key or words.
pub fn export(args: &ExportArgs, context: &mut Context) -> Result<(), VerbError> {
    if args.secret_key || args.words {
        return reveal(args, context);
    }
    let text = context.wallets.keystore(&args.name)?.to_json();
    match &args.out {
        None => context.print(&text),
        Some(path) => {
            files::write(path, format!("{text}\n").as_bytes(), Place::New)?;
            context.say(&format!("written to {}", path.display()))
        }
    }
}

/// Shows a secret to a person: never into a pipe or a file.
fn reveal(args: &ExportArgs, context: &mut Context) -> Result<(), VerbError> {
    let name = &args.name;
    context.wallets.entry(name)?;
    if !context.console.is_terminal() || !context.console.is_output_terminal() {
        let reason =
            "a raw key or words are shown on a terminal only: for a file, export the keystore";
        return Err(VerbError::Usage(reason.to_string()));
    }
    context.say(
        "Whoever sees this secret can take all the money, at any time, and nobody can undo it.\n\
         No support desk, website or node ever needs it.",
    )?;
    let typed = context.ask(&format!("To see it, type the wallet's name, {name}:"))?;
    if typed.trim() != name {
        let reason = format!("not shown: {name} was to be typed");
        return Err(VerbError::Answer(reason));
    }
    let secret = secret(args, context)?;
    for row in &secret {
        context.print(row)?;
    }
    context.ask("Press Enter when done; it vanishes from the screen then.")?;
    let taken = context.console.take_back(secret.len() + 1);
    taken.map_err(VerbError::Prompt)
}

/// The rows of a secret, each short enough for a screen.
fn secret(args: &ExportArgs, context: &mut Context) -> Result<Vec<Zeroizing<String>>, VerbError> {
    let name = &args.name;
    if !args.words {
        let key = context.open_wallet(name, &args.password)?;
        let text = Zeroizing::new(hex::encode_prefixed(&key.secret()[..]));
        return Ok(vec![text]);
    }
    let sealed = context.wallets.words(name)?;
    let sealed = sealed.ok_or_else(|| StoreError::NoWords(name.clone()))?;
    let password = context.password(args.password.password_file.as_deref(), name)?;
    let words = sealed.open(&password).map_err(|error| VerbError::Open {
        name: name.clone(),
        error,
    })?;
    Ok(words.rows())
}

/// Copies all wallets, labels and journals into a new directory, and reads the copies back.
pub fn backup(args: &BackupArgs, context: &mut Context) -> Result<(), VerbError> {
    let target = &args.directory;
    if !files::names(target)?.is_empty() {
        let shown = target.display();
        return Err(VerbError::Usage(format!(
            "{shown} is not empty, and a backup overwrites nothing: name a new directory"
        )));
    }
    let source = context.wallets.directory().to_owned();
    let mut copied = 0;
    for folder in ["keys", "sent", ""] {
        let is_wanted = |name: &String| match folder {
            "keys" => stem(name).is_some_and(|stem| check_name(stem).is_ok()),
            "sent" => name.ends_with(".jsonl"),
            _ => name == "labels.json",
        };
        for name in files::names(&source.join(folder))?
            .iter()
            .filter(|name| is_wanted(name))
        {
            copy(&source.join(folder).join(name), &target.join(folder), name)?;
            copied += 1;
        }
    }
    if copied == 0 {
        return Err(VerbError::Found(format!(
            "nothing to back up in {}: 0 files",
            source.display()
        )));
    }
    match args.json {
        true => {
            let directory = target.display().to_string();
            context.print_json(&json!({ "directory": directory, "files": copied }))
        }
        false => {
            let copied = count(copied, "file");
            context.print(&format!("{copied} copied to {}", target.display()))
        }
    }
}

fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".json").or(name.strip_suffix(".words"))
}

fn copy(from: &Path, directory: &Path, name: &str) -> Result<(), VerbError> {
    let Some(bytes) = files::read(from, COPY_BYTES_MAX)? else {
        return Ok(());
    };
    files::make_directory(directory)?;
    files::write(&directory.join(name), &bytes, Place::New)?;
    Ok(())
}
