//! The checkers that run after every step of every node. Each compares the node with the model
//! or with its own record; none asks the node whether it is right.

use std::{collections::BTreeSet, sync::Arc};

use chain::{
    Batch, BlockId, CheckedBlock, Input, Node, Peer, PoolSnapshot, Rank, Store, Time,
    execution::Execution,
    params::{
        DOWNLOAD_WINDOW, ORPHAN_BYTES_MAX, ORPHANS_MAX, PEERS_MAX, POOL_PER_SENDER,
        REQUESTS_PER_PEER, STATE_WINDOW,
    },
    pool::Class,
    rules,
};

use super::{
    host::{Crash, Host},
    model::{Model, sum},
    promise::owe_undone,
    record::Record,
    support::ledger::{Accounts, Ledger},
    tally::{Reached, Tally},
    told,
};

/// What held before a step.
pub struct Before {
    now: Time,
    head: usize,
    /// A block that must be in the tree afterwards.
    expected: Option<usize>,
    /// Its header was not in the tree before.
    is_new: bool,
    /// A block whose parent is not known yet.
    orphan: Option<usize>,
    headers_from: Option<Peer>,
}

impl Before {
    pub fn of(host: &Host, model: &Model, now: Time, input: &Input) -> Self {
        let mut before = Self {
            now,
            head: host.live.head,
            expected: None,
            is_new: false,
            orphan: None,
            headers_from: None,
        };
        match input {
            Input::Block { from, block } => before.expect_block(host, model, *from, block),
            Input::Headers { from, .. } => before.headers_from = Some(*from),
            _ => {}
        }
        before
    }

    /// Whether the step was to take this block, of which the tree had not even the header.
    pub fn is_news(&self, block: usize) -> bool {
        self.expected == Some(block) && self.is_new
    }

    /// Rules F1 and F2: what fits a known parent and has the work joins the tree, whoever sends
    /// it and in whatever order.
    fn expect_block(
        &mut self,
        host: &Host,
        model: &Model,
        from: Option<Peer>,
        block: &CheckedBlock,
    ) {
        let hash = block.id().hash;
        let index = model.find(&hash).expect("a block that somebody made");
        let known = &model.blocks[index];
        if !host.live.has_header(known.parent) {
            self.orphan = Some(index);
            return;
        }
        let node = host.node();
        let is_asked = from.is_none_or(|peer| node.sync().asked(peer, &hash));
        let has_work = is_asked || known.rank.chain_work() >= told::threshold(host, model);
        let fits = known.header_fits && !host.live.is_invalid(known.parent);
        if has_work && fits && !rules::is_early(&model.spec, known.time, self.now.unix_secs) {
            self.expected = Some(index);
            self.is_new = !host.live.has_header(index);
        }
    }
}

/// A batch before it is taken: times, and what was executed on the way to what.
pub fn check_batch(host: &Host, model: &Model, before: &Before, batch: &Batch, tally: &mut Tally) {
    for header in &batch.headers {
        let is_early = rules::is_early(&model.spec, header.pow.time, before.now.unix_secs);
        assert!(!is_early, "rule H5: a header joined before its time");
    }
    assert!(
        batch.executed.len() <= 1,
        "a step executes one block at most"
    );
    for executed in &batch.executed {
        let block = model.find(&executed.id.hash).expect("somebody made it");
        let head = model.blocks[before.head].rank;
        let mut known = host.live.blocks().filter(|at| !host.live.is_invalid(*at));
        let is_on_path =
            known.any(|tip| model.blocks[tip].rank > head && model.is_ancestor(block, tip));
        assert!(
            is_on_path,
            "rule F2: executed {:?} off every path",
            executed.id
        );
    }
    if !batch.invalid.is_empty() {
        tally.reach(Reached::InvalidBranch);
    }
}

/// After every step.
pub fn check_step(host: &mut Host, model: &Model, before: &Before, tally: &mut Tally) {
    let node = host.node();
    let (head, live) = (host.live.head, &host.live);
    assert_eq!(
        node.head(),
        model.blocks[head].id,
        "the head is what was written"
    );
    let (was, is) = (model.blocks[before.head].rank, model.blocks[head].rank);
    assert!(is >= was, "the head never worsens");
    if !host.continues && host.loads.is_empty() {
        let best = model.blocks[live.best_whole].id;
        assert_eq!(
            node.head(),
            best,
            "at rest the head is the best valid block held"
        );
    }
    if let Some(block) = before.expected {
        let id = model.blocks[block].id;
        assert!(live.has_header(block), "{id:?} fits and was not taken");
        let is_whole = live.has_body(block) || live.is_invalid(block);
        assert!(
            is_whole || head != before.head,
            "the body of {id:?} was not kept"
        );
    }
    assert_eq!(
        node.forest().tree().len(),
        live.headers,
        "all headers are stored"
    );
    check_bounds(node, before, tally);
    if head != before.head {
        let undone = check_head(host, model, before.head, tally);
        if undone as u64 > STATE_WINDOW {
            tally.reach(Reached::BeyondWindow);
            owe_undone(host, model, before.head, head);
            let cut = host.deep_cut.take();
            let crash = cut.map(|cut| Crash { steps: 0, cut });
            host.crash = crash.or(host.crash);
        }
    }
    check_pool_changes(host, head != before.head, tally);
    check_orphans(host, model, before, tally);
}

/// State and supply after a new head, and what kind of move it was. Returns how many blocks it
/// undid.
fn check_head(host: &Host, model: &Model, old: usize, tally: &mut Tally) -> usize {
    let head = host.live.head;
    let state = host.node().head_state();
    let known = &model.blocks[head];
    let is_same = Arc::ptr_eq(state, model.state(head)) || state == model.state(head);
    assert!(is_same, "the state after {:?} is another one", known.id);
    assert_eq!(sum(state), known.supply, "supply after {:?}", known.id);
    let mut undone = 0;
    let mut at = old;
    while !model.is_ancestor(at, head) {
        (at, undone) = (model.blocks[at].parent, undone + 1);
    }
    if undone > 0 {
        tally.reach(Reached::Reorg);
        *tally.reorgs.entry(undone).or_default() += 1;
        if undone > 6 {
            tally.reach(Reached::DeepReorg);
        }
        if model.chain_work(old) == model.chain_work(head) {
            tally.reach(Reached::Tie);
        }
    }
    undone
}

/// Every bound that a node shows.
fn check_bounds(node: &Node<Ledger>, before: &Before, tally: &mut Tally) {
    let (orphans, sync) = (node.orphans(), node.sync());
    assert!(orphans.len() <= ORPHANS_MAX && orphans.bytes() <= ORPHAN_BYTES_MAX);
    let most = PEERS_MAX * REQUESTS_PER_PEER * DOWNLOAD_WINDOW;
    assert!(sync.bodies_under_way() <= most);
    if let Some(presync) = before.headers_from.and_then(|peer| sync.presync(peer)) {
        assert!(presync.bytes() <= 33 * 1_024);
        tally.reach(Reached::Presync);
    }
    let pool = node.pool();
    let limits = pool.limits();
    assert!(
        pool.len() <= limits.count && pool.bytes() <= limits.bytes,
        "the pool's bounds"
    );
}

/// Orphans are taken up as soon as their parents come, and not before.
fn check_orphans(host: &mut Host, model: &Model, before: &Before, tally: &mut Tally) {
    if let Some(orphan) = before.orphan {
        let is_kept = host.node().orphans().root_of(&model.hash(orphan)).is_some();
        if is_kept && !host.orphans.contains(&orphan) {
            host.orphans.push(orphan);
            tally.reach(Reached::Orphan);
        }
        assert!(
            !host.live.has_header(orphan),
            "an orphan joined without its parent"
        );
    }
    if host.orphans.is_empty() {
        return;
    }
    let tracked = std::mem::take(&mut host.orphans);
    let least_work = told::threshold(host, model);
    let (live, waiting) = (&host.live, host.node().orphans());
    let mut left = Vec::new();
    for orphan in tracked {
        let known = &model.blocks[orphan];
        let waits = waiting.root_of(&known.id.hash).is_some();
        let parent_known = live.has_header(known.parent);
        assert!(
            !(waits && parent_known),
            "{:?} still waits for its parent",
            known.id
        );
        if waits {
            left.push(orphan);
        } else if !parent_known {
            tally.reach(Reached::OrphanEvicted);
        } else {
            let is_early = rules::is_early(&model.spec, known.time, before.now.unix_secs);
            let has_work = known.rank.chain_work() >= least_work;
            let fits = known.header_fits && !live.is_invalid(known.parent) && has_work;
            let is_lost = fits && !is_early && !live.has_header(orphan);
            assert!(
                !is_lost,
                "orphan {:?} was forgotten when its parent came",
                known.id
            );
            if is_early {
                tally.reach(Reached::EarlyBlock);
            }
        }
    }
    host.orphans = left;
}

/// Looks at the pool when it or the head has changed.
fn check_pool_changes(host: &mut Host, head_moved: bool, tally: &mut Tally) {
    let pool = host.node().pool();
    let has_changed = !Arc::ptr_eq(&pool, &host.pool);
    let is_sampled = has_changed && host.steps.is_multiple_of(4);
    if !head_moved && !is_sampled {
        return;
    }
    check_pool(&pool, host.node().head_state());
    if host.steps.is_multiple_of(8) && !pool.is_empty() {
        check_template(host.node(), &pool, tally);
    }
    host.pool = pool;
}

/// Threat M5: what is pooled is valid at the head, by sender and nonce.
pub fn check_pool(pool: &PoolSnapshot, state: &Accounts) {
    let (mut senders, mut bytes, mut count, mut pending) = (BTreeSet::new(), 0, 0, 0);
    for entry in pool.page(None, usize::MAX) {
        senders.insert(entry.transaction.sender());
        bytes += entry.size();
        count += 1;
    }
    assert_eq!(
        (count, bytes),
        (pool.len(), pool.bytes()),
        "the pool's counts"
    );
    for sender in senders {
        let account = state.get(&sender).cloned().unwrap_or_default();
        let entries = pool.entries_of(&sender);
        assert!(entries.len() <= POOL_PER_SENDER, "places of one sender");
        let (mut next, mut cost, mut follows) = (account.nonce, chain::U256::ZERO, true);
        let mut last = None;
        for entry in entries {
            let nonce = entry.transaction.nonce();
            assert!(nonce >= account.nonce, "nonce {nonce} of {sender} is used");
            assert!(last < Some(nonce), "nonces rise");
            last = Some(nonce);
            cost = cost.saturating_add(entry.transaction.cost_max().unwrap());
            follows = follows && nonce == next && cost <= chain::U256::from(account.balance);
            let class = if follows {
                Class::Pending
            } else {
                Class::Queued
            };
            assert_eq!(entry.class, class, "nonce {nonce} of {sender}");
            (next, pending) = (next + 1, pending + usize::from(follows));
        }
    }
    assert_eq!(pending, pool.pending(), "pending transactions");
}

/// Threat M7: what a template would take can be executed.
fn check_template(node: &Node<Ledger>, pool: &PoolSnapshot, tally: &mut Tally) {
    let parent = node.template_parent();
    let spec = node.spec();
    let base_fee = rules::next_base_fee(spec, &parent.numbers);
    let candidates = pool.candidates(base_fee, 100);
    let time = parent.numbers.time;
    let Some(header) = rules::child(spec, &parent.numbers, parent.skip, time) else {
        return;
    };
    let none = |_| None;
    let env = chain::template::env(spec, &header, &none);
    let bytes_max = spec.at(env.height).block_bytes_max;
    let ledger = Ledger::fresh();
    let (selected, taken) = ledger.select(node.head_state(), &env, &candidates, bytes_max);
    let chosen: Vec<_> = taken.iter().map(|at| candidates[*at].clone()).collect();
    let executed = ledger
        .execute(node.head_state(), &env, &chosen)
        .expect("a template is valid");
    assert_eq!(executed.state_root, selected.state_root);
    let room = usize::try_from(env.gas_limit / 21_000).unwrap();
    assert!(
        chosen.len() >= candidates.len().min(room),
        "candidates can be mined"
    );
    if chosen.len() > 1 {
        tally.reach(Reached::TemplateFilled);
    }
}

/// After a restart the node is what its store was given, no row more or less.
pub fn check_restart(node: &Node<Ledger>, record: &Record, model: &Model) {
    let tree = node.forest().tree();
    assert_eq!(tree.len(), record.headers, "headers after a restart");
    for block in record.blocks() {
        let id: BlockId = model.blocks[block].id;
        let entry = tree.find(&id.hash).map(|entry| &tree[entry]);
        let entry = entry.unwrap_or_else(|| panic!("{id:?} was lost over a restart"));
        assert_eq!(
            entry.stage,
            record.stage(block),
            "the stage of {id:?} after a restart"
        );
    }
    assert_eq!(
        node.head(),
        model.blocks[record.head].id,
        "the head after a restart"
    );
    assert_eq!(
        node.head_state(),
        model.state(record.head),
        "the state after a restart"
    );
    let best = node.forest().best_header();
    assert!(tree[best].rank() >= rank(model, record.head));
}

fn rank(model: &Model, block: usize) -> Rank {
    model.blocks[block].rank
}

/// At the end: the store itself, read row by row, agrees with the record.
pub fn check_store(host: &Host, model: &Model) {
    use chain::Reader;
    let db = host.store.snapshot().unwrap();
    let head = model.blocks[host.durable.head].id;
    assert_eq!(db.head().unwrap(), Some(head));
    let mut at = host.durable.head;
    loop {
        let id = model.blocks[at].id;
        assert_eq!(
            db.canonical(id.height).unwrap(),
            Some(id.hash),
            "the height index"
        );
        if at == Model::GENESIS {
            break;
        }
        at = model.blocks[at].parent;
    }
    assert_eq!(
        db.canonical(head.height + 1).unwrap(),
        None,
        "nothing above the head"
    );
}
