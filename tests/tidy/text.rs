//! Text: words that must not be committed, rule ids that must agree between the protocol, the code
//! and the tests, and constants that must be explained.

use std::collections::BTreeSet;

use crate::source::{line_of, split_tests};

/// Banned in every text file. Written in two pieces so that this file does not contain them.
const BANNED: [[&str; 2]; 17] = [
    ["TO", "DO"],
    ["FIX", "ME"],
    ["XX", "X"],
    ["unimpl", "emented!"],
    ["to", "do!("],
    ["#[ig", "nore"],
    ["Arc<Mu", "tex"],
    ["mod ut", "ils"],
    ["../sh", "ared"],
    [".lib", "rary"],
    ["farm-", "bench"],
    ["crates", ".io"],
    ["pypi", ".org"],
    ["pythonhosted", ".org"],
    ["npmjs", ".org"],
    ["npmjs", ".com"],
    ["proxy.golang", ".org"],
];

/// Whether the ban covers a file.
pub fn is_text(path: &str) -> bool {
    let endings = [".rs", ".md", ".toml", ".sh", ".yml"];
    path.starts_with(".ci/") || endings.iter().any(|ending| path.ends_with(ending))
}

/// Banned words, and public re-exports of everything.
pub fn check_words(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for word in BANNED.map(|pieces| pieces.concat()) {
        if let Some(at) = text.find(&word) {
            problems.push(format!("{path}:{}: contains `{word}`", line_of(text, at)));
        }
    }
    for (index, line) in text.lines().enumerate().filter(|_| path.ends_with(".rs")) {
        if line.trim_start().starts_with("pub use ") && line.contains("::*") {
            problems.push(format!("{path}:{}: re-exports everything", index + 1));
        }
    }
    problems
}

/// A rule id at the beginning of a text: one capital letter and digits.
fn rule_id(text: &str) -> Option<&str> {
    let digits = text
        .get(1..)?
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    let ends = !text[1 + digits..].starts_with(crate::source::is_word);
    (text.starts_with(|c: char| c.is_ascii_uppercase()) && digits > 0 && ends)
        .then(|| &text[..1 + digits])
}

/// The ids that the protocol defines, in order, with repetitions.
pub fn defined_rules(protocol: &str) -> Vec<&str> {
    let items = protocol
        .lines()
        .filter_map(|line| line.strip_prefix("- **"));
    items
        .filter_map(|item| rule_id(item).filter(|id| item[id.len()..].starts_with("**")))
        .collect()
}

/// The ids that a text names as `Rule ID`.
fn named_rules(text: &str) -> BTreeSet<&str> {
    text.split("Rule ").skip(1).filter_map(rule_id).collect()
}

/// The ids in the documentation comments of a text.
fn documented_rules(text: &str) -> BTreeSet<&str> {
    let docs = text.lines().map(str::trim_start);
    docs.filter(|line| line.starts_with("///") || line.starts_with("//!"))
        .flat_map(named_rules)
        .collect()
}

/// Rules without code, without a test, defined twice, or named without being defined. Takes the
/// protocol and all Rust files as (path, text).
pub fn check_rules(protocol: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (mut coded, mut tested) = (BTreeSet::new(), BTreeSet::new());
    let mut problems = Vec::new();
    let defined = defined_rules(protocol);
    for &(path, text) in files {
        for id in named_rules(text)
            .into_iter()
            .filter(|id| !defined.contains(id))
        {
            problems.push(format!(
                "{path}: names Rule {id}, which the protocol does not define"
            ));
        }
        if path.starts_with("tests/") || path.ends_with("/tests.rs") {
            tested.extend(named_rules(text));
        } else if path.contains("/src/") {
            let (body, tail) = split_tests(text);
            coded.extend(documented_rules(body));
            tested.extend(named_rules(tail));
        }
    }
    let mut seen = BTreeSet::new();
    for id in defined {
        let missing = [
            (seen.insert(id), "is defined twice"),
            (
                coded.contains(id),
                "is named in no documentation comment of the code",
            ),
            (tested.contains(id), "is named in no test"),
        ];
        let failed = missing.iter().filter(|(holds, _)| !holds);
        problems.extend(failed.map(|(_, what)| format!("docs/protocol.md: Rule {id} {what}")));
    }
    problems
}

/// Public constants without a documentation comment.
pub fn check_constants(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut documented = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("pub const ") && !documented {
            problems.push(format!("{path}:{}: constant without a reason", index + 1));
        }
        documented = line.starts_with("///") || (documented && line.starts_with("#["));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_banned_word_is_caught() {
        for word in BANNED.map(|pieces| pieces.concat()) {
            assert_eq!(
                check_words("a.md", &format!("fine\nnot {word} fine\n")).len(),
                1,
                "{word}"
            );
        }
        assert_eq!(
            check_words("a.rs", "pub use chain::Block;\nuse super::*;\n").len(),
            0
        );
        assert_eq!(check_words("a.rs", "    pub use chain::*;\n").len(), 1);
        assert_eq!(
            check_words("a.rs", "pub use chain::{block::*, Header};\n").len(),
            1
        );
    }

    #[test]
    fn text_files_are_told_from_others() {
        assert!(is_text(".ci/run") && is_text("docs/a.md") && is_text("chain/src/lib.rs"));
        assert!(!is_text("Cargo.lock") && !is_text("api/assets/icon.png"));
    }

    const PROTOCOL: &str = "see **H9**\n- **H1** Work.\n- **H22** Time.\n- **Bold** words.\n";
    const CODE: &str = "//! x\n/// Rule H1: work.\nfn a() {}\n/// Rule H22.\nfn b() {}\n";

    #[test]
    fn rules_in_agreement_pass() {
        assert_eq!(defined_rules(PROTOCOL), ["H1", "H22"]);
        let test = ("tests/chain.rs", "// Rule H1 and Rule H22\n");
        assert_eq!(
            check_rules(PROTOCOL, &[("chain/src/a.rs", CODE), test]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_rule_without_code_test_or_definition_is_caught() {
        let test = ("tests/chain.rs", "// Rule H1 and Rule H22\n");
        assert_eq!(
            check_rules(
                PROTOCOL,
                &[("chain/src/a.rs", "// Rule H1\n/// Rule H22\n"), test]
            )
            .len(),
            1
        );
        assert_eq!(
            check_rules(
                PROTOCOL,
                &[("chain/src/a.rs", CODE), ("tests/a.rs", "// Rule H1")]
            )
            .len(),
            1
        );
        let unknown = ("node/src/run.rs", "/// Rule H2");
        assert_eq!(
            check_rules(PROTOCOL, &[("chain/src/a.rs", CODE), test, unknown]).len(),
            1
        );
        let twice = format!("{PROTOCOL}- **H1** Again.\n");
        assert_eq!(
            check_rules(&twice, &[("chain/src/a.rs", CODE), test]).len(),
            1
        );
    }

    #[test]
    fn unit_tests_count_as_tests_and_not_as_code() {
        let tail = "#[cfg(test)]\nmod tests {\n    /// Rule H1 and Rule H22.\n    fn a() {}\n}\n";
        let both = format!("{CODE}{tail}");
        assert_eq!(check_rules(PROTOCOL, &[("chain/src/a.rs", &both)]).len(), 0);
        assert_eq!(
            check_rules(PROTOCOL, &[("chain/src/a.rs", &format!("//! x\n{tail}"))]).len(),
            2
        );
    }

    #[test]
    fn an_unexplained_constant_is_caught() {
        let text = "/// Bytes.\n#[rustfmt::skip]\npub const A: u8 = 1;\npub const B: u8 = 1;\n";
        assert_eq!(
            check_constants("a.rs", text),
            ["a.rs:4: constant without a reason"]
        );
    }
}
