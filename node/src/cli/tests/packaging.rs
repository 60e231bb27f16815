//! Holds the systemd unit and the Dockerfile of contrib/ to what they lean on: verbs, flags, exit
//! codes, files of the checkout and the toolchain's version. Neither is started here.

use super::*;

/// The value of each `Key=value` line of a unit, or all lines of a Dockerfile's instruction.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(key));
    lines.map(str::trim).collect()
}

/// Fails unless clap takes these arguments, the program's name first.
#[track_caller]
fn assert_taken(arguments: &[&str]) {
    if let Err(error) = Cli::command().try_get_matches_from(arguments) {
        panic!("{arguments:?}: {error}");
    }
}

/// The strings of a JSON list.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_unit_starts_a_node_and_leaves_one_alone_that_a_start_does_not_mend() {
    let unit = file("contrib/lignum.service");
    let start: Vec<_> = values(&unit, "ExecStart=")[0].split(' ').collect();
    assert!(
        start[0].ends_with("/lignum") && start[1] == "node",
        "{start:?}"
    );
    assert_taken(&start);
    assert_eq!(values(&unit, "Restart="), ["on-failure"]);
    let kept: BTreeSet<u8> = values(&unit, "RestartPreventExitStatus=")[0]
        .split(' ')
        .map(|code| code.parse().unwrap())
        .collect();
    for exit in [Exit::Usage, Exit::Config, Exit::Damaged, Exit::WrongNetwork] {
        assert!(kept.contains(&(exit as u8)), "{exit:?}");
    }
    for exit in [Exit::Other, Exit::DirectoryInUse, Exit::PortInUse] {
        assert!(!kept.contains(&(exit as u8)), "{exit:?}");
    }
    let user = values(&unit, "User=")[0];
    assert_eq!(values(&unit, "StateDirectory="), [user]);
    let directory = format!("LIGNUM_DATADIR=/var/lib/{user}");
    assert_eq!(values(&unit, "Environment="), [directory]);
}

#[test]
fn the_image_is_built_from_the_checkout_with_its_toolchain() {
    let text = file("contrib/Dockerfile");
    let manifest: toml::Table = file("Cargo.toml").parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    let images = values(&text, "FROM ");
    let debian = "bookworm";
    assert_eq!(images[0], format!("rust:{version}-{debian} AS build"));
    // A plain name leaves it to the reader's machine where images come from.
    assert!(
        images.iter().all(|image| !image.contains(['/', '@'])),
        "{images:?}"
    );
    // What was linked against one system's C library runs on the same.
    assert!(images[1].contains(debian), "{images:?}");
    for copied in values(&text, "COPY ")
        .iter()
        .filter(|copied| !copied.starts_with("--from="))
    {
        let sources = copied.rsplit_once(' ').unwrap().0;
        for source in sources.split(' ') {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(source);
            assert!(path.exists(), "{source} is not in the checkout");
        }
    }
    let ignored = file(".dockerignore");
    assert!(ignored.lines().any(|line| line == "target"), "{ignored}");
}

#[test]
fn the_image_runs_a_node_as_somebody_without_rights() {
    let text = file("contrib/Dockerfile");
    let entry = list(values(&text, "ENTRYPOINT ")[0]);
    let words = |key: &str| {
        let last = values(&text, key).last().copied().unwrap().to_owned();
        list(&last)
    };
    let (node, check) = (words("CMD "), words("    CMD "));
    let start: Vec<_> = entry.iter().chain(&node).map(String::as_str).collect();
    assert_eq!(start[..2], ["lignum", "node"]);
    assert_taken(&start);
    assert_taken(&check.iter().map(String::as_str).collect::<Vec<_>>());
    let user = values(&text, "USER ");
    assert_eq!(user.len(), 1);
    assert!(
        text.contains(&format!(" {}\n", user[0])) && user[0] != "root",
        "{user:?}"
    );
    let volume = values(&text, "VOLUME ")[0];
    let directory = format!("LIGNUM_DATADIR={volume}");
    assert!(values(&text, "ENV ").contains(&&*directory), "{directory}");
    let ports = values(&text, "EXPOSE ").join(" ");
    let (p2p, http) = (crate::config::PORT, crate::config::HTTP_PORT);
    assert_eq!(ports, format!("{p2p}/tcp {p2p}/udp {http}/tcp"));
}
