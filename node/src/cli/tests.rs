//! Holds the documents and files that are shipped beside the binary true to its command line: the
//! tables of docs/operating.md, the README's table of verbs, the manual, and what is in contrib/.

mod packaging;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use clap::{Arg, Command};

use super::*;
use crate::failure::Exit;

/// A file of the checkout.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example of a configuration file, with what it has commented out.
pub(crate) fn whole_example() -> String {
    let is_setting = |text: &str| text.starts_with(|c: char| c.is_ascii_lowercase());
    let text = file("contrib/lignum.toml");
    let lines = text.lines().map(|line| {
        let setting = line.strip_prefix('#').filter(|text| is_setting(text));
        setting.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The command line as it is when it runs.
fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The arguments of a verb that people may use, but for clap's own.
fn flags(command: &Command, verb: &str) -> Vec<Arg> {
    let verb = command.find_subcommand(verb).unwrap();
    let arguments = verb.get_arguments().filter(|arg| !arg.is_hide_set());
    arguments
        .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        .cloned()
        .collect()
}

/// The part of a text below a heading, up to the next one of its rank.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let at = text
        .find(&format!("{heading}\n"))
        .unwrap_or_else(|| panic!("no {heading}"));
    let rank = heading.split(' ').next().unwrap();
    let rest = &text[at + heading.len()..];
    rest.split(&format!("\n{rank} ")).next().unwrap()
}

/// The rows of the first table below a heading, without its head.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let lines = section(text, heading).lines();
    let table = lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    table.skip(2).map(cells).collect()
}

/// What stands between backticks, or nothing.
fn quoted(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_default()
}

/// The default that a flag's help names.
fn default_of(arg: &Arg) -> String {
    let help = arg.get_help().unwrap().to_string();
    let named = help.split_once("[default: ");
    named.map_or(String::new(), |(_, rest)| {
        rest.split(']').next().unwrap().to_owned()
    })
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_a_node_is_in_the_table_of_settings() {
    let text = file("docs/operating.md");
    let told: BTreeMap<_, _> = rows(&text, "## Settings")
        .into_iter()
        .map(|row| {
            assert!(!row[4].is_empty(), "{row:?} says nothing");
            let flag = quoted(row[0]).split(' ').next().unwrap().to_owned();
            (flag, (quoted(row[2]).to_owned(), row[3].to_owned()))
        })
        .collect();
    let known = flags(&command(), "node").into_iter().map(|arg| {
        let env = arg
            .get_env()
            .map_or(String::new(), |name| name.to_str().unwrap().to_owned());
        let flag = format!("--{}", arg.get_long().unwrap());
        (flag, (env, default_of(&arg)))
    });
    assert_eq!(told, known.collect());
}

#[test]
fn every_key_of_the_configuration_file_is_in_the_table_and_is_a_flag() {
    let text = file("docs/operating.md");
    let table = rows(&text, "## Settings");
    let told: BTreeSet<_> = table.iter().map(|row| quoted(row[1]).to_owned()).collect();
    for row in &table {
        let (flag, key) = (quoted(row[0]), quoted(row[1]));
        let flag = flag.trim_start_matches("--").split(' ').next().unwrap();
        assert!(key.is_empty() || key == flag, "{key} is set by --{flag}");
    }
    // Tests of the configuration say that the example has every key there is.
    let example: toml::Table = whole_example().parse().unwrap();
    let mut known = BTreeSet::from([String::new()]);
    for (key, value) in &example {
        match value.as_table() {
            None => known.extend([key.clone()]),
            Some(below) => known.extend(below.keys().map(|below| format!("{key}.{below}"))),
        }
    }
    assert_eq!(told, known);
}

#[test]
fn every_exit_code_is_in_the_table() {
    let text = file("docs/operating.md");
    let told: BTreeSet<u8> = rows(&text, "## Exit codes")
        .iter()
        .map(|row| row[0].parse().unwrap())
        .collect();
    let ours = [
        Exit::Other,
        Exit::Usage,
        Exit::Config,
        Exit::DirectoryInUse,
        Exit::PortInUse,
        Exit::Damaged,
        Exit::WrongNetwork,
        Exit::Unreachable,
    ];
    // Success, and those that only the wallet has.
    let mut known = BTreeSet::from([0, 8, 10]);
    known.extend(ours.map(|exit| exit as u8));
    // Two signals at once end a node without ceremony.
    known.insert(130);
    assert_eq!(told, known);
}

/// All Rust code below a folder, its strings joined where they go on in the next line.
fn code(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            out.extend(text.split("\\\n").map(str::trim_start));
        }
    }
}

#[test]
fn every_alarm_is_one_that_the_program_gives() {
    let mut said = String::new();
    for folder in ["src", "../p2p/src"] {
        code(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut said,
        );
    }
    let text = file("docs/operating.md");
    let rows = rows(&text, "## Alarms");
    assert!(rows.len() > 10);
    for phrase in rows
        .iter()
        .flat_map(|row| row[0].split('`').skip(1).step_by(2))
    {
        // Between what stands for numbers, names and reasons.
        let pieces = phrase
            .split('…')
            .flat_map(|piece| piece.split(" N "))
            .flat_map(|piece| piece.split(". "))
            .map(|piece| piece.trim_matches([' ', ':']));
        for piece in pieces.filter(|piece| piece.len() > 3 && !piece.starts_with("lignum_")) {
            assert!(
                said.contains(piece),
                "{piece:?} of {phrase:?} is said nowhere"
            );
        }
    }
}

#[test]
fn every_path_of_the_api_is_in_its_page() {
    let openapi: serde_json::Value = serde_json::from_str(&file("docs/openapi.json")).unwrap();
    let text = file("docs/api.md");
    let table = rows(&text, "# HTTP API");
    let paths = openapi["paths"].as_object().unwrap().keys();
    // What the page at /docs is made of is no API.
    for path in paths.filter(|path| !path.starts_with("/docs/")) {
        let segments = path
            .split('/')
            .filter(|part| !part.is_empty() && !part.starts_with('{'));
        let segments: Vec<_> = segments.collect();
        assert!(
            table
                .iter()
                .any(|row| segments.iter().all(|segment| row[0].contains(segment))),
            "{path} is not in docs/api.md"
        );
    }
}

#[test]
fn every_verb_is_in_the_readme() {
    let text = file("README.md");
    let told: String = rows(&text, "## Commands").concat().concat();
    for verb in command().get_subcommands().map(Command::get_name) {
        assert!(
            verb == "help" || told.contains(&format!("`lignum {verb}")),
            "{verb} is not in the README's table"
        );
    }
}

#[test]
fn every_variable_that_a_document_names_exists() {
    let command = command();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut verbs: Vec<&Command> = vec![&command];
    while let Some(verb) = verbs.pop() {
        verbs.extend(verb.get_subcommands());
        let named = verb.get_arguments().filter_map(Arg::get_env);
        known.extend(named.map(|name| name.to_str().unwrap().to_owned()));
    }
    for path in [
        "README.md",
        "docs/operating.md",
        "contrib/lignum.service",
        "contrib/Dockerfile",
    ] {
        let text = file(path);
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        for rest in text.split("LIGNUM_").skip(1) {
            let name: String = rest.chars().take_while(|c| is_part(*c)).collect();
            let name = format!("LIGNUM_{name}");
            assert!(name == "LIGNUM_" || known.contains(&name), "{path}: {name}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_verb_and_every_flag() {
    let directory = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(Cli::command(), directory.path()).unwrap();
    let page = |name: String| {
        let text = fs::read_to_string(directory.path().join(name)).unwrap();
        text.replace('\\', "")
    };
    let top = page("lignum.1".to_owned());
    for verb in command()
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        let name = verb.get_name();
        assert!(top.contains(&format!("lignum-{name}(1)")), "{name}");
        assert!(page(format!("lignum-{name}.1")).contains("NAME"));
    }
    let node = page("lignum-node.1".to_owned());
    for arg in flags(&command(), "node") {
        let flag = format!("--{}", arg.get_long().unwrap());
        assert!(node.contains(&flag), "{flag} is not in {node}");
    }
    assert!(node.contains("LIGNUM_HTTP_PORT"), "{node}");
}
