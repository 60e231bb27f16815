//! More than a node can keep: headers of little work, blocks without parents, the same again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use chain::{Body, Request, Response, U256, params::HEADERS_MAX};
use wallet::sign::{Transfer, sign_transfer};

use super::{GROWTH_MIB, Scene, boast, client::Client, forge, wire::Answer};
use crate::harness::{metric, wait_for};

/// Orphans of the flood.
const ORPHANS: u64 = 2_500;
/// Orphans of two megabytes each.
const ORPHANS_LARGE: u64 = 240;
/// Mebibytes by which those may make a node grow: 32 are its limit for orphans, the rest is what
/// messages on their way to the core may take, and what the allocator keeps of it.
const GROWTH_LARGE_MIB: u64 = 384;
/// The target of an orphan that is just worth keeping: 2^9 hashes, where a block takes 2^17.
const ORPHAN_BITS: u32 = 0x1f7f_ffff;
/// The target of two hashes.
const EASIEST_BITS: u32 = 0x207f_ffff;
/// Orphans of that, of two megabytes each.
const ORPHANS_EASY: u64 = 40;
/// Headers of little work.
const HEADERS: u32 = 150_000;
/// Mebibytes by which those may make a node grow: one header in memory takes some 300 bytes.
const HEADERS_GROWTH_MIB: u64 = 24;

#[test]
fn orphans_by_the_thousand_are_not_kept() {
    let scene = Scene::new();
    let client = scene.boaster();
    let body = Body::default();
    for number in 0..ORPHANS {
        client.gossip_block(forge::orphan(&scene.network, number, ORPHAN_BITS, &body).encode());
        if number % 500 == 0 {
            scene.goes_on(1);
        }
    }
    wait_for("all orphans on their way", || {
        client.was_dropped() || client.published() == usize::try_from(ORPHANS).unwrap()
    });
    scene.goes_on(10);
    scene.ends_unharmed("orphans", GROWTH_MIB);
}

/// A large body that is right by itself: one signed transaction with much input, many times over
/// with rising nonces.
fn large_body() -> Body {
    let sign = |nonce| {
        let transfer = Transfer {
            chain_id: 1337,
            nonce,
            to: wallet::dev_key(9).address(),
            value: 1,
            gas_limit: 3_000_000,
            max_fee: 4_000_000_000,
            tip: 1_000_000_000,
            input: vec![0; 120_000],
        };
        sign_transfer(&wallet::dev_key(1), &transfer)
    };
    Body((0..17).map(sign).collect())
}

#[test]
fn large_orphans_are_not_kept_either() {
    let scene = Scene::new();
    let body = large_body();
    let clients: Vec<_> = (0..4).map(|_| scene.boaster()).collect();
    for number in 0..ORPHANS_LARGE {
        let block = forge::orphan(&scene.network, number, ORPHAN_BITS, &body);
        clients[number as usize % clients.len()].gossip_block(block.encode());
    }
    wait_for("all orphans on their way", || {
        let sent: usize = clients.iter().map(Client::published).sum();
        clients.iter().any(Client::was_dropped) || sent as u64 == ORPHANS_LARGE
    });
    scene.goes_on(10);
    scene.ends_unharmed("large orphans", GROWTH_LARGE_MIB);
}

/// Blocks of two hashes, full of good signatures: none of these is recovered, the sender is asked
/// for the headers that lead to them, and stays. One of enough work is checked in whole.
#[test]
fn orphans_of_little_work_cost_no_signatures() {
    let scene = Scene::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, status) = (Arc::clone(&asked), scene.network.claim(U256::ZERO));
    // Its status claims nothing, so nobody asks it for headers but for what it gossips.
    let client = scene.attacker(move |request| match request {
        Request::Status(_) => Response::Status(status.clone()).into(),
        Request::Headers(_) => {
            counted.fetch_add(1, Relaxed);
            Response::Headers(Vec::new()).into()
        }
        _ => Answer::Decline,
    });
    let recovered = || metric(&scene.victim, "lignum_senders_recovered_total");
    let body = large_body();
    let gossip = |number, bits| {
        client.gossip_block(forge::orphan(&scene.network, number, bits, &body).encode());
    };
    (0..ORPHANS_EASY).for_each(|number| gossip(number, EASIEST_BITS));
    wait_for("a question for headers", || asked.load(Relaxed) > 0);
    gossip(ORPHANS_EASY, ORPHAN_BITS);
    wait_for("the check of the last one", || recovered() > 0.0);
    scene.goes_on(5);
    assert_eq!(recovered(), body.0.len() as f64, "one block's");
    assert!(!client.was_dropped());
    scene.ends_unharmed("orphans of little work", GROWTH_LARGE_MIB);
}

/// Claims the most work and answers every question for headers with as many as there may be, of
/// chains with hardly any: far more than the victim can keep, far less work than it has.
#[test]
fn headers_of_little_work_are_not_kept() {
    let scene = Scene::old();
    let forge = scene.cheap_chain(HEADERS);
    let work = forge.tip().extension.chain_work;
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let client = scene.attacker(scene.boasting(move |request| match request {
        Request::Headers(locator) => {
            let headers = forge.after(&locator, HEADERS_MAX);
            counted.fetch_add(headers.len(), Relaxed);
            Response::Headers(headers).into()
        }
        _ => Answer::Decline,
    }));
    wait_for("many headers", || {
        client.was_dropped() || served.load(Relaxed) >= HEADERS as usize
    });
    let status = scene.victim.get("/v1/status");
    let head_work: chain::U256 = status["head"]["chain_work"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(head_work > work, "{head_work} is no more than {work}");
    eprintln!("{} headers were served", served.load(Relaxed));
    scene.goes_on(10);
    scene.ends_unharmed("headers of little work", HEADERS_GROWTH_MIB);
}

#[test]
fn the_same_headers_again_lead_nowhere() {
    let scene = Scene::old();
    let forge = scene.cheap_chain(2_000);
    let ask = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ask);
    let same = forge.headers[1..=HEADERS_MAX].to_vec();
    let lazy = scene.attacker(scene.boasting(move |request| match request {
        Request::Headers(_) => {
            counted.fetch_add(1, Relaxed);
            Response::Headers(same.clone()).into()
        }
        _ => Answer::Decline,
    }));
    // Answers that fit no locator: headers from the middle of a chain, and in the wrong order.
    let middle = forge.headers[500..1_500].to_vec();
    let reversed: Vec<_> = forge.headers[1..100].iter().rev().cloned().collect();
    let wrong = [middle, reversed].map(|headers| {
        scene.attacker(scene.boasting(move |request| match request {
            Request::Headers(_) => Response::Headers(headers.clone()).into(),
            _ => Answer::Decline,
        }))
    });
    let status = Request::Status(scene.network.claim(boast()));
    for _ in 0..8 {
        // A status makes the victim ask again.
        for client in [&lazy, &wrong[0], &wrong[1]] {
            client.ask((&status).into());
        }
    }
    wait_for("the end of those who answer wrongly", || {
        wrong.iter().all(Client::was_dropped)
    });
    scene.goes_on(10);
    let asked = ask.load(Relaxed);
    assert!(
        (1..=64).contains(&asked),
        "asked {asked} times for the same"
    );
    eprintln!("asked {asked} times for the same headers");
    scene.ends_unharmed("the same headers again", GROWTH_MIB);
}
