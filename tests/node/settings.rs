//! Where a node's settings come from: flags win, then the environment, then the file.

use std::{fs, net::TcpListener};

use crate::harness::{World, assert_fails, lignum, lignum_with, stderr};

#[test]
fn flags_win_then_the_environment_then_the_file() {
    let world = World::new();
    let file = world.path("config.toml");
    let is_mining = |written: &str, variable: &str, flags: &[&str]| {
        fs::write(
            &file,
            format!("mine = {written}\nbeneficiary = \"dev:9\"\n"),
        )
        .unwrap();
        let node = world.node("node").with(flags);
        let node = node.with(&["--throttle", "1", "--config", file.to_str().unwrap()]);
        // An empty variable is an empty list, not one empty address.
        let node = node
            .env("LIGNUM_BOOTNODES", "")
            .env("LIGNUM_MINE", variable);
        node.start().get("/v1/status")["mining"] == true
    };
    assert!(is_mining("false", "1", &[]));
    assert!(!is_mining("true", "false", &[]));
    assert!(is_mining("false", "0", &["--mine"]));
    assert!(!is_mining("true", "yes", &["--mine=false"]));
}

#[test]
fn a_spec_file_names_the_directory_for_init_and_node_alike() {
    let world = World::new();
    let spec = world.spec().display().to_string();
    let home = world.path("home").display().to_string();
    let environment = [("HOME", &*home), ("XDG_DATA_HOME", &*home)];
    let made = lignum_with(&environment, &["init", &spec]);
    assert!(made.status.success(), "{}", stderr(&made));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let arguments = [
        "node",
        "--network",
        &spec,
        "--port",
        "0",
        "--http.port",
        &port,
    ];
    // It comes as far as its port.
    assert_fails(&lignum_with(&environment, &arguments), 5, &[&port]);
    let directories: Vec<_> = fs::read_dir(world.path("home").join("lignum"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(directories, ["network"]);
}

#[test]
fn a_bad_file_is_refused_with_its_place() {
    let world = World::new();
    let file = world.path("config.toml").display().to_string();
    let directory = world.path("node").display().to_string();
    for (text, said) in [
        ("port = \"x\"", "line 1"),
        ("prot = 1", "prot"),
        ("log-format = \"xml\"", "xml"),
        ("[http]\nport = 65536", "65536"),
        ("port = 1\n[[[", "line 2"),
    ] {
        fs::write(&file, text).unwrap();
        let output = lignum(&["node", "--datadir", &directory, "--config", &file]);
        assert_fails(&output, 3, &["config.toml", said]);
    }
    fs::remove_file(&file).unwrap();
    let output = lignum(&["node", "--datadir", &directory, "--config", &file]);
    assert_fails(&output, 3, &["config.toml"]);
}
