//! Small networks of the shipped core, explored whole: every order in which messages can arrive,
//! with loss, duplication and crashes, by the model checker stateright.
//!
//! `EXHAUST` says how far: nothing for the small worlds, `gate` for those of a minute, `long` for
//! all. docs/testing.md tells what is modelled, what is left out, and how to read a
//! counterexample. These mistakes were made in the core by hand, one at a time:
//!
//! | mistake | refuted by | steps |
//! |---|---|---|
//! | first seen stays: ranks without the hash | executed is valid, the head is the best held | 5 |
//! | orphans forgotten when their parent comes | local and in flight is global | 6 |
//! | any executed block becomes the head | the head never worsens | 11 |
//! | side branches executed | only what outranks the head is executed | 8 |
//! | a state root not compared | executed is valid, the head is the best held | 3 |
//! | a block on an invalid one charged to its sender | nobody honest is charged | 5 |
//! | a node asks once to be continued, and never again | executed is valid, the head is the best held | 3 |
//! | a head silenced by its bad child, as it was once | local and in flight is global | 7 |
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(
    clippy::disallowed_types,
    reason = "how long it took is printed for people"
)]

#[path = "../support/mod.rs"]
mod support;

mod bank;
mod heal;
mod model;
mod place;
mod world;

use std::{env, time::Instant};

use stateright::{Checker, HasDiscoveries, Model};

use bank::Bank;
use model::{Action, Network};
use world::{Birth, Carrier, Maker, Scenario, World};

const fn birth(parent: u8, by: Maker) -> Birth {
    Birth { parent, by }
}

/// Everybody is joined with everybody.
const CLIQUE: &[(u8, u8)] = &[(0, 1), (0, 2), (1, 2)];

/// The ends hear of each other through the middle alone.
const LINE: &[(u8, u8)] = &[(0, 1), (1, 2)];

/// Two branches of two blocks each, of equal work at both heights.
const FORK: &[Birth] = &[
    birth(0, Maker::Node(0)),
    birth(1, Maker::Node(0)),
    birth(0, Maker::Node(1)),
    birth(3, Maker::Node(1)),
];

/// Two blocks on one, by others than its miner; its miner goes on with one of them.
const RELAY: &[Birth] = &[
    birth(0, Maker::Node(0)),
    birth(1, Maker::Node(1)),
    birth(1, Maker::Node(2)),
    birth(3, Maker::Node(0)),
];

/// A block that fails execution and one on it, against two good ones.
const FORGED: &[Birth] = &[
    birth(0, Maker::Forger),
    birth(1, Maker::Stranger),
    birth(0, Maker::Node(0)),
    birth(3, Maker::Node(1)),
];

/// A branch of two with a block on it that fails execution, and another on that.
const SPOILED: &[Birth] = &[
    birth(0, Maker::Node(0)),
    birth(1, Maker::Node(0)),
    birth(2, Maker::Forger),
    birth(3, Maker::Stranger),
];

/// Two branches by gossip, and nothing goes wrong.
const PEACE: Scenario = Scenario {
    name: "two branches",
    births: FORK,
    links: CLIQUE,
    carrier: Carrier::Gossip,
    losses: 0,
    doubles: 0,
    crashes: 0,
    troubles: 3,
    reaches: &["a reorg", "an orphan", "a tie"],
};

/// How far an exploration goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Small,
    Gate,
    Long,
}

impl Size {
    fn wanted() -> Self {
        match env::var("EXHAUST").as_deref() {
            Err(_) => Self::Small,
            Ok("gate") => Self::Gate,
            Ok("long") => Self::Long,
            Ok(other) => panic!("EXHAUST is {other:?}, wanted gate or long"),
        }
    }
}

/// Explores a world whole, if it is not larger than what is wanted.
fn explore(size: Size, scenario: Scenario) {
    if size > Size::wanted() {
        return;
    }
    let (name, began) = (scenario.name, Instant::now());
    let network = Network::new(Bank::new(World::new(scenario)));
    let checker = network.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let secs = began.elapsed().as_secs_f64();
    let (nodes, messages, steps) = checker.model().bank.counts();
    let states = checker.unique_state_count();
    println!(
        "{name}: {states} states by {} steps, depth {}, {secs:.1} s, {:.0} states/s; \
         {nodes} different nodes, {messages} messages, {steps} steps of a node",
        checker.state_count(),
        checker.max_depth(),
        states as f64 / secs,
    );
    for (property, path) in checker.discoveries() {
        let actions = path.into_actions();
        println!("  {property}: after {} steps", actions.len());
        for action in actions {
            println!("    {}", describe(checker.model(), action));
        }
    }
    checker.assert_properties();
}

fn describe(network: &Network, action: Action) -> String {
    let text = |letter: bank::Letter| network.bank.text(letter.number);
    match action {
        Action::Deliver(letter) => format!("arrives {}", text(letter)),
        Action::Double(letter) => format!("arrives and stays {}", text(letter)),
        Action::Lose(letter) => format!("is lost {}", text(letter)),
        Action::Make(number) => format!("block {number} is made"),
        Action::Continue(node) => format!("node {node} continues"),
        Action::Crash(node) => format!("node {node} crashes and starts again"),
    }
}
#[test]
fn two_branches() {
    explore(Size::Small, PEACE);
}

#[test]
fn two_branches_and_one_trouble() {
    explore(
        Size::Long,
        Scenario {
            name: "two branches, a loss or a copy or a crash",
            losses: 1,
            doubles: 1,
            crashes: 1,
            troubles: 1,
            reaches: &["a reorg", "an orphan", "a tie", "a crash recovery"],
            ..PEACE
        },
    );
}

#[test]
fn two_branches_and_a_loss() {
    explore(
        Size::Gate,
        Scenario {
            name: "two branches and a loss",
            losses: 1,
            ..PEACE
        },
    );
}

#[test]
fn a_branch_of_one_and_all_troubles() {
    explore(
        Size::Long,
        Scenario {
            name: "a branch of two against one, a loss and a copy and a crash",
            births: FORK.split_at(3).0,
            losses: 1,
            doubles: 1,
            crashes: 1,
            reaches: &["a reorg", "an orphan", "a tie", "a crash recovery"],
            ..PEACE
        },
    );
}

#[test]
fn a_relay_and_one_trouble() {
    explore(
        Size::Small,
        Scenario {
            name: "a relay, a loss or a copy or a crash",
            births: RELAY,
            losses: 1,
            doubles: 1,
            crashes: 1,
            troubles: 1,
            reaches: &["a reorg", "an orphan", "a tie", "a crash recovery"],
            ..PEACE
        },
    );
}

#[test]
fn a_relay_and_all_troubles() {
    explore(
        Size::Gate,
        Scenario {
            name: "a relay, a loss and a copy and a crash",
            births: RELAY,
            losses: 1,
            doubles: 1,
            crashes: 1,
            reaches: &["a reorg", "an orphan", "a tie", "a crash recovery"],
            ..PEACE
        },
    );
}

#[test]
fn a_forged_branch() {
    explore(
        Size::Small,
        Scenario {
            name: "a forged branch",
            births: FORGED,
            reaches: &["an orphan", "an invalid branch"],
            ..PEACE
        },
    );
}

#[test]
fn a_spoiled_branch_on_a_line() {
    explore(
        Size::Small,
        Scenario {
            name: "a spoiled branch on a line",
            births: SPOILED,
            links: LINE,
            reaches: &["an orphan", "an invalid branch"],
            ..PEACE
        },
    );
}

#[test]
fn two_branches_on_a_line() {
    explore(
        Size::Small,
        Scenario {
            name: "two branches on a line",
            links: LINE,
            ..PEACE
        },
    );
}

#[test]
fn requests_and_one_trouble() {
    explore(
        Size::Gate,
        Scenario {
            name: "requests alone on a line, a loss or a crash",
            births: FORK.split_at(2).0,
            links: LINE,
            carrier: Carrier::Requests,
            losses: 1,
            crashes: 1,
            troubles: 1,
            reaches: &["a crash recovery"],
            ..PEACE
        },
    );
}

#[test]
fn gossip_and_requests() {
    explore(
        Size::Small,
        Scenario {
            name: "gossip and requests on a line",
            births: FORK.split_at(2).0,
            links: LINE,
            carrier: Carrier::Both,
            reaches: &["an orphan"],
            ..PEACE
        },
    );
}

#[test]
fn gossip_and_requests_for_all() {
    explore(
        Size::Long,
        Scenario {
            name: "gossip and requests",
            births: FORK.split_at(2).0,
            carrier: Carrier::Both,
            reaches: &["an orphan"],
            ..PEACE
        },
    );
}
