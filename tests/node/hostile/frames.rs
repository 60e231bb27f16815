//! Frames that are no messages: too long, cut short, empty, noise, and lengths that are lies.

use chain::{
    Request,
    params::{GOSSIP_BYTES_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, TRANSACTION_BYTES_MAX},
};

use super::{
    GROWTH_MIB, Scene, all_dropped,
    client::Client,
    wire::{Answer, Ask, announced, frame, noise},
};
use crate::harness::wait_for;

/// Bytes beyond what any limit lets through.
const MUCH: usize = 6 << 20;

fn beyond(limit: usize) -> u32 {
    u32::try_from(limit + 1).unwrap()
}

/// Wrong frames that cannot be a connection's accident, for a protocol with this limit.
fn wrong(limit: usize) -> Vec<Vec<u8>> {
    vec![
        announced(beyond(limit), &[]),
        announced(beyond(limit), &noise(limit + 1)),
        announced(u32::MAX, &noise(MUCH)),
        announced(0, &[]),
        frame(&noise(1_000)),
        // A list of 2^60 hashes.
        frame(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16]),
    ]
}

#[test]
fn requests_that_are_none_end_the_connection() {
    let scene = Scene::new();
    let attack = |bytes: Vec<u8>| {
        let client = scene.boaster();
        // Half its credit each.
        client.send(Ask::Read(bytes.clone()));
        client.send(Ask::Read(bytes));
        client
    };
    let clients: Vec<_> = wrong(REQUEST_BYTES_MAX).into_iter().map(attack).collect();
    all_dropped(&scene.victim, &clients, 1);
    scene.goes_on(5);
    scene.ends_unharmed("requests that are none", GROWTH_MIB);
}

#[test]
fn answers_that_are_none_end_the_connection() {
    let scene = Scene::new();
    let attack = |bytes: Vec<u8>| {
        // The node asks for a status until it has one, and every ten seconds.
        let client = scene.attacker(move |_| Answer::Bytes(bytes.clone()));
        let status = Request::Status(scene.network.claim(super::boast()));
        client.send((&status).into());
        client
    };
    let clients: Vec<_> = wrong(RESPONSE_BYTES_MAX).into_iter().map(attack).collect();
    all_dropped(&scene.victim, &clients, 1);
    assert!(clients.iter().all(|client| client.requests() >= 2));
    scene.goes_on(5);
    scene.ends_unharmed("answers that are none", GROWTH_MIB);
}

/// A frame cut short may be a cut connection, so nobody is charged; it must cost nothing.
#[test]
fn frames_cut_short_cost_nothing() {
    let scene = Scene::new();
    let stalling = scene.attacker(|_| Answer::Stall(announced(1_000_000, &noise(100))));
    let cutting = scene.attacker(|_| Answer::Bytes(announced(1_000_000, &noise(100))));
    for client in [&stalling, &cutting] {
        for _ in 0..300 {
            client.send(Ask::Read(announced(16_000, &noise(10))));
            client.send(Ask::Unfinished(announced(16_000, &noise(10))));
            client.send(Ask::Read(Vec::new()));
        }
    }
    let ended = |client: &Client| client.was_dropped() || client.answers() >= 100;
    wait_for("answers to what was cut short", || {
        ended(&stalling) && ended(&cutting)
    });
    scene.goes_on(10);
    scene.ends_unharmed("frames cut short", GROWTH_MIB);
}

#[test]
fn gossip_that_is_none_ends_the_connection() {
    let scene = Scene::new();
    let noisy = |length: usize| {
        let client = scene.boaster();
        let (mut one, mut two) = (noise(length), noise(length));
        (one[0], two[0]) = (1, 2);
        client.gossip_block(one);
        client.gossip_block(two);
        client
    };
    let mut clients: Vec<_> = [1, 1_000, GOSSIP_BYTES_MAX].map(noisy).into();
    let long = scene.boaster();
    for first in [1, 2] {
        let mut bytes = noise(TRANSACTION_BYTES_MAX + 1);
        bytes[0] = first;
        long.gossip_transaction(bytes);
    }
    clients.push(long);
    all_dropped(&scene.victim, &clients, 1);
    scene.goes_on(5);
    scene.ends_unharmed("gossip that is none", GROWTH_MIB);
}

/// Gossip's own frames are libp2p's to refuse: it closes the stream and says nothing.
#[test]
fn gossip_frames_that_lie_of_their_length_cost_nothing() {
    let scene = Scene::new();
    let four_gib = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let endless = [0xff; 64];
    let mut clients = Vec::new();
    for prefix in [&four_gib[..], &endless, &[0x80, 0x80, 0x80, 0x01], &[0x08]] {
        let client = scene.boaster();
        let mut bytes = prefix.to_vec();
        bytes.extend(noise(MUCH));
        client.bare_gossip(bytes.clone());
        client.bare_gossip(bytes);
        // Beyond what the node lets in as one frame, and within what this client lets out.
        client.gossip_block(noise(MUCH));
        clients.push(client);
    }
    scene.goes_on(10);
    scene.ends_unharmed("gossip frames that lie", GROWTH_MIB);
}
