//! `check` and `change-password`: keeping wallets in order.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{
    VerbError,
    context::{Context, PasswordArgs},
    count,
};
use crate::{
    files::{self, DIRECTORY_MODE, FILE_MODE},
    keystore::{Keystore, KeystoreError},
    sealed::SealError,
    words::{Words, WordsFile},
};

/// What `check` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Wallets to check [default: all]
    names: Vec<String>,
    /// Look at the files only, ask no passwords
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    password: PasswordArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `change-password` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ChangePasswordArgs {
    /// A wallet's name
    name: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// File whose first line is the new password [default: asked for twice]
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// Allow an empty password
    #[arg(long)]
    empty_password: bool,
}

/// Says of each wallet whether its password opens it, its addresses match and its files are
/// private.
pub fn check(args: &CheckArgs, context: &mut Context) -> Result<(), VerbError> {
    let names = match args.names.is_empty() {
        true => context.wallets.names()?,
        false => args.names.clone(),
    };
    let mut reports = Vec::new();
    let mut problems = 0;
    for directory in [
        context.wallets.directory().to_owned(),
        context.wallets.keys(),
    ] {
        let found = mode_problem(&directory, DIRECTORY_MODE)?;
        problems += say_problems(&directory.display().to_string(), &found, context)?;
        reports.extend(found.iter().map(|problem| json!({ "problem": problem })));
    }
    for name in &names {
        let found = check_wallet(name, args, context)?;
        problems += say_problems(name, &found, context)?;
        reports.push(json!({ "name": name, "problems": found }));
        if found.is_empty() && !args.json {
            context.print(&format!("{name}: ok"))?;
        }
    }
    if args.json {
        context.print_json(&json!({ "checked": reports, "problems": problems }))?;
    }
    match problems {
        0 => Ok(()),
        _ => Err(VerbError::Found(count(problems, "problem"))),
    }
}

fn say_problems(what: &str, found: &[String], context: &mut Context) -> Result<u64, VerbError> {
    for problem in found {
        context.say(&format!("{what}: {problem}"))?;
    }
    Ok(u64::try_from(found.len()).expect("few problems"))
}

fn check_wallet(
    name: &str,
    args: &CheckArgs,
    context: &mut Context,
) -> Result<Vec<String>, VerbError> {
    let mut found = Vec::new();
    for path in [
        context.wallets.key_file(name),
        context.wallets.words_file(name),
    ] {
        found.extend(mode_problem(&path, FILE_MODE)?);
    }
    let (keystore, words) = (context.wallets.keystore(name), context.wallets.words(name));
    let problem = |error: &dyn std::fmt::Display| error.to_string();
    found.extend(keystore.as_ref().err().map(|error| problem(error)));
    found.extend(words.as_ref().err().map(|error| problem(error)));
    let (Ok(keystore), Ok(words)) = (keystore, words) else {
        return Ok(found);
    };
    if args.no_open {
        return Ok(found);
    }
    let password = context.password(args.password.password_file.as_deref(), name)?;
    found.extend(keystore.open(&password).err().map(|error| problem(&error)));
    if let Some(Err(error)) = words.map(|words| words.open(&password).map(drop)) {
        found.push(format!("its words: {error}"));
    }
    Ok(found)
}

/// A file or directory that others than its owner may use.
fn mode_problem(path: &Path, want: u32) -> Result<Vec<String>, VerbError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let got = files::mode(path)?;
    let is_private = got & 0o077 == 0;
    let shown = path.display();
    let problem =
        format!("the mode of {shown} is {got:o}, wanted {want:o}: run chmod {want:o} {shown}");
    Ok((!is_private).then_some(problem).into_iter().collect())
}

/// Seals a wallet's key and words anew. Run again, it completes a change that was cut off.
pub fn change_password(args: &ChangePasswordArgs, context: &mut Context) -> Result<(), VerbError> {
    let name = &args.name;
    let keystore = context.wallets.keystore(name)?;
    let words = context.wallets.words(name)?;
    let old = context.password(args.password.password_file.as_deref(), name)?;
    let failed = |error| VerbError::Open {
        name: name.clone(),
        error,
    };
    // The words are changed first, so after a cut the key still has the old password.
    let key = keystore.open(&old).map_err(failed)?;
    let new_file = args.new_password_file.as_deref();
    let new = context.new_password(new_file, args.empty_password)?;
    if let Some(words) = words {
        let opened = open_either(&words, &old, &new).map_err(failed)?;
        let sealed = WordsFile::seal_at(context.log_n, &opened, &new)?;
        context.wallets.replace_words(name, &sealed)?;
    }
    context
        .wallets
        .replace_key(name, &Keystore::seal_at(context.log_n, &key, &new)?)?;
    context.say(&format!(
        "the password of {name} is changed; accounts derived from it, copies and backups keep theirs"
    ))
}

/// Words under the old password, or, after a change that was cut off, the new one.
fn open_either(words: &WordsFile, old: &str, new: &str) -> Result<Words, KeystoreError> {
    match words.open(old) {
        Err(KeystoreError::Seal(SealError::Password)) => words.open(new),
        opened => opened,
    }
}
