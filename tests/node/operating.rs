//! docs/operating.md against a running node: its metrics and its files. What it says of the command
//! line is held by tests of the binary itself.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::harness::{World, assert_fails, lignum, raw_http, stderr, stdout};

/// A table of the page: the cells of each row below a heading.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, below) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let table = below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    table.skip(2).map(cells).collect()
}

/// Name, type and help of every metric in an OpenMetrics text, by the names that are asked for.
fn metrics(text: &str) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let mut help = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            help.insert(name, words.trim_end_matches('.').to_owned());
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let total = if kind == "counter" { "_total" } else { "" };
            found.insert(
                format!("`{name}{total}`"),
                (kind.to_owned(), help[name].clone()),
            );
        }
    }
    found
}

#[test]
fn the_page_has_the_metrics_of_a_node() {
    let world = World::new();
    let node = world.node("node").start();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        node.http()
    );
    let (status, text) = raw_http(&node.http(), request.as_bytes());
    assert_eq!(status, 200, "{text}");
    let mut told: BTreeMap<_, _> = rows("Metrics")
        .into_iter()
        .map(|row| (row[0].clone(), (row[1].clone(), row[2].clone())))
        .collect();
    // It has a value for each result, and may have none before the first share.
    let mut live = metrics(&text);
    live.remove("`lignum_stratum_shares_total`");
    assert!(told.remove("`lignum_stratum_shares_total`").is_some());
    assert_eq!(told, live);
}

#[test]
fn the_page_has_the_files_of_a_data_directory() {
    let world = World::new();
    let node = world.node("node").start();
    let list = || -> Vec<String> {
        let entries = fs::read_dir(world.path("node")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".new")).collect()
    };
    let told = |when: &[&str]| -> Vec<String> {
        let rows = rows("Files").into_iter();
        let rows = rows.filter(|row| when.iter().any(|when| row[2] == *when));
        let mut names: Vec<_> = rows
            .map(|row| row[0].trim_matches('`').to_owned())
            .collect();
        names.sort();
        names
    };
    let sorted = || {
        let mut names = list();
        names.sort();
        names
    };
    // The book of peers is written now and then, and at the end.
    let mut running = sorted();
    running.retain(|name| name != "peers");
    running.push("peers".to_owned());
    running.sort();
    assert_eq!(running, told(&["always", "while it runs"]));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(sorted(), told(&["always"]));
}

/// A script for a shell, which is longer than a pipe holds.
fn completions(shell: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lignum"));
    command.args(["completions", shell]).output().unwrap()
}

#[test]
fn completions_are_a_script_that_bash_reads() {
    let world = World::new();
    let script = completions("bash");
    assert!(script.status.success());
    let path = world.path("completions.bash");
    fs::write(&path, &script.stdout).unwrap();
    // What bash would offer after `lignum wal`, and after `lignum node --http.p`.
    let offers = |words: &str, index: usize| {
        let ask = format!(
            ". {}; COMP_WORDS=({words}); COMP_CWORD={index}; _lignum lignum \"${{COMP_WORDS[{index}]}}\" ''; \
             echo \"${{COMPREPLY[@]}}\"",
            path.display()
        );
        let bash = Command::new("bash").args(["-c", &ask]).output().unwrap();
        stdout(&bash).trim().to_owned()
    };
    assert_eq!(offers("lignum wal", 1), "wallet");
    assert_eq!(offers("lignum node --http.p", 2), "--http.port");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = completions(shell);
        assert!(stdout(&script).contains("wallet"), "{shell}");
    }
    assert_eq!(completions("tcsh").status.code(), Some(2));
}

#[test]
fn the_manual_goes_to_standard_output_or_into_a_directory() {
    let world = World::new();
    let page = lignum(&["man"]);
    assert!(stdout(&page).contains(".TH lignum 1"), "{}", stdout(&page));
    let directory = world.path("man").join("man1");
    let place = directory.display().to_string();
    assert!(lignum(&["man", &place]).status.success());
    for name in ["lignum.1", "lignum-node.1", "lignum-wallet-send.1"] {
        let text = fs::read_to_string(directory.join(name)).unwrap();
        assert!(text.contains(".SH NAME"), "{name}: {text}");
    }
    let file = directory.join("lignum.1").display().to_string();
    let refused = lignum(&["man", &file]);
    assert_fails(&refused, 1, &["cannot write pages", &file]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lignum"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
}
