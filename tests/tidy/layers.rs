//! Layers: which crate may depend on which, which file may name which library, and what the pure
//! crates may not touch.

use crate::source::{code, line_of, split_tests, words};

/// The crates of the workspace, by folder and by `[lib]` name.
pub const CRATES: [&str; 7] = ["api", "chain", "miner", "node", "p2p", "state", "wallet"];

/// What a crate may depend on among the crates of the workspace, also for its tests.
fn allowed(package: &str) -> &'static [&'static str] {
    match package {
        "state" | "p2p" | "miner" | "wallet" => &["chain"],
        "api" => &["chain", "state"],
        "node" => &["api", "chain", "miner", "p2p", "state", "wallet"],
        _ => &[],
    }
}

/// The names of all dependencies in a manifest: ordinary, for tests, for builds, per target. Renamed
/// ones (`package = "…"`) are given by the name of the package.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            // `[dependencies.name]` is a section of its own.
            if let Some((_, name)) = section.rsplit_once("dependencies.") {
                found.push(name.trim_matches('"').to_string());
            }
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            // An indented line continues the value above.
            if !line.starts_with([' ', '\t', '"']) {
                found.push(package_of(key, value));
            }
        }
    }
    found
}

fn package_of(key: &str, value: &str) -> String {
    let renamed = value
        .split_once("package")
        .and_then(|(_, rest)| rest.split('"').nth(1));
    let key = key.trim().split('.').next().unwrap_or_default();
    renamed.unwrap_or(key).to_string()
}

/// The workspace crate that a dependency's name stands for, if it is one.
pub fn workspace_crate(name: &str) -> Option<&'static str> {
    let short = name.strip_prefix("lignum-").unwrap_or(name);
    CRATES.into_iter().find(|&known| known == short)
}

/// Edges between crates that the layers forbid.
pub fn check_edges(package: &str, manifest: &str) -> Vec<String> {
    let crates = dependencies(manifest);
    let edges = crates.iter().filter_map(|name| workspace_crate(name));
    let forbidden = edges.filter(|to| !allowed(package).contains(to));
    forbidden
        .map(|to| format!("{package}/Cargo.toml: {package} may not depend on {to}"))
        .collect()
}

/// A library and the path prefixes under which source may name it.
const OWNERS: [(&str, &[&str]); 6] = [
    ("revm", &["state/src/evm.rs", "state/src/evm/"]),
    ("libp2p", &["p2p/src/"]),
    ("redb", &["node/src/store/"]),
    ("sled", &["node/src/store/"]),
    (
        "alloy_consensus",
        &[
            "chain/src/transaction.rs",
            "chain/src/receipt.rs",
            "state/src/",
            "wallet/src/",
        ],
    ),
    (
        "serde_json",
        &[
            "chain/src/spec",
            "miner/src/",
            "wallet/src/",
            "api/src/",
            "node/src/",
        ],
    ),
];

/// What makes a computation depend on more than its arguments.
const IMPURE: [&str; 12] = [
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "tokio",
    "rayon",
    "rand",
    "getrandom",
    "std::thread",
    "std::fs",
    "std::net",
    "std::env",
];

/// Names within `use std::{…}` that the list above catches only as paths.
const IMPURE_IN_STD: [&str; 4] = ["thread", "fs", "net", "env"];

/// A file of a crate that names what it may not. Unit tests are exempt, except from the ban on
/// unsafe code, which holds for files outside the crates too.
pub fn check_names(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !path.starts_with("miner/src/kernel") {
        report(&mut problems, path, &code(text), "unsafe");
    }
    if !path.contains("/src/") || path.ends_with("/tests.rs") {
        return problems;
    }
    let body = code(split_tests(text).0);
    for (library, owners) in OWNERS {
        if !owners.iter().any(|owner| path.starts_with(owner)) {
            report(&mut problems, path, &body, library);
        }
    }
    if path.starts_with("chain/") || path.starts_with("state/") {
        IMPURE
            .iter()
            .for_each(|name| report(&mut problems, path, &body, name));
        for (at, _) in body.match_indices("use std::{") {
            let list = body[at..].split(';').next().unwrap_or_default();
            IMPURE_IN_STD
                .iter()
                .for_each(|name| report(&mut problems, path, list, name));
        }
    }
    problems
}

fn report(problems: &mut Vec<String>, path: &str, code: &str, name: &str) {
    if let Some(at) = words(code, name).next() {
        problems.push(format!(
            "{path}:{}: `{name}` is not allowed here",
            line_of(code, at)
        ));
    }
}

/// Dependencies without a line of their own in the architecture: a list item or table row that
/// names them in backticks.
pub fn check_documented(names: &[String], architecture: &str) -> Vec<String> {
    let lines: Vec<&str> = architecture
        .lines()
        .filter(|line| line.starts_with(['-', '|']))
        .collect();
    let undocumented = names.iter().filter(|name| {
        let quoted = format!("`{name}`");
        workspace_crate(name).is_none() && !lines.iter().any(|line| line.contains(&quoted))
    });
    undocumented
        .map(|name| format!("ARCHITECTURE.md: no line for the dependency `{name}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind_are_found() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nchain.workspace = true\nbig = { version = \"1\", features = [\n    \"a=b\",\n] }\n\
            # no = 1\n[dev-dependencies]\nother = { package = \"lignum-node\", path = \"..\" }\n[target.'cfg(unix)'.build-dependencies]\ncc = \"1\"\n\
            [dependencies.wallet]\npath = \"../wallet\"\n[lints]\nworkspace = true\n";
        assert_eq!(
            dependencies(manifest),
            ["chain", "big", "lignum-node", "cc", "wallet"]
        );
    }

    #[test]
    fn a_forbidden_edge_is_caught() {
        assert_eq!(
            check_edges("state", "[dependencies]\nchain.workspace = true\n").len(),
            0
        );
        assert_eq!(
            check_edges("state", "[dependencies]\np2p.workspace = true\n").len(),
            1
        );
        assert_eq!(
            check_edges("chain", "[dev-dependencies]\nstate.workspace = true\n").len(),
            1
        );
        assert_eq!(
            check_edges("api", "[dependencies]\nn = { package = \"lignum-node\" }\n").len(),
            1
        );
        assert_eq!(
            check_edges("node", "[dependencies]\napi.workspace = true\n").len(),
            0
        );
    }

    #[test]
    fn a_library_out_of_its_place_is_caught() {
        let caught = |path: &str, text: &str| !check_names(path, text).is_empty();
        assert!(caught("state/src/tree.rs", "use revm::Database;"));
        assert!(!caught("state/src/evm.rs", "use revm::Database;"));
        assert!(caught("node/src/run.rs", "libp2p::Swarm"));
        assert!(caught("node/src/view.rs", "use redb::Database;"));
        assert!(!caught("node/src/store/redb.rs", "use redb::Database;"));
        assert!(caught("api/src/view.rs", "alloy_consensus::TxEnvelope"));
        assert!(caught("p2p/src/codec.rs", "serde_json::to_vec(x)"));
        assert!(caught("chain/src/block.rs", "serde_json::to_vec(x)"));
        assert!(!caught("chain/src/spec.rs", "serde_json::to_vec(x)"));
        assert!(!caught(
            "node/src/view.rs",
            "// redb keeps it\nlet redb_path = \"redb\";"
        ));
    }

    #[test]
    fn impurity_is_caught_in_the_pure_crates() {
        for name in IMPURE {
            let text = format!("use {name};");
            assert_eq!(check_names("chain/src/a.rs", &text).len(), 1, "{name}");
            assert_eq!(check_names("state/src/a.rs", &text).len(), 1, "{name}");
            assert_eq!(check_names("node/src/a.rs", &text).len(), 0, "{name}");
        }
        assert_eq!(
            check_names("chain/src/a.rs", "use std::{fmt, fs};").len(),
            1
        );
        let tested = "//! x\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(check_names("chain/src/a.rs", tested).len(), 0);
    }

    #[test]
    fn unsafe_code_outside_the_kernel_is_caught() {
        let text = "//! x\n#[cfg(test)]\nmod tests { fn f() { unsafe { g() } } }\n";
        assert_eq!(check_names("miner/src/kernel/avx512.rs", text).len(), 0);
        assert_eq!(check_names("miner/src/search.rs", text).len(), 1);
        assert_eq!(check_names("tests/node/main.rs", text).len(), 1);
        assert_eq!(
            check_names("chain/src/lib.rs", "#![forbid(unsafe_code)]").len(),
            0
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_caught() {
        let names = ["redb".to_string(), "chain".to_string()];
        assert_eq!(
            check_documented(&names, "| `redb` | the store |\n").len(),
            0
        );
        assert_eq!(
            check_documented(&names, "We like `redb`.\n| redb2 |\n").len(),
            1
        );
    }
}
