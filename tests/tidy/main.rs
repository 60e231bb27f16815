//! House rules that no compiler checks: layers, lengths, headers, rule ids, banned words. Each
//! check is a function of text, with a test beside it which shows that it catches a violation.

mod layers;
mod source;
mod text;

use std::path::Path;
use std::process::Command;

/// Files that must exist at the root.
const REQUIRED: [&str; 5] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
];

/// The checkout: every file that is text, by its path from the root.
struct Repository {
    files: Vec<(String, String)>,
}

impl Repository {
    fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut paths = tracked(&root).unwrap_or_else(|| walk(&root, Path::new("")));
        paths.sort();
        let read = |path: String| {
            let wanted = text::is_text(&path) || REQUIRED.contains(&path.as_str());
            // A file may be tracked and yet be deleted, or be no text after all.
            let text = wanted.then(|| std::fs::read_to_string(root.join(&path)).ok())??;
            Some((path, text))
        };
        Self {
            files: paths.into_iter().filter_map(read).collect(),
        }
    }

    fn file(&self, path: &str) -> &str {
        let found = self.files.iter().find(|(known, _)| known == path);
        found.map_or_else(|| panic!("{path} is missing"), |(_, text)| text)
    }

    fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self
            .files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| path.ends_with(".rs"))
    }

    fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.strip_suffix("/Cargo.toml")?, &**text)))
    }
}

/// What git knows or would add; nothing where there is no git or no repository.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let list = String::from_utf8(output.stdout).ok()?;
    Some(list.split_terminator('\0').map(String::from).collect())
}

/// The same for a source archive: every file but the products of a build.
fn walk(root: &Path, folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(folder)).expect("the checkout can be read");
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.expect("the checkout can be read").file_name();
        let path = folder.join(&name);
        if name == "target" || name == ".git" {
            continue;
        } else if root.join(&path).is_dir() {
            found.extend(walk(root, &path));
        } else {
            found.extend(path.to_str().map(String::from));
        }
    }
    found
}

#[track_caller]
fn assert_none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn required_files_exist() {
    let repository = Repository::open();
    REQUIRED
        .iter()
        .for_each(|path| assert!(!repository.file(path).is_empty(), "{path} is empty"));
}

#[test]
fn layers_hold() {
    let repository = Repository::open();
    let members: Vec<&str> = repository.manifests().map(|(package, _)| package).collect();
    assert_eq!(
        members,
        layers::CRATES,
        "a crate was added or removed: amend the layers first"
    );
    assert_none(
        repository
            .manifests()
            .flat_map(|(p, text)| layers::check_edges(p, text)),
    );
}

#[test]
fn libraries_stay_in_their_places() {
    let repository = Repository::open();
    assert_none(
        repository
            .rust()
            .flat_map(|(path, text)| layers::check_names(path, text)),
    );
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let repository = Repository::open();
    assert_none(
        repository
            .rust()
            .flat_map(|(path, text)| source::check_file(path, text)),
    );
}

#[test]
fn rules_have_code_and_tests() {
    let repository = Repository::open();
    // These very checks name ids that do not exist.
    let files: Vec<_> = repository
        .rust()
        .filter(|(path, _)| !path.starts_with("tests/tidy"))
        .collect();
    let protocol = repository.file("docs/protocol.md");
    assert!(
        !text::defined_rules(protocol).is_empty(),
        "the protocol defines no rules"
    );
    assert_none(text::check_rules(protocol, &files));
}

#[test]
fn banned_words_do_not_occur() {
    let repository = Repository::open();
    let files = repository
        .files
        .iter()
        .filter(|(path, _)| text::is_text(path));
    assert_none(files.flat_map(|(path, text)| text::check_words(path, text)));
}

#[test]
fn constants_are_explained() {
    let path = "chain/src/params.rs";
    assert_none(text::check_constants(path, Repository::open().file(path)));
}

#[test]
fn dependencies_are_explained() {
    let repository = Repository::open();
    let mut names = layers::dependencies(repository.file("Cargo.toml"));
    names.extend(
        repository
            .manifests()
            .flat_map(|(_, text)| layers::dependencies(text)),
    );
    names.sort();
    names.dedup();
    assert!(
        names.len() > layers::CRATES.len(),
        "the manifests were not understood"
    );
    assert_none(layers::check_documented(
        &names,
        repository.file("ARCHITECTURE.md"),
    ));
}

#[test]
fn a_walk_finds_sources_and_no_products_of_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let all = walk(&root, Path::new(""));
    assert!(all.iter().any(|path| path == "tests/tidy/main.rs"));
    assert!(
        !all.iter()
            .any(|path| path.starts_with("target/") || path.starts_with(".git/"))
    );
}
