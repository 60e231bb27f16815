//! Small worlds, explored whole.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod bank;
mod heal;
mod model;
mod place;
mod world;

use stateright::{Checker, Model};

use bank::Bank;
use model::Network;
use world::{Birth, Carrier, Maker, Scenario, World};

const ALL: &[(u8, u8)] = &[(0, 1), (0, 2), (1, 2)];

const FORK: &[Birth] = &[
    Birth { parent: 0, by: Maker::Node(0) },
    Birth { parent: 1, by: Maker::Node(0) },
    Birth { parent: 0, by: Maker::Node(1) },
    Birth { parent: 3, by: Maker::Node(1) },
];

const LATE: &[Birth] = &[
    Birth { parent: 0, by: Maker::Node(0) },
    Birth { parent: 1, by: Maker::Node(1) },
    Birth { parent: 1, by: Maker::Node(2) },
    Birth { parent: 3, by: Maker::Node(0) },
];
const FORGED: &[Birth] = &[
    Birth { parent: 0, by: Maker::Forger },
    Birth { parent: 1, by: Maker::Stranger },
    Birth { parent: 0, by: Maker::Node(0) },
    Birth { parent: 3, by: Maker::Node(1) },
];
const LINE: &[(u8, u8)] = &[(0, 1), (1, 2)];

fn explore(scenario: Scenario) {
    let name = scenario.name;
    let began = std::time::Instant::now();
    let network = Network::new(Bank::new(World::new(scenario)));
    let checker = network.checker().threads(threads()).spawn_bfs().join();
    let (nodes, messages, steps) = checker.model().bank.counts();
    let secs = began.elapsed().as_secs_f64();
    println!("{name}: {} states, {} reached, depth {}, {secs:.1} s, {nodes} nodes, {messages} messages, {steps} steps",
        checker.unique_state_count(), checker.state_count(), checker.max_depth());
    for (property, path) in checker.discoveries() {
        println!("  {property}: {} steps", path.clone().into_actions().len());
        if let stateright::DiscoveryClassification::Counterexample = checker.discovery_classification(property) {
        for action in path.into_actions() { println!("    {action:?}"); if let model::Action::Deliver(l)|model::Action::Double(l)|model::Action::Lose(l) = action { println!("        {}", checker.model().bank.text(l.number)); } }
        }
    }
    checker.assert_properties();
}

fn threads() -> usize { std::env::var("T").map_or(1, |t| t.parse().unwrap()) }
fn var(n: &str) -> u8 { std::env::var(n).map_or(0, |t| t.parse().unwrap()) }

#[test]
fn x() {
    let c = match std::env::var("C").as_deref() { Ok("b") => Carrier::Both, Ok("r") => Carrier::Requests, _ => Carrier::Gossip };
    explore(Scenario { name: "x", births: &(match std::env::var("B").as_deref() { Ok("l") => LATE, Ok("i") => FORGED, _ => FORK })[..var("N") as usize], links: if var("LINE") == 1 { LINE } else { ALL }, troubles: std::env::var("TT").map_or(9, |t| t.parse().unwrap()), carrier: c, losses: var("L"), doubles: var("D"), crashes: var("K"), reaches: if var("R") == 1 { &["a reorg", "an orphan", "a tie", "an invalid branch", "a crash recovery"] } else { &[] } });
}
