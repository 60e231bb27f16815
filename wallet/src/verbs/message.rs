//! `sign-message` and `verify-message`.

use std::path::PathBuf;

use alloy_primitives::hex;
use serde_json::json;

use super::{
    VerbError,
    context::{Context, PasswordArgs},
};
use crate::{
    address::Who,
    files,
    message::{parse_signature, sign_message, signer_of},
};

/// Bytes of the longest message.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A message.
#[derive(Clone, Debug, clap::Args)]
struct MessageArgs {
    /// The message [default: asked for, or a line of standard input]
    message: Option<String>,
    /// File with the message, signed as it is, byte for byte
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `sign-message` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SignArgs {
    #[command(flatten)]
    message: MessageArgs,
    /// Who signs: a wallet's name or address, or dev:N
    #[arg(long, value_name = "WALLET")]
    from: Who,
    #[command(flatten)]
    password: PasswordArgs,
}

/// What `verify-message` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    message: MessageArgs,
    /// Who is said to have signed: an address, a wallet's name, a label, or dev:N
    #[arg(long, value_name = "WHO")]
    by: Who,
    /// The signature: 0x and 130 hex digits
    #[arg(long)]
    signature: String,
}

/// Signs a message.
pub fn sign(args: &SignArgs, context: &mut Context) -> Result<(), VerbError> {
    let account = context.account(&args.from)?;
    let message = read(&args.message, context)?;
    let key = context.open(&account, &args.password)?;
    let signature = hex::encode_prefixed(sign_message(&key, &message));
    match args.message.json {
        true => {
            let address = key.address().to_string();
            context.print_json(&json!({ "address": address, "signature": signature }))
        }
        false => context.print(&signature),
    }
}

/// Checks the signature of a message.
pub fn verify(args: &VerifyArgs, context: &mut Context) -> Result<(), VerbError> {
    let want = context.address(&args.by)?;
    let message = read(&args.message, context)?;
    let got = signer_of(&message, &parse_signature(&args.signature)?)?;
    if got != want {
        return Err(VerbError::OtherSigner { want, got });
    }
    match args.message.json {
        true => context.print_json(&json!({ "address": got.to_string(), "valid": true })),
        false => context.print(&format!("signed by {got}")),
    }
}

fn read(args: &MessageArgs, context: &mut Context) -> Result<Vec<u8>, VerbError> {
    match (&args.message, &args.file) {
        (Some(message), _) => Ok(message.clone().into_bytes()),
        (None, Some(path)) => files::read(path, MESSAGE_BYTES_MAX)?.ok_or_else(|| {
            let shown = path.display();
            VerbError::Usage(format!("there is no file {shown} with a message"))
        }),
        (None, None) => Ok(context.ask("Message:")?.into_bytes()),
    }
}
