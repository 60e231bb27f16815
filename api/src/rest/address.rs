//! Addresses in paths.

use chain::Address;

use crate::error::Problem;

/// An address in hex; mixed case must be EIP-55's checksum.
pub fn parse(text: &str) -> Result<Address, Problem> {
    let bad = |detail: String| Problem::bad_request("bad_address", detail);
    let shown: String = text.chars().take(80).collect();
    let address: Address = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 40)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad(format!("an address is 0x and 40 hex digits, got {shown:?}")))?;
    let has = |is_case: fn(&u8) -> bool| text[2..].bytes().any(|byte| is_case(&byte));
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    if is_mixed && address.to_checksum(None) != text {
        return Err(bad(format!(
            "the checksum of address {shown} is wrong (EIP-55): a typing error?"
        )));
    }
    Ok(address)
}
