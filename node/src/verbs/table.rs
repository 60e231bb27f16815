//! What the verbs that show a node's answers share: asking, and tables for people.

use std::time::Duration;

use serde_json::Value;

use super::NodeUrl;
use crate::{
    devnet::client,
    failure::{Exit, Failure},
};

/// Characters of the longest cell.
const CELL_CHARS_MAX: usize = 100;

/// Asks a node for a path; the answer and the node's URL.
pub fn ask(node: &NodeUrl, path: &str) -> Result<(String, Value), Failure> {
    let url = node.resolve()?;
    match client::get(&url, path, Duration::from_secs(5)) {
        Ok(answer) => Ok((url, answer)),
        Err(error) => {
            let hint = "start one with `lignum devnet` or name it with --node";
            let what = format!("node {url} is not reachable ({error}): {hint}");
            Err(Failure::new(Exit::Unreachable, what))
        }
    }
}

/// JSON for programs, in printable ASCII: what strangers wrote does nothing to a terminal.
pub fn json(answer: &Value) -> String {
    let text = format!("{answer:#}");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == ' ' || c.is_ascii_graphic() {
            out.push(c);
        } else {
            // What is left stands inside of strings, where this means the same.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A value as a cell: short, and with a `?` in the place of all but printable ASCII.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let shown = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    let cut: String = text.chars().take(CELL_CHARS_MAX).map(shown).collect();
    if text.chars().count() > CELL_CHARS_MAX {
        format!("{cut}...")
    } else {
        cut
    }
}

/// The begin and the end of a hash or a peer id.
pub fn shortened(value: &Value) -> String {
    let text = cell(value);
    let count = text.chars().count();
    if count <= 18 {
        return text;
    }
    let begin: String = text.chars().take(10).collect();
    let end: String = text.chars().skip(count - 4).collect();
    format!("{begin}..{end}")
}

/// Rows below a heading, each column as wide as its widest cell.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let width = |column: usize| {
        let widths = all().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["bbb".to_owned(), "22".to_owned()],
        ];
        assert_eq!(table(["x", "y"], &rows), "x    y\na    1\nbbb  22\n");
    }

    /// What a stranger calls itself does nothing to a terminal.
    #[test]
    fn strangers_write_printable_ascii_only() {
        let evil: Value = "a\u{1b}[2J\n\u{9b}é\u{202e}".into();
        assert_eq!(cell(&evil), "a?[2J????");
        let answer = serde_json::json!({ "id": evil, "other": "😀\u{7f}" });
        let text = json(&answer);
        assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), answer);
        assert_eq!(cell(&"x".repeat(1_000).into()).len(), CELL_CHARS_MAX + 3);
        let hash = format!("0x01234567{}cdef", "0".repeat(52));
        assert_eq!(shortened(&hash.into()), "0x01234567..cdef");
    }
}
