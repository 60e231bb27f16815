//! Amounts as people write them: exact to the wei, in LGN unless a unit follows.
//!
//! `25`, `1.5`, `1ether`, `3gwei`, `7wei`; one LGN, or ether, is 10^18 wei. What is shown reads
//! back as the same amount. Called by the verbs, and by every shell that reads or shows amounts.

use std::{fmt, str::FromStr};

/// Wei in one LGN.
pub const WEI_PER_LGN: u128 = 1_000_000_000_000_000_000;
/// Wei in one gwei, the usual unit of fees.
pub const WEI_PER_GWEI: u128 = 1_000_000_000;

/// The names of units, in lower case, and their decimals.
const UNITS: [(&str, u32); 4] = [("lgn", 18), ("ether", 18), ("gwei", 9), ("wei", 0)];

/// A number of wei below 2^128, which is more than there can ever be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u128);

/// What is paid: an amount, or all that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// So much.
    Exact(Amount),
    /// Everything but the fee.
    All,
}

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing was written.
    #[error("an amount is missing: write it like 25, 1.5, 3gwei or 7wei")]
    Empty,
    /// There is no paying less than nothing.
    #[error("an amount cannot be negative, got {0}")]
    Negative(String),
    /// Not digits with at most one point between them.
    #[error("{0:?} is not an amount: write it like 25, 1.5, 3gwei or 7wei")]
    NotANumber(String),
    /// A unit that does not exist.
    #[error("{got:?} is not a unit: use LGN, ether, gwei or wei, or none for LGN")]
    Unit {
        /// What was written.
        got: String,
    },
    /// Finer than a wei.
    #[error("{text} has {got} decimals, its unit has {want}: nothing is smaller than 1 wei")]
    Decimals {
        /// What was written.
        text: String,
        /// The decimals of its unit.
        want: u32,
        /// The decimals that were written, without zeros at the end.
        got: usize,
    },
    /// 2^128 wei or more.
    #[error("{0} is too large: an amount is less than 2^128 wei, about 340 billion billion LGN")]
    TooLarge(String),
    /// A fee without a unit would be in LGN per gas, which nobody means.
    #[error("{0} needs its unit: a fee per gas is written like 2gwei or 1500wei")]
    NoUnit(String),
}

impl Amount {
    /// The number of wei.
    pub fn wei(self) -> u128 {
        self.0
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (number, unit) = split(text)?;
        let decimals = if unit.is_empty() { 18 } else { decimals(unit)? };
        read(number, decimals).map(Self)
    }
}

impl FromStr for Sum {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        match text.trim().eq_ignore_ascii_case("all") {
            true => Ok(Self::All),
            false => text.parse().map(Self::Exact),
        }
    }
}

/// Reads a fee per gas in wei: an amount whose unit must be written.
pub fn parse_fee(text: &str) -> Result<u128, AmountError> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        let value = read(number, 18)?;
        return (value == 0)
            .then_some(0)
            .ok_or_else(|| AmountError::NoUnit(shorten(text)));
    }
    read(number, decimals(unit)?)
}

impl fmt::Display for Amount {
    /// In LGN, exact, without zeros at the end: `25.000021 LGN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / WEI_PER_LGN, self.0 % WEI_PER_LGN);
        if rest == 0 {
            return write!(f, "{whole} LGN");
        }
        let fraction = format!("{rest:018}");
        write!(f, "{whole}.{} LGN", fraction.trim_end_matches('0'))
    }
}

/// The number and the unit of an amount, the unit perhaps empty.
fn split(text: &str) -> Result<(&str, &str), AmountError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AmountError::Empty);
    }
    if text.starts_with('-') {
        return Err(AmountError::Negative(shorten(text)));
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(AmountError::NotANumber(shorten(text)));
    }
    Ok((number, unit.trim_start()))
}

fn decimals(unit: &str) -> Result<u32, AmountError> {
    let known = UNITS
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name));
    known
        .map(|&(_, decimals)| decimals)
        .ok_or_else(|| AmountError::Unit { got: shorten(unit) })
}

/// Reads digits with at most one point between them as a number with so many decimals.
fn read(number: &str, decimals: u32) -> Result<u128, AmountError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(AmountError::NotANumber(shorten(number)));
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::try_from(decimals)
        .ok()
        .and_then(|decimals| decimals.checked_sub(fraction.len()))
        .ok_or_else(|| AmountError::Decimals {
            text: shorten(number),
            want: decimals,
            got: fraction.len(),
        })?;
    // Shifting the point to the right by the decimals makes it a whole number of wei.
    let digits = format!("{whole}{fraction}{}", "0".repeat(missing));
    digits
        .parse()
        .map_err(|_| AmountError::TooLarge(shorten(number)))
}

/// As much of a text as belongs into a message.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_their_units() {
        for (text, wei) in [
            ("25", 25 * WEI_PER_LGN),
            ("1.5", 3 * WEI_PER_LGN / 2),
            ("1ether", WEI_PER_LGN),
            ("1.5 LGN", 3 * WEI_PER_LGN / 2),
            ("3gwei", 3 * WEI_PER_GWEI),
            ("0.000000001gwei", 1),
            (" 7 wei ", 7),
            ("7.000wei", 7),
            ("000.000000000000000001", 1),
            ("0", 0),
            ("340282366920938463463374607431768211455wei", u128::MAX),
            ("340282366920938463463.374607431768211455", u128::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Amount(wei)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "missing"),
            ("  ", "missing"),
            ("-1", "negative, got -1"),
            ("abc", "not an amount"),
            ("ether", "not an amount"),
            (".5", "not an amount"),
            ("5.", "not an amount"),
            ("1.2.3", "not an amount"),
            ("+1", "not an amount"),
            ("1e18", "\"e18\" is not a unit"),
            ("1_000", "is not a unit"),
            ("1,5", "is not a unit"),
            ("1 BTC", "is not a unit"),
            ("0x10", "is not a unit"),
            ("1.5wei", "has 1 decimals, its unit has 0"),
            ("0.0000000000000000001", "has 19 decimals, its unit has 18"),
            ("340282366920938463463374607431768211456wei", "too large"),
            ("340282366920938463463.374607431768211456", "too large"),
            ("99999999999999999999999999999999999999999", "too large"),
        ] {
            let error = text.parse::<Amount>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_long_text_does_not_flood_the_message() {
        let error = "9".repeat(10_000).parse::<Amount>().unwrap_err();
        assert!(error.to_string().len() < 200);
    }

    #[test]
    fn fees_need_their_unit() {
        assert_eq!(parse_fee("2gwei"), Ok(2 * WEI_PER_GWEI));
        assert_eq!(parse_fee("1500 wei"), Ok(1_500));
        assert_eq!(parse_fee("0"), Ok(0));
        assert_eq!(parse_fee("2"), Err(AmountError::NoUnit("2".to_string())));
        assert_eq!(parse_fee(""), Err(AmountError::Empty));
    }

    #[test]
    fn amounts_are_shown_exactly_and_short() {
        for (wei, text) in [
            (0, "0 LGN"),
            (1, "0.000000000000000001 LGN"),
            (25_000_021 * 1_000_000_000_000, "25.000021 LGN"),
            (1_000 * WEI_PER_LGN, "1000 LGN"),
        ] {
            assert_eq!(Amount(wei).to_string(), text);
        }
    }
}
