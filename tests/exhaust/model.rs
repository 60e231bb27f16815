//! The network as stateright sees it: states, what can happen next, and what must hold.

use std::{
    hash::{Hash, Hasher},
    sync::atomic::{AtomicBool, Ordering},
};

use stateright::{Model, Property};

use crate::{
    bank::{Asked, Bank, Key, Letter, Wrong},
    place::Facts,
    world::{Carrier, Maker, NODES, Number, Set, World, has},
};

/// Three nodes and what is under way between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// By their numbers in the bank.
    pub nodes: [u32; NODES],
    pub facts: [Facts; NODES],
    /// In order; one that is there twice is under way twice.
    pub letters: Vec<Letter>,
    pub made: Set,
    /// Of each node, the blocks that its gossip has seen since its start.
    pub seen: [Set; NODES],
    pub lost: u8,
    pub doubled: u8,
    /// Nodes that have crashed.
    pub crashed: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.nodes.hash(hasher);
        // The other facts follow from the node; these are of the step that led to it too.
        self.facts.map(|facts| facts.wrong).hash(hasher);
        for letter in &self.letters {
            hasher.write_u16(letter.number);
        }
        (self.made, self.seen, self.lost, self.doubled, self.crashed).hash(hasher);
    }
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Make(Number),
    /// A message arrives.
    Deliver(Letter),
    /// A message arrives and will arrive again.
    Double(Letter),
    Lose(Letter),
    /// A node goes on with what it has put off.
    Continue(u8),
    /// A node crashes and starts again from its store; what is under way to and from it is lost.
    Crash(u8),
}

/// The model.
pub struct Network {
    pub bank: Bank,
    /// Of each property by its place in the list, whether its discovery is made. Stateright asks
    /// on and keeps the last discovery; only the first, in breadth-first search, is the shortest.
    found: [AtomicBool; 12],
}

impl Network {
    pub fn new(bank: Bank) -> Self {
        let found = Default::default();
        Self { bank, found }
    }

    /// True once, the first time that `holds`.
    fn once(&self, at: usize, holds: bool) -> bool {
        holds && !self.found[at].swap(true, Ordering::Relaxed)
    }

    fn world(&self) -> &World {
        &self.bank.world
    }

    fn can_be_made(&self, state: &State, number: Number) -> bool {
        let birth = &self.world().scenario.births[usize::from(number) - 1];
        let knows = match birth.by {
            Maker::Node(node) => has(state.facts[usize::from(node)].executed, birth.parent),
            Maker::Stranger | Maker::Forger => true,
        };
        knows && !has(state.made, number)
    }

    fn take(&self, state: &mut State, node: u8, key: Key) {
        let at = usize::from(node);
        let outcome = self.bank.step(node, state.nodes[at], key);
        state.nodes[at] = outcome.node;
        state.facts[at] = outcome.facts;
        for letter in outcome.sent.iter() {
            self.send(state, *letter);
        }
    }

    /// Gossip takes no message twice: a copy of what has come, or is under way, is not sent.
    fn send(&self, state: &mut State, letter: Letter) {
        let is_copy = |other: &Letter| (other.to, other.tells) == (letter.to, letter.tells);
        let is_under_way = state
            .letters
            .iter()
            .any(|other| other.is_gossip && is_copy(other));
        let has_come = has(state.seen[usize::from(letter.to)], letter.tells);
        if !letter.is_gossip || !(is_under_way || has_come) {
            state.letters.push(letter);
        }
    }

    /// A message comes to its receiver.
    fn deliver(&self, state: &mut State, letter: Letter) {
        if letter.is_gossip {
            state.seen[usize::from(letter.to)] |= 1 << letter.tells;
        }
        self.take(state, letter.to, Key::Letter(letter.number));
    }

    fn make(&self, state: &mut State, number: Number) {
        state.made |= 1 << number;
        match self.world().scenario.births[usize::from(number) - 1].by {
            Maker::Node(node) => {
                state.seen[usize::from(node)] |= 1 << number;
                self.take(state, node, Key::Mined(number));
            }
            Maker::Stranger | Maker::Forger => {
                for to in 0..NODES as u8 {
                    self.send(state, self.bank.strange(to, number));
                }
            }
        }
    }

    fn crash(&self, state: &mut State, node: u8) {
        state.crashed |= 1 << node;
        state.seen[usize::from(node)] = 0;
        state
            .letters
            .retain(|letter| letter.from != node && letter.to != node);
        self.take(state, node, Key::Crashed);
        for peer in self.world().neighbours(node) {
            self.take(state, peer, Key::Returned(node));
        }
    }

    /// Nothing is under way and nobody has anything left to do.
    fn is_quiet(state: &State) -> bool {
        state.letters.is_empty() && state.facts.iter().all(|facts| !facts.is_pending)
    }

    fn heads_agree(state: &State) -> bool {
        state
            .facts
            .iter()
            .all(|facts| facts.head == state.facts[0].head)
    }

    /// Whether all that was ever sent by gossip is still under way or has arrived. Where nodes
    /// ask each other too, a block may come by an answer, and then only status tells others of it.
    fn is_lossless(&self, state: &State) -> bool {
        let by_gossip = self.world().scenario.carrier == Carrier::Gossip;
        by_gossip && state.lost == 0 && state.crashed == 0
    }

    /// The best that a node has or will be led to by what is under way.
    fn reach(&self, state: &State, node: u8) -> u8 {
        let world = self.world();
        let facts = &state.facts[usize::from(node)];
        let (mut set, mut told) = (facts.held | facts.orphans, 0);
        for letter in &state.letters {
            if letter.to == node && letter.is_gossip {
                set |= 1 << letter.tells;
            } else if letter.to == node {
                told = told.max(world.place(letter.tells));
            }
            if letter.from == node {
                let asked = match letter.asks {
                    Asked::Nothing => 0,
                    Asked::Head => state.facts[usize::from(letter.to)].head,
                    Asked::Block(number) => number,
                };
                told = told.max(world.place(asked));
            }
        }
        told.max(world.place(world.best_connected(set & world.valid)))
    }

    fn never(state: &State, wrong: Wrong) -> bool {
        state
            .facts
            .iter()
            .all(|facts| facts.wrong & wrong.bit() == 0)
    }

    /// Toychain's invariant: what a node has and what is under way to it is, in its best block,
    /// what the whole network has. Where not everybody is joined with everybody, what its
    /// neighbours have. A node that has something left to do may have to say it yet.
    fn is_global(&self, state: &State) -> bool {
        let world = self.world();
        let is_told = |(node, peer): (u8, u8)| {
            let peer = &state.facts[usize::from(peer)];
            peer.is_pending || self.reach(state, node) >= world.place(peer.head)
        };
        let mut links = world.scenario.links.iter();
        !self.is_lossless(state) || links.all(|(a, b)| is_told((*a, *b)) && is_told((*b, *a)))
    }

    /// Toychain's quiescent consistency; where something was lost, once statuses are exchanged.
    fn agrees_when_quiet(&self, state: &State) -> bool {
        if !Self::is_quiet(state) {
            return true;
        }
        Self::heads_agree(state) || (!self.is_lossless(state) && self.bank.heals(state.nodes))
    }

    /// A block was the head and is no more: it is executed, nobody builds on it, and it is not on
    /// the way to the head. One that is executed outranks the head then.
    fn was_undone(&self, facts: &Facts) -> bool {
        let world = self.world();
        let has_child = |number| world.numbers().any(|child| world.parent(child) == number);
        let is_off = |number: &Number| !has(world.path(facts.head), *number);
        let executed = world
            .numbers()
            .filter(|number| has(facts.executed, *number));
        executed.filter(is_off).any(|number| !has_child(number))
    }

    fn has_tie(&self, facts: &Facts) -> bool {
        let world = self.world();
        let height = |number| world.path(number).count_ones();
        let held = |number: &Number| has(facts.held & world.valid, *number);
        let rivals = world
            .numbers()
            .filter(held)
            .filter(|number| *number != facts.head);
        rivals
            .into_iter()
            .any(|number| height(number) == height(facts.head))
    }
}

/// A property's name and what it says.
type Named = (&'static str, fn(&Network, &State) -> bool);

/// What must hold in every state.
const ALWAYS: [Named; 7] = [
    (
        "executed is valid, the head is the best held",
        |_, state| Network::never(state, Wrong::Safety),
    ),
    ("the head never worsens", |_, state| {
        Network::never(state, Wrong::Worse)
    }),
    ("only what outranks the head is executed", |_, state| {
        Network::never(state, Wrong::Unwarranted)
    }),
    ("nobody honest is charged", |_, state| {
        Network::never(state, Wrong::Blame)
    }),
    ("bounds", |_, state| Network::never(state, Wrong::Bounds)),
    ("local and in flight is global", Network::is_global),
    ("quiet means agreed", Network::agrees_when_quiet),
];

/// What must be reached in the worlds that say so.
const SOMETIMES: [Named; 5] = [
    ("a reorg", |model, state| {
        state.facts.iter().any(|facts| model.was_undone(facts))
    }),
    ("an orphan", |_, state| {
        state.facts.iter().any(|facts| facts.orphans != 0)
    }),
    ("a tie", |model, state| {
        state.facts.iter().any(|facts| model.has_tie(facts))
    }),
    ("an invalid branch", |_, state| {
        state
            .facts
            .iter()
            .any(|facts| facts.invalid.count_ones() > 1)
    }),
    ("a crash recovery", |_, state| {
        let is_high = state.facts.iter().all(|facts| facts.head != 0);
        state.crashed != 0 && is_high && Network::is_quiet(state) && Network::heads_agree(state)
    }),
];

/// The property at a place of `ALWAYS` and then `SOMETIMES`: stateright takes plain functions.
fn property<const AT: usize>() -> Property<Network> {
    match AT.checked_sub(ALWAYS.len()) {
        None => Property::always(ALWAYS[AT].0, |model: &Network, state: &State| {
            !model.once(AT, !ALWAYS[AT].1(model, state))
        }),
        Some(at) => Property::sometimes(SOMETIMES[at].0, |model: &Network, state: &State| {
            let is_found = model.found[AT].load(Ordering::Relaxed);
            !is_found && model.once(AT, SOMETIMES[AT - ALWAYS.len()].1(model, state))
        }),
    }
}

impl Model for Network {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            nodes: [0; NODES],
            facts: [Facts::default(); NODES],
            letters: Vec::new(),
            made: 1,
            seen: [0; NODES],
            lost: 0,
            doubled: 0,
            crashed: 0,
        };
        for node in 0..NODES {
            let outcome = self.bank.start(node as u8);
            (state.nodes[node], state.facts[node]) = (outcome.node, outcome.facts);
            state.letters.extend_from_slice(&outcome.sent);
        }
        // They have greeted each other before anything happens.
        while let Some(letter) = state.letters.first().copied() {
            state.letters.remove(0);
            self.take(&mut state, letter.to, Key::Letter(letter.number));
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let scenario = &self.world().scenario;
        let numbers = self.world().numbers().skip(1);
        let ready = numbers.filter(|number| self.can_be_made(state, *number));
        actions.extend(ready.map(Action::Make));
        let crashes = state.crashed.count_ones() as u8;
        let is_spared = state.lost + state.doubled + crashes >= scenario.troubles;
        let may = |so_far: u8, most: u8| !is_spared && so_far < most;
        let mut last = None;
        for letter in &state.letters {
            if last.replace(letter) == Some(letter) {
                continue;
            }
            actions.push(Action::Deliver(*letter));
            // An answer comes over the stream of its question, once or not at all.
            if letter.is_gossip && may(state.doubled, scenario.doubles) {
                actions.push(Action::Double(*letter));
            }
            if may(state.lost, scenario.losses) {
                actions.push(Action::Lose(*letter));
            }
        }
        for node in 0..NODES as u8 {
            if state.facts[usize::from(node)].is_pending {
                actions.push(Action::Continue(node));
            }
            if may(crashes, scenario.crashes) && state.crashed >> node & 1 == 0 {
                actions.push(Action::Crash(node));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let remove = |state: &mut State, letter: Letter| {
            let at = state
                .letters
                .binary_search(&letter)
                .expect("it is under way");
            state.letters.remove(at);
        };
        match action {
            Action::Make(number) => self.make(&mut state, number),
            Action::Deliver(letter) => {
                remove(&mut state, letter);
                self.deliver(&mut state, letter);
            }
            Action::Double(letter) => {
                state.doubled += 1;
                self.deliver(&mut state, letter);
            }
            Action::Lose(letter) => {
                state.lost += 1;
                remove(&mut state, letter);
            }
            Action::Continue(node) => self.take(&mut state, node, Key::Pending),
            Action::Crash(node) => self.crash(&mut state, node),
        }
        state.letters.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = [
            property::<0>(),
            property::<1>(),
            property::<2>(),
            property::<3>(),
            property::<4>(),
            property::<5>(),
            property::<6>(),
        ];
        let sometimes = [
            property::<7>(),
            property::<8>(),
            property::<9>(),
            property::<10>(),
            property::<11>(),
        ];
        let is_asked = |one: &Property<Self>| self.world().scenario.reaches.contains(&one.name);
        always
            .into_iter()
            .chain(sometimes.into_iter().filter(is_asked))
            .collect()
    }
}
