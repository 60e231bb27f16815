//! The verbs that need no node: wallets made, taken in, listed, copied, checked and signed with.

use std::{fs, os::unix::fs::PermissionsExt};

use alloy_primitives::{U256, hex};
use wallet::{
    derive::{DEV_WORDS, Seed},
    dev_key,
    message::{SignatureError, sign_message, signer_of},
    verbs::VerbError,
};

use crate::desk::{Desk, NOBODY, refused};

const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

#[test]
fn a_new_wallet_asks_its_words_back_and_derives_more_accounts() {
    let mut desk = Desk::new(NOBODY);
    let answers = ["pw", "pw", "WORD", "wrong", "WORD", "WORD"];
    let out = desk.run("new alice", &answers).unwrap();
    assert!(
        out.starts_with("alice 0x") && out.lines().count() == 1,
        "{out}"
    );
    assert!(desk.console.said.contains("That is not the word."));
    let address = desk.run("address alice", &[]).unwrap();
    assert_eq!(out, format!("alice {address}"));
    // The words that were shown are those of the file, and give the address.
    let derived = desk
        .run("derive alice --index 0-1 --show", &["pw"])
        .unwrap();
    assert!(
        derived.lines().next().unwrap().ends_with(address.trim()),
        "{derived}"
    );
    let made = desk.run("derive alice --index 1", &["pw"]).unwrap();
    let second = derived
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap();
    assert_eq!(made, format!("alice-1 {second}\n"));
    let list = desk.json("list --json", &[]);
    let kinds: Vec<_> = list["wallets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["kind"])
        .collect();
    assert_eq!(kinds, ["words", "key"]);
    assert_eq!(
        desk.run("check", &["pw", "pw"]).unwrap(),
        "alice: ok\nalice-1: ok\n"
    );
}

#[test]
fn nothing_is_written_where_an_answer_is_wrong() {
    for (answers, reason) in [
        (vec!["one", "two"], "differ"),
        (vec!["", ""], "empty password"),
        (vec!["pw", "pw", "x", "y", "z"], "wrong 3 times"),
        (vec!["pw", "pw"], "no answer"),
        (vec![], "no answer"),
    ] {
        let mut desk = Desk::new(NOBODY);
        let error = desk.run("new alice", &answers).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.exit_code(), 8);
        assert!(!desk.wallets().keys().exists());
    }
    let mut desk = Desk::new(NOBODY);
    desk.run("new --words 24 --no-ask-back --empty-password", &["", ""])
        .unwrap();
    let error = desk.run("new", &[]).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().contains("main")),
        (8, true)
    );
}

#[test]
fn words_keys_and_keystores_are_taken_in() {
    let mut desk = Desk::new(NOBODY);
    let secret = hex::encode(&dev_key(1).secret()[..]);
    let imported = format!("{ADDRESS}\n");
    let key_file = desk.file("key", &format!("0x{secret}\n"));
    let password = desk.file("password", "pw\r\nsecond line\n");
    for (words, answers) in [
        ("import from-words --index 1", vec![DEV_WORDS, "pw", "pw"]),
        ("import from-key", vec![secret.as_str(), "pw", "pw"]),
        (
            &format!("import from-file --file {key_file} --password-file {password}"),
            vec![],
        ),
    ] {
        let out = desk.run(words, &answers).unwrap();
        assert!(out.ends_with(&imported), "{out}");
        assert!(!desk.console.said.contains(&secret));
    }
    let exported = desk.run("export from-file", &[]).unwrap();
    let out = desk.run("import copy", &[exported.trim(), "pw"]).unwrap();
    assert!(out.ends_with(&imported));
    // A file of many lines can come through standard input as well.
    let pretty = exported.replace(',', ",\n").replace('{', "{\n");
    let mut lines: Vec<&str> = pretty.lines().collect();
    lines.push("pw");
    desk.run("import pretty", &lines).unwrap();
    let error = desk
        .run("import other", &[exported.trim(), "no"])
        .unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().as_str()),
        (8, "wrong password")
    );
    let list = desk.json("list --json", &[]);
    assert_eq!(list["wallets"].as_array().unwrap().len(), 5);
    let error = desk.run("derive from-key --index 2", &["pw"]).unwrap_err();
    assert!(error.to_string().contains("not made from words"), "{error}");
}

#[test]
fn what_is_no_secret_is_refused_without_being_repeated() {
    let mut desk = Desk::new(NOBODY);
    let zero = "0".repeat(64);
    let typo = DEV_WORDS.replace("junk", "jonk");
    for (text, reason) in [
        ("abcdef", "64 hex digits"),
        ("", "64 hex digits"),
        (zero.as_str(), "not a secret key"),
        (typo.as_str(), "word 12"),
        ("{\"version\":3}", "not a keystore"),
        ("zebra zebra", "got 2"),
    ] {
        let error = desk.run("import x", &[text, "pw", "pw"]).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(reason), "{shown}");
        assert_eq!(error.exit_code(), 8);
        assert!(!shown.contains("jonk") && !format!("{error:?}").contains("jonk"));
    }
    let error = desk
        .run("import x --file /nowhere/at/all", &[])
        .unwrap_err();
    assert_eq!(error.exit_code(), 2);
    // There is no argument for a secret.
    assert_eq!(refused("import x --key 00").exit_code(), 2);
}

#[test]
fn words_with_a_passphrase_lead_to_other_accounts() {
    let mut desk = Desk::new(NOBODY);
    let file = desk.file("passphrase", "cafe\u{301}\nnot this line\n");
    let key = Seed::from_words(DEV_WORDS, "caf\u{e9}")
        .unwrap()
        .key(2)
        .unwrap();
    let wanted = format!("{}\n", key.address());
    let out = desk.run(
        "import asked --index 2 --passphrase",
        &[DEV_WORDS, "caf\u{e9}", "caf\u{e9}", "pw", "pw"],
    );
    assert!(out.unwrap().ends_with(&wanted));
    let from_file = format!("import read --index 2 --passphrase-file {file}");
    let out = desk.run(&from_file, &[DEV_WORDS, "pw", "pw"]).unwrap();
    assert!(out.ends_with(&wanted), "{out}");
    // The words alone would lead elsewhere, so they are not kept.
    let error = desk.run("derive asked --index 1", &["pw"]).unwrap_err();
    assert!(error.to_string().contains("not made from words"), "{error}");

    let secret = hex::encode(&key.secret()[..]);
    for (answers, wanted) in [
        (vec![DEV_WORDS, "one", "other"], "the two answers differ"),
        (vec![DEV_WORDS, "", ""], "an empty passphrase is none"),
        (vec![secret.as_str()], "a passphrase belongs to words"),
    ] {
        let error = desk.run("import bad --passphrase", &answers).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert!(!desk.wallets().words_file("bad").exists());
    assert!(desk.run("address bad", &[]).is_err());
}

#[test]
fn secrets_leave_only_to_a_terminal_after_the_name_is_typed() {
    let mut desk = Desk::new(NOBODY);
    desk.run("import alice", &[DEV_WORDS, "pw", "pw"]).unwrap();
    for words in ["export alice --secret-key", "export alice --words"] {
        let error = desk.run(words, &["alice", "pw"]).unwrap_err();
        assert!(error.to_string().contains("terminal only"), "{error}");
    }
    let mut desk = desk.at_terminal();
    let error = desk
        .run("export alice --words", &["yes", "pw"])
        .unwrap_err();
    assert!(
        error.to_string().contains("alice was to be typed"),
        "{error}"
    );
    let words = desk
        .run("export alice --words", &["alice", "pw", ""])
        .unwrap();
    assert!(
        words.starts_with("   1 test") && words.trim_end().ends_with("12 junk"),
        "{words}"
    );
    let key = desk
        .run("export alice --secret-key", &["alice", "pw", ""])
        .unwrap();
    assert_eq!(
        key,
        format!("0x{}\n", hex::encode(&dev_key(0).secret()[..]))
    );
    let error = desk
        .run("export alice --words", &["alice", "no"])
        .unwrap_err();
    assert_eq!(error.to_string(), "wallet \"alice\": wrong password");
}

#[test]
fn a_password_is_changed_for_key_and_words_together() {
    let mut desk = Desk::new(NOBODY);
    desk.run("import alice", &[DEV_WORDS, "old", "old"])
        .unwrap();
    let error = desk.run("change-password alice", &["no"]).unwrap_err();
    assert_eq!(error.exit_code(), 8);
    desk.run("change-password alice", &["old", "new", "new"])
        .unwrap();
    assert_eq!(desk.run("check", &["new"]).unwrap(), "alice: ok\n");
    let error = desk.run("check", &["old"]).unwrap_err();
    assert_eq!(error.to_string(), "2 problems found, see above");
    // A change that was cut off after the words is completed by another run.
    let key = fs::read(desk.wallets().key_file("alice")).unwrap();
    desk.run("change-password alice", &["new", "newer", "newer"])
        .unwrap();
    fs::write(desk.wallets().key_file("alice"), key).unwrap();
    assert!(desk.run("check", &["newer"]).is_err());
    desk.run("change-password alice", &["new", "newer", "newer"])
        .unwrap();
    desk.run("check", &["newer"]).unwrap();
}

#[test]
fn a_check_finds_open_modes_damaged_files_and_foreign_addresses() {
    let mut desk = Desk::new(NOBODY);
    desk.add("alice", &dev_key(1), "pw");
    desk.add("bob", &dev_key(2), "pw");
    let wallets = desk.wallets();
    fs::set_permissions(wallets.key_file("alice"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = desk.run("check --no-open", &[]).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string().as_str()),
        (8, "1 problem found, see above")
    );
    assert!(desk.console.said.contains("644, wanted 600: run chmod 600"));
    fs::set_permissions(wallets.key_file("alice"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(wallets.key_file("bob")).unwrap();
    let other = hex::encode(dev_key(5).address());
    fs::write(
        wallets.key_file("bob"),
        text.replace(&hex::encode(dev_key(2).address()), &other),
    )
    .unwrap();
    desk.run("check bob", &["pw"]).unwrap_err();
    assert!(
        desk.console.said.contains("the file was changed"),
        "{}",
        desk.console.said
    );
    fs::write(wallets.key_file("bob"), "{").unwrap();
    desk.run("check bob", &[]).unwrap_err();
    let list = desk.run("list", &[]).unwrap();
    assert!(list.contains("damaged") && list.contains(ADDRESS), "{list}");
    // What is damaged does not stand in the way of what is not.
    assert_eq!(desk.run("address alice", &[]).unwrap().trim(), ADDRESS);
    let error = desk.run("address bob", &[]).unwrap_err();
    assert!(error.to_string().contains("bob.json"), "{error}");
}

#[test]
fn a_backup_copies_all_and_overwrites_nothing() {
    let mut desk = Desk::new(NOBODY);
    let target = desk.path("backup").to_str().unwrap().to_string();
    assert_eq!(
        desk.run(&format!("backup {target}"), &[])
            .unwrap_err()
            .exit_code(),
        8
    );
    desk.run("import alice", &[DEV_WORDS, "pw", "pw"]).unwrap();
    desk.run(&format!("watch {ADDRESS} --label cold"), &[])
        .unwrap();
    assert_eq!(
        desk.run(&format!("backup {target}"), &[]).unwrap(),
        format!("3 files copied to {target}\n")
    );
    let error = desk.run(&format!("backup {target}"), &[]).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    for file in ["keys/alice.json", "keys/alice.words", "labels.json"] {
        let copy = desk.path("backup").join(file);
        let original = desk.wallets().directory().join(file);
        assert_eq!(fs::read(&copy).unwrap(), fs::read(original).unwrap());
        assert_eq!(
            fs::metadata(copy).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn addresses_are_watched_and_labelled() {
    let mut desk = Desk::new(NOBODY);
    desk.run(&format!("watch {ADDRESS} --label cold"), &[])
        .unwrap();
    assert_eq!(desk.run("address cold", &[]).unwrap().trim(), ADDRESS);
    desk.run_all(&["label", "cold", "under the bed"], &[])
        .unwrap();
    let list = desk.run("list", &[]).unwrap();
    assert!(
        list.contains("watched") && list.ends_with("under the bed\n"),
        "{list}"
    );
    let error = desk
        .run_all(&["label", "dev:3", "under the bed"], &[])
        .unwrap_err();
    assert!(error.to_string().contains("unique"), "{error}");
    // A name means one account: it is a wallet's or a label.
    let error = desk
        .run_all(&["import", "hot"], &[DEV_WORDS, "pw", "pw"])
        .and_then(|_| desk.run_all(&["label", ADDRESS, "hot"], &[]))
        .unwrap_err();
    assert!(error.to_string().contains("name of a wallet"), "{error}");
    desk.run_all(&["label", ADDRESS, "bed"], &[]).unwrap();
    let error = desk.run("new bed", &[]).unwrap_err();
    assert!(error.to_string().contains("label of 0x"), "{error}");
    for bad in [" x", "a\nb", &"x".repeat(61)] {
        let error = desk.run_all(&["label", ADDRESS, bad], &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    desk.run_all(&["label", ADDRESS, ""], &[]).unwrap();
    let error = desk.run("address cold", &[]).unwrap_err();
    assert!(error.to_string().contains("no wallet \"cold\""), "{error}");
    let error = desk
        .run(&format!("sign-message hi --from {ADDRESS}"), &[])
        .unwrap_err();
    assert!(matches!(error, VerbError::NoKey(_)), "{error}");
}

/// Examples from the documentation of web3.js and of eth-account.
#[test]
fn messages_are_signed_as_others_sign_them() {
    let mut desk = Desk::new(NOBODY);
    for (name, secret, message, signature) in [
        (
            "one",
            "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
            "Some data",
            "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c",
        ),
        (
            "two",
            "b25c7db31feed9122727bf0939dc769a96564b2de4c4726d035b36ecf1e5b364",
            "I♥SF",
            "0xe6ca9bba58c88611fad66a6ce8f996908195593807c4b38bd528d2cff09d4eb33e5bfbbf4d3e39b1a2fd816a7680c19ebebaf3a141b239934ad43cb33fcec8ce1c",
        ),
    ] {
        desk.run(&format!("import {name}"), &[secret, "pw", "pw"])
            .unwrap();
        let out = desk
            .run_all(&["sign-message", message, "--from", name], &["pw"])
            .unwrap();
        assert_eq!(out.trim(), signature);
        let verify = |desk: &mut Desk, message: &str, by: &str, signature: &str| {
            desk.run_all(
                &[
                    "verify-message",
                    message,
                    "--by",
                    by,
                    "--signature",
                    signature,
                ],
                &[],
            )
        };
        verify(&mut desk, message, name, signature).unwrap();
        let error = verify(&mut desk, "another", name, signature).unwrap_err();
        assert!(matches!(error, VerbError::OtherSigner { .. }), "{error}");
        assert_eq!(error.exit_code(), 1);
        let error = verify(&mut desk, message, "dev:0", signature).unwrap_err();
        assert!(matches!(error, VerbError::OtherSigner { .. }), "{error}");
        let bad_end = format!("{}ff", &signature[..130]);
        for bad in ["0x12", &bad_end, &signature[..131]] {
            let error = verify(&mut desk, message, name, bad).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }
}

#[test]
fn a_signature_has_one_form_only() {
    let key = dev_key(1);
    let signature = sign_message(&key, b"hi");
    assert_eq!(signer_of(b"hi", &signature), Ok(key.address()));
    let mut counted_from_zero = signature;
    counted_from_zero[64] -= 27;
    assert_eq!(signer_of(b"hi", &counted_from_zero), Ok(key.address()));
    // The other s of the same signature: the order of the group less s, and the other parity.
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        .parse()
        .unwrap();
    let mut other = signature;
    let s = order - U256::from_be_slice(&signature[32..64]);
    other[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    other[64] = 55 - signature[64];
    assert_eq!(signer_of(b"hi", &other), Err(SignatureError::NoKey));
}
