//! Who is paid for this node's blocks, and the tag that they carry. Used by `running`.

use chain::Address;

use crate::{
    config::Settings,
    failure::{Exit, Failure},
};

/// What blocks of ours say.
#[derive(Clone, Copy, Debug)]
pub struct Coinbase {
    /// Who is paid, where the settings name somebody. On a dev network somebody is: an operator
    /// may order blocks of a node that does not mine.
    pub beneficiary: Option<Address>,
    /// The tag in extra data.
    pub extra_data: [u8; 32],
}

impl Coinbase {
    /// What the settings say.
    pub fn of(settings: &Settings, dev: bool) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let text = match settings.beneficiary.as_deref() {
            None if settings.mine => {
                let what = "mining needs somebody to pay: give --beneficiary ADDRESS";
                return Err(usage(what.to_owned()));
            }
            None => dev.then_some("dev:0"),
            named => named,
        };
        let read = |text| beneficiary(text, dev).map_err(usage);
        let beneficiary = text.map(read).transpose()?;
        let tag = settings.tag.as_bytes();
        let mut extra_data = [0; 32];
        let room = extra_data
            .get_mut(..tag.len())
            .ok_or_else(|| usage(format!("--tag has at most 32 bytes, got {}", tag.len())))?;
        room.copy_from_slice(tag);
        Ok(Self {
            beneficiary,
            extra_data,
        })
    }
}

fn beneficiary(text: &str, dev: bool) -> Result<Address, String> {
    payee(text, dev).map_err(|error| format!("--beneficiary: {error}"))
}

/// Whom a text names: an address, or on a dev network an account that everybody knows.
pub fn payee(text: &str, dev: bool) -> Result<Address, String> {
    let party: wallet::Party = text.parse().map_err(|error| format!("{error}"))?;
    if matches!(party, wallet::Party::Dev(_)) && !dev {
        return Err(format!(
            "{party}: everybody knows the dev keys; they are for dev networks only"
        ));
    }
    Ok(party.address())
}
