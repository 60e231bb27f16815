//! What has been worked out: each different node and message once, and each step of a node once.
//!
//! A step is a function of the node and the input, so a node that prints the same needs no second
//! run: a state of the checker names its nodes by numbers, and tens of millions of them cost the
//! work of some tens of thousands of nodes. A print is all of a node, its store and its pending
//! inputs; what it leaves out is named at `print_of`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, RwLock},
};

use chain::hash::sha256;

use crate::{
    place::{Cue, Facts, Message, What},
    support::shell::Shell,
    world::{Carrier, NODES, Number, STRANGER, Scenario, World, has},
};

/// A message by its number, with what the invariants ask of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Letter {
    pub number: u16,
    pub from: u8,
    pub to: u8,
    /// Whether it is a gossiped block, which comes without its ancestors.
    pub is_gossip: bool,
    /// The best block that it tells its receiver of.
    pub tells: Number,
    /// The best block that its sender will be answered with.
    pub asks: Asked,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asked {
    Nothing,
    /// The way to the receiver's head, whatever that is then.
    Head,
    /// Blocks, of which this is the best.
    Block(Number),
}

/// A cue by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Mined(Number),
    Pending,
    Crashed,
    Returned(u8),
    Letter(u16),
}

/// What must never be seen of a node or of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not what it promises, see `World::is_safe`.
    Safety,
    /// A limit is passed.
    Bounds,
    /// Somebody is charged.
    Blame,
    /// The step made the head worse.
    Worse,
    /// The step executed a block that no better header called for.
    Unwarranted,
}

impl Wrong {
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What a step leads to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub node: u32,
    pub facts: Facts,
    pub sent: Arc<[Letter]>,
}

struct Known {
    shell: Shell,
    facts: Facts,
    outcomes: BTreeMap<(u8, Key), Outcome>,
}

#[derive(Default)]
struct Shelves {
    nodes: Vec<Known>,
    by_print: BTreeMap<[u8; 32], u32>,
    messages: Vec<Message>,
    by_message: BTreeMap<String, u16>,
    healed: BTreeMap<[u32; NODES], bool>,
}

/// The bank.
pub struct Bank {
    pub world: World,
    /// The same world where nothing is lost.
    healing: World,
    shelves: RwLock<Shelves>,
}

impl Bank {
    pub fn new(world: World) -> Self {
        Self {
            healing: World::new(Scenario {
                carrier: Carrier::Both,
                ..world.scenario
            }),
            world,
            shelves: RwLock::default(),
        }
    }

    /// Different nodes, messages and steps so far.
    pub fn counts(&self) -> (usize, usize, usize) {
        let shelves = self.shelves.read().unwrap();
        let steps = shelves.nodes.iter().map(|known| known.outcomes.len());
        (shelves.nodes.len(), shelves.messages.len(), steps.sum())
    }

    /// A started node and what it has sent.
    pub fn start(&self, node: u8) -> Outcome {
        let (mut shell, sent) = self.world.fresh(node);
        let facts = self.world.facts(&shell);
        shell.out = Default::default();
        self.keep(shell, facts, sent)
    }

    /// What a step of this node leads to.
    pub fn step(&self, node: u8, number: u32, key: Key) -> Outcome {
        let shelves = self.shelves.read().unwrap();
        let known = &shelves.nodes[number as usize];
        if let Some(outcome) = known.outcomes.get(&(node, key)) {
            return outcome.clone();
        }
        let (mut shell, before) = (known.shell.clone(), known.facts);
        let cue = match key {
            Key::Mined(block) => Cue::Mined(block),
            Key::Pending => Cue::Pending,
            Key::Crashed => Cue::Crashed,
            Key::Returned(peer) => Cue::Returned(peer),
            Key::Letter(message) => Cue::Message(shelves.messages[usize::from(message)].clone()),
        };
        drop(shelves);
        let sent = self.world.happens(node, &mut shell, &cue);
        let mut facts = self.world.facts(&shell);
        facts.wrong |= self.judge(&before, &facts);
        shell.out = Default::default();
        let outcome = self.keep(shell, facts, sent);
        let known = &mut self.shelves.write().unwrap().nodes[number as usize];
        known.outcomes.insert((node, key), outcome.clone());
        outcome
    }

    /// The head never worsens, and a block is executed only on the path to a header that
    /// outranked the head (of headers in the tree that were not known to be invalid).
    fn judge(&self, before: &Facts, after: &Facts) -> u8 {
        let world = &self.world;
        let mut wrong = 0;
        if world.place(after.head) < world.place(before.head) {
            wrong |= Wrong::Worse.bit();
        }
        let outranks = |number: &Number| {
            !has(before.invalid, *number) && world.place(*number) > world.place(before.head)
        };
        let ways = world
            .numbers()
            .filter(outranks)
            .map(|number| world.path(number));
        let warranted = ways.fold(0, |set, path| set | path);
        if after.executed & !before.executed & !warranted != 0 {
            wrong |= Wrong::Unwarranted.bit();
        }
        wrong
    }

    fn keep(&self, shell: Shell, facts: Facts, sent: Vec<Message>) -> Outcome {
        let print = print_of(&shell);
        let mut shelves = self.shelves.write().unwrap();
        let sent = sent
            .into_iter()
            .map(|message| self.letter(&mut shelves, message));
        let sent = sent.collect();
        let next = shelves.nodes.len() as u32;
        let node = *shelves.by_print.entry(print).or_insert(next);
        if node == next {
            shelves.nodes.push(Known {
                shell,
                facts,
                outcomes: BTreeMap::new(),
            });
        }
        Outcome { node, facts, sent }
    }

    fn letter(&self, shelves: &mut Shelves, message: Message) -> Letter {
        let mut letter = self.world.read(&message);
        let next = shelves.messages.len() as u16;
        let print = format!("{message:?}");
        letter.number = *shelves.by_message.entry(print).or_insert(next);
        if letter.number == next {
            shelves.messages.push(message);
        }
        letter
    }

    /// A block of the stranger's, to one of the nodes.
    pub fn strange(&self, to: u8, number: Number) -> Letter {
        let message = Message {
            from: STRANGER,
            to,
            what: What::Block(number),
        };
        let known = self.shelves.read().unwrap();
        let print = format!("{message:?}");
        if let Some(number) = known.by_message.get(&print) {
            let mut letter = self.world.read(&message);
            letter.number = *number;
            return letter;
        }
        drop(known);
        self.letter(&mut self.shelves.write().unwrap(), message)
    }

    /// What is in a message, in words.
    pub fn text(&self, number: u16) -> String {
        let shelves = self.shelves.read().unwrap();
        self.world.text(&shelves.messages[usize::from(number)])
    }

    /// Whether nodes at rest come to one head once time passes and nothing is lost any more.
    pub fn heals(&self, nodes: [u32; NODES]) -> bool {
        let shelves = self.shelves.read().unwrap();
        if let Some(heals) = shelves.healed.get(&nodes) {
            return *heals;
        }
        let shells = nodes.map(|number| shelves.nodes[number as usize].shell.clone());
        drop(shelves);
        let heals = self.healing.heal(shells);
        self.shelves.write().unwrap().healed.insert(nodes, heals);
        heals
    }
}

/// All that decides what a node does next, in a few bytes. Left out are three counts that decide
/// nothing in worlds as small as these: the forest's revision, which only readers look at, the
/// orphans' sequence, which tells whom to evict when there are many, and the requests left in the
/// budgets of peers, which are thousands.
fn print_of(shell: &Shell) -> [u8; 32] {
    let mut text = String::with_capacity(1 << 16);
    write!(text, "{:?}{:?}{:?}", shell.node, shell.store, shell.pending).unwrap();
    for count in ["revision: ", "sequence: ", "Budget { requests: "] {
        text = without(&text, count);
    }
    sha256(text.as_bytes())
}

/// The text without the digits that follow each of these words.
fn without(text: &str, words: &str) -> String {
    let mut parts = text.split(words);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    out
}
