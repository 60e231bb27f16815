//! Keystores and words in files: published vectors, files of other wallets, damaged files, limits.

use std::{fs, os::unix::fs::PermissionsExt};

use alloy_primitives::hex;
use proptest::prelude::*;
use serde_json::{Value, json};
use wallet::{
    Key, Keystore, Words,
    book::Book,
    dev_key,
    files::{self, FileError, Place},
    keystore::KeystoreError,
    offline::Document,
    sealed::{LOG_N, SealError, Sealed},
    words::WordsFile,
};

use crate::desk::{CHEAP, Desk, NOBODY};

fn sealed_json(key: &Key, password: &str) -> Value {
    let keystore = Keystore::seal_at(CHEAP, key, password).unwrap();
    serde_json::from_str(&keystore.to_json()).unwrap()
}

fn open(json: &Value, password: &str) -> Result<Key, KeystoreError> {
    Keystore::parse(json.to_string().as_bytes())?.open(password)
}

#[test]
fn files_of_the_definition_and_of_other_wallets_open() {
    let vectors: Value = serde_json::from_str(include_str!("keystores.json")).unwrap();
    let files = vectors["files"].as_array().unwrap();
    for file in files {
        let password = file["password"].as_str().unwrap();
        let key = open(&file["json"], password).unwrap();
        assert_eq!(
            hex::encode(&key.secret()[..]),
            file["secret"],
            "{}",
            file["name"]
        );
        let wrong = open(&file["json"], "wrong").unwrap_err();
        assert_eq!(wrong, SealError::Password.into(), "{}", file["name"]);
    }
    assert_eq!(files.len(), 5);
}

#[test]
fn our_files_have_the_form_and_cost_that_others_expect() {
    let file = Keystore::seal_at(LOG_N, &dev_key(0), "pw").unwrap();
    let json: Value = serde_json::from_str(&file.to_json()).unwrap();
    assert_eq!(json["version"], 3);
    assert_eq!(json["address"], "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert_eq!(json["id"].as_str().unwrap().len(), 36);
    let crypto = &json["crypto"];
    assert_eq!(
        (&crypto["cipher"], &crypto["kdf"]),
        (&json!("aes-128-ctr"), &json!("scrypt"))
    );
    let params = &crypto["kdfparams"];
    let numbers = ["n", "r", "p", "dklen"].map(|name| params[name].as_u64().unwrap());
    assert_eq!(numbers, [131_072, 8, 1, 32]);
    assert_eq!(params["salt"].as_str().unwrap().len(), 64);
    let again = Keystore::seal_at(LOG_N, &dev_key(0), "pw").unwrap();
    assert_ne!(file, again, "equal randomness twice");
}

#[test]
fn what_asks_for_too_much_is_refused_before_anything_is_allocated() {
    let good = sealed_json(&dev_key(1), "pw");
    let cases = [
        ("n", json!(1_u64 << 21), "power of two"),
        ("n", json!(3), "power of two"),
        ("n", json!(0), "power of two"),
        ("n", json!(1), "power of two"),
        ("n", json!(u64::MAX), "power of two"),
        ("r", json!(u32::MAX), "n * r"),
        ("p", json!(u32::MAX), "n * r"),
        ("r", json!(0), "1 or more"),
        ("p", json!(0), "1 or more"),
        ("dklen", json!(16), "32"),
        ("dklen", json!(u32::MAX), "32"),
        ("salt", json!("00".repeat(300)), "256"),
        ("salt", json!("zz"), "hex"),
        ("n", json!(-1), "not a keystore"),
        ("n", json!(1.5), "not a keystore"),
    ];
    for (name, value, reason) in cases {
        let mut bad = good.clone();
        bad["crypto"]["kdfparams"][name] = value.clone();
        let error = open(&bad, "pw").unwrap_err().to_string();
        assert!(error.contains(reason), "{name} {value}: {error}");
    }
    let mut large = good;
    large["crypto"]["kdfparams"]["n"] = json!(1 << 20);
    large["crypto"]["kdfparams"]["p"] = json!(3);
    let error = open(&large, "pw").unwrap_err().to_string();
    assert!(error.contains("1048576 * 8 * 3"), "{error}");
    let error = Keystore::parse(&vec![b' '; 70_000]).unwrap_err();
    assert_eq!(error, KeystoreError::TooLarge(70_000));
}

#[test]
fn other_methods_and_versions_are_named() {
    let good = sealed_json(&dev_key(1), "pw");
    let pbkdf2 = |prf: &str, rounds: u32| {
        let mut json = good.clone();
        json["crypto"]["kdf"] = json!("pbkdf2");
        json["crypto"]["kdfparams"] = json!({"c": rounds, "dklen": 32, "prf": prf, "salt": "00"});
        json
    };
    let with = |pointer: &str, value: Value| {
        let mut json = good.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        json
    };
    for (json, reason) in [
        (pbkdf2("hmac-sha512", 1), "hmac-sha256"),
        (pbkdf2("hmac-sha256", 0), "1 to"),
        (pbkdf2("hmac-sha256", u32::MAX), "1 to"),
        (with("/crypto/cipher", json!("aes-256-gcm")), "aes-128-ctr"),
        (with("/crypto/kdf", json!("argon2id")), "argon2id"),
        (with("/version", json!(1)), "version 3"),
        (with("/crypto/mac", json!("00")), "mac is 1"),
        (with("/crypto/cipherparams/iv", json!("00")), "iv is 1"),
        (with("/crypto/ciphertext", json!("")), "1 to 32"),
        (
            with("/crypto/ciphertext", json!("00".repeat(33))),
            "1 to 32",
        ),
        (with("/address", json!("12")), "40 hex digits"),
        (json!({}), "crypto"),
        (json!([]), "keystore"),
    ] {
        let error = open(&json, "pw").unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_changed_address_is_caught_and_a_short_key_filled_up() {
    let mut json = sealed_json(&dev_key(1), "pw");
    json["address"] = json!(hex::encode(dev_key(2).address()));
    let error = open(&json, "pw").unwrap_err();
    assert!(matches!(error, KeystoreError::Address { .. }), "{error}");
    let short = Sealed::seal_at(CHEAP, &[7; 31], "pw").unwrap();
    let json = json!({"version": 3, "crypto": short});
    let mut secret = [7; 32];
    secret[0] = 0;
    assert_eq!(&*open(&json, "pw").unwrap().secret(), &secret);
}

#[test]
fn words_are_sealed_and_derive_the_same_accounts_again() {
    let words =
        Words::parse(" TEST test test test test test test test\n test test test  junk ").unwrap();
    let file = WordsFile::seal_at(CHEAP, &words, "pw").unwrap();
    assert_eq!(file.address(), dev_key(0).address());
    let read = WordsFile::parse(file.to_json().as_bytes()).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.open("wrong").unwrap_err(), SealError::Password.into());
    let opened = read.open("pw").unwrap();
    assert_eq!(opened.key(9).unwrap().address(), dev_key(9).address());
    assert!(!file.to_json().contains("junk"));
    assert_eq!(format!("{opened:?}"), "Words(12)");
    // A file of words is no keystore, and the other way round.
    assert!(Keystore::parse(file.to_json().as_bytes()).is_err());
    let keystore = Keystore::seal_at(CHEAP, &dev_key(0), "pw").unwrap();
    assert!(WordsFile::parse(keystore.to_json().as_bytes()).is_err());
    for count in [12, 24] {
        let (one, two) = (Words::random(count).unwrap(), Words::random(count).unwrap());
        assert_eq!(one.list().len(), count);
        assert_ne!(*one.text(), *two.text());
        Words::parse(&one.text()).unwrap();
    }
}

#[test]
fn files_are_private_and_never_overwritten() {
    let desk = Desk::new(NOBODY);
    desk.add("alice", &dev_key(1), "pw");
    let wallets = desk.wallets();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(wallets.directory()), 0o700);
    assert_eq!(mode(&wallets.keys()), 0o700);
    assert_eq!(mode(&wallets.key_file("alice")), 0o600);
    let before = fs::read(wallets.key_file("alice")).unwrap();
    for name in ["alice", "ALICE"] {
        let keystore = Keystore::seal_at(CHEAP, &dev_key(2), "pw").unwrap();
        let error = wallets.add(name, &keystore, None).unwrap_err().to_string();
        assert!(error.contains("already"), "{error}");
    }
    assert_eq!(fs::read(wallets.key_file("alice")).unwrap(), before);
    let left: Vec<_> = fs::read_dir(wallets.keys()).unwrap().collect();
    assert_eq!(left.len(), 1, "temporary files are left");
    // Not even by somebody who looked before the other wrote.
    let path = desk.path("file");
    files::write(&path, b"first", Place::New).unwrap();
    let error = files::write(&path, b"second", Place::New).unwrap_err();
    assert!(matches!(error, FileError::Exists(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"first");
    files::write(&path, b"second", Place::Old).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    for name in [
        "",
        "..",
        "../x",
        "a/b",
        "a b",
        "-a",
        "0xab",
        "dev",
        "é",
        &"a".repeat(41),
    ] {
        let keystore = Keystore::seal_at(CHEAP, &dev_key(2), "pw").unwrap();
        let error = wallets.add(name, &keystore, None).unwrap_err().to_string();
        assert!(error.contains("not a wallet's name"), "{name}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens_again_with_its_password_only(
        secret in prop::collection::vec(any::<u8>(), 1..=32),
        password in "\\PC{0,40}",
        other in "\\PC{0,40}",
    ) {
        let sealed = Sealed::seal_at(CHEAP, &secret, &password).unwrap();
        prop_assert_eq!(&*sealed.open(&password).unwrap(), &secret);
        if other != password {
            prop_assert_eq!(sealed.open(&other).unwrap_err(), SealError::Password);
        }
        let json = serde_json::to_string(&sealed).unwrap();
        prop_assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
        prop_assert!(secret.len() < 4 || !json.contains(&hex::encode(&secret)));
    }

    #[test]
    fn no_damage_to_a_file_makes_it_panic_or_open(
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let key = dev_key(3);
        let whole = Keystore::seal_at(CHEAP, &key, "pw").unwrap().to_json().into_bytes();
        let mut changed = whole.clone();
        changed[at.index(whole.len())] = byte;
        for bytes in [&changed[..], &whole[..cut.index(whole.len())]] {
            if let Ok(opened) = Keystore::parse(bytes).and_then(|file| file.open("pw")) {
                prop_assert_eq!(opened.address(), key.address());
            }
            let _ = WordsFile::parse(bytes);
            let _ = Book::parse(bytes);
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}") {
        let _ = Keystore::parse(text.as_bytes());
        let _ = WordsFile::parse(text.as_bytes());
        let _ = Words::parse(&text);
        let _ = Document::parse_unsigned(&text);
        let _ = Document::parse_signed(&text);
    }
}
