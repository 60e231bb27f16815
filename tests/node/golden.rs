//! Data directories that programs of this and of older formats wrote (`tests/vectors/stores`).
//!
//! Threat X5. What one of this format holds is served as it was, byte for byte the same head and
//! state; an older one is refused with the command that rebuilds it, which then does; a newer one
//! is refused.

use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
};

use flate2::read::GzDecoder;
use redb::{Database, TableDefinition};
use serde_json::Value;

use crate::harness::{Node, World, assert_fails, lignum, stdout};

/// A golden directory, unpacked, and what its writer said of it.
struct Golden {
    world: World,
    expected: Value,
}

impl Golden {
    fn unpack(name: &str) -> Self {
        let world = World::new();
        let directory = world.path("node");
        fs::create_dir(&directory).unwrap();
        let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/stores");
        let vectors = vectors.join(name);
        for entry in fs::read_dir(&vectors).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if let Some(name) = name.strip_suffix(".gz") {
                let mut bytes = Vec::new();
                let mut file = GzDecoder::new(File::open(&path).unwrap());
                file.read_to_end(&mut bytes).unwrap();
                fs::write(directory.join(name), bytes).unwrap();
            }
        }
        fs::copy(vectors.join("genesis.json"), world.spec()).unwrap();
        fs::copy(vectors.join("genesis.json"), directory.join("genesis.json")).unwrap();
        let expected = fs::read_to_string(vectors.join("expected.json")).unwrap();
        Self {
            world,
            expected: serde_json::from_str(&expected).unwrap(),
        }
    }

    /// What it holds is what its writer said.
    fn assert_served(&self, node: &Node) {
        let (want, head) = (&self.expected, node.get("/v1/blocks/head"));
        for (key, name) in [
            ("height", "height"),
            ("hash", "head"),
            ("state_root", "state_root"),
        ] {
            assert_eq!(head[key], want[name], "{name}");
        }
        for (address, account) in want["accounts"].as_object().unwrap() {
            let got = node.get(&format!("/v1/accounts/{address}"));
            let got = &got["chain"];
            for key in ["balance", "nonce"] {
                assert_eq!(got[key], account[key], "{key} of {address}");
            }
        }
        let branches = node.get("/v1/forest")["branches"].clone();
        let branches = branches.as_array().unwrap().iter();
        let mut tips: Vec<_> = branches.map(|branch| branch["hash"].clone()).collect();
        tips.sort_by_key(Value::to_string);
        assert_eq!(Value::from(tips), want["tips"]);
        assert_eq!(node.get("/v1/pool")["count"], want["pooled"]);
    }

    fn assert_whole(&self) {
        let checked = lignum(&["db", "--datadir", &self.place(), "check"]);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        let height = &self.expected["height"];
        let executed = format!("{height} blocks with");
        assert!(stdout(&checked).contains(&executed), "{checked:?}");
    }

    fn place(&self) -> String {
        self.world.path("node").display().to_string()
    }

    fn assert_no_start(&self, arguments: &[&str], words: &[&str]) {
        let place = self.place();
        let command = [
            "node",
            "--datadir",
            &place,
            "--port",
            "0",
            "--http.port",
            "0",
        ];
        assert_fails(&lignum(&[&command, arguments].concat()), 6, words);
    }

    fn assert_refused(&self, words: &[&str]) {
        self.assert_no_start(&[], words);
        let place = self.place();
        let output = lignum(&["db", "--datadir", &place, "check"]);
        assert_fails(&output, 6, words);
    }
}

#[test]
fn a_directory_of_this_format_is_served_as_it_was() {
    let golden = Golden::unpack("format-3");
    golden.assert_whole();
    let node = golden.world.node("node").start();
    golden.assert_served(&node);
    assert_eq!(node.stop(), Some(0));
    golden.assert_whole();
}

#[test]
fn a_directory_of_format_1_is_refused_and_rebuilt() {
    is_refused_and_rebuilt("1");
}

#[test]
fn a_directory_of_format_2_is_refused_and_rebuilt() {
    is_refused_and_rebuilt("2");
}

fn is_refused_and_rebuilt(format: &str) {
    let golden = Golden::unpack(&format!("format-{format}"));
    let rebuild = format!("lignum node --reindex --datadir {}", golden.place());
    let told = format!("has format version {format}");
    golden.assert_refused(&[&told, "reads 3", &rebuild]);
    let node = golden.world.node("node").with(&["--reindex"]).start();
    golden.assert_served(&node);
    assert_eq!(node.stop(), Some(0));
    golden.assert_whole();
    let node = golden.world.node("node").start();
    golden.assert_served(&node);
}

#[test]
fn a_directory_of_a_newer_format_is_refused() {
    for file in ["chain.redb", "state.redb"] {
        let golden = Golden::unpack("format-3");
        let path = golden.world.path("node").join(file);
        let database = Database::open(path).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = TableDefinition::<&str, &[u8]>::new("meta");
        let version = 4_u32.to_le_bytes();
        let mut open = transaction.open_table(meta).unwrap();
        open.insert("format", version.as_slice()).unwrap();
        drop(open);
        transaction.commit().unwrap();
        drop(database);
        let newer = "has format version 4, this program reads 3";
        golden.assert_refused(&[file, newer, "use the lignum that wrote it"]);
        if file == "chain.redb" {
            // Nobody knows what this program would read of it, and nothing is removed.
            golden.assert_no_start(&["--reindex"], &[newer]);
            golden.assert_refused(&[file, newer]);
        }
    }
}
