//! The core's shell on a store in memory, one group of steps at a time.

use std::{sync::Mutex, thread};

use chain::{BlockHash, ChainSpec, CheckedTransaction, Header, MemoryStore, Mended, Reader, U256};
use wallet::sign::{Transfer, sign_transfer};

use super::{
    super::publish::{Identity, Readers},
    *,
};

/// A core that is driven by hand, and the other ends of its queues.
struct Driven<S: Store = MemoryStore> {
    running: Running<S>,
    inbox: mpsc::Sender<Message>,
    outgoing: mpsc::Receiver<Outgoing>,
    readers: Readers,
}

fn regtest() -> Arc<ChainSpec> {
    let text = ChainSpec::builtin("regtest").unwrap();
    Arc::new(ChainSpec::parse(text).unwrap().spec)
}

fn founded() -> MemoryStore {
    let mut store = MemoryStore::default();
    let batch = Node::genesis(&regtest(), &Evm::new()).1;
    store.commit(&batch).unwrap();
    store
}

fn drive(outbox: usize) -> Driven {
    drive_on(founded(), outbox)
}

fn drive_on<S: Store>(store: S, outbox: usize) -> Driven<S> {
    let spec = regtest();
    let snapshot = store.snapshot().unwrap();
    let node = Node::open(spec, Evm::new(), &snapshot).unwrap();
    let (clock, network) = (Clock::start(), "regtest".to_owned());
    let identity = Identity {
        network,
        mining: false,
    };
    let metrics = Arc::<Metrics>::default();
    let reader = Arc::new(snapshot);
    let (publisher, readers) =
        Publisher::new(&node, reader, clock, Arc::clone(&metrics), identity).unwrap();
    let (inbox, messages) = mpsc::channel(8);
    let (outbox, outgoing) = mpsc::channel(outbox);
    let core = Core {
        node,
        store,
        inbox: messages,
        loopback: inbox.downgrade(),
        journal: None,
        outbox,
        publisher,
        clock,
        metrics,
        heartbeat: Arc::default(),
        recorder: None,
        budget: Budget::default(),
    };
    let running = Running::new(core).unwrap();
    Driven {
        running,
        inbox,
        outgoing,
        readers,
    }
}

impl<S: Store> Driven<S> {
    fn run(&mut self, messages: impl IntoIterator<Item = Message>) {
        let mut group = Group::default();
        for message in messages {
            self.running.take(message, &mut group).unwrap();
        }
        self.running.finish(group).unwrap();
    }
}

fn transfer() -> CheckedTransaction {
    let transfer = Transfer {
        chain_id: 1338,
        nonce: 0,
        to: chain::Address::repeat_byte(7),
        value: 1,
        gas_limit: 21_000,
        max_fee: 4_000_000_000,
        tip: 1_000_000_000,
        input: Vec::new(),
    };
    let bytes = sign_transfer(&wallet::dev_key(0), &transfer);
    CheckedTransaction::check(&bytes, 1338).unwrap()
}

#[test]
fn what_was_taken_is_seen_before_the_answer_says_so() {
    let mut driven = drive(8);
    let (reply, mut answer) = oneshot::channel();
    let transaction = transfer();
    // The queue is not empty, so a changed pool alone would not be published yet.
    driven.inbox.try_send(Message::Input(Input::Tick)).unwrap();
    let submission = api::Submission {
        transaction: transaction.clone(),
        reply,
    };
    driven.run([Message::Submission(submission)]);
    assert_eq!(answer.try_recv().unwrap(), Ok(transaction.hash()));
    let view = Arc::clone(&driven.readers.api_views.borrow());
    assert!(view.pool.get(&transaction.hash()).is_some());
}

#[test]
fn messages_that_never_end_only_slow_execution_down() {
    let mut driven = drive(8);
    let tick = || Message::Input(Input::Tick);
    driven.running.kept = std::iter::repeat_with(tick)
        .take(STEPS_PER_COMMIT)
        .collect();
    driven.running.own_inputs.push_back(Input::Continue);
    assert!(driven.running.turn().unwrap());
    assert!(driven.running.own_inputs.is_empty());
}

fn came(peer: u64) -> Message {
    Message::Connected(Introduction {
        peer: Peer(peer),
        id: "id".into(),
        address: "/memory/1".into(),
        inbound: true,
    })
}

fn went(peer: u64) -> Message {
    Message::Input(Input::Disconnected(Peer(peer)))
}

/// A status that claims more work than we have, without a block we know.
fn ahead(driven: &Driven) -> chain::Status {
    let node = &driven.running.core.node;
    let mut status = node.status(driven.running.core.clock.now());
    status.head = BlockHash([9; 32]);
    status.chain_work = U256::MAX.to_le_bytes();
    status
}

#[test]
fn a_question_that_finds_no_room_is_over() {
    let mut driven = drive(1);
    let from = Peer(1);
    // The status we ask for takes the only place.
    driven.run([came(1)]);
    let status = ahead(&driven);
    driven.run([Message::Input(Input::Status { from, status })]);
    let own: Vec<_> = driven.running.own_inputs.drain(..).collect();
    let [Input::Unserved { to: peer, request }] = &own[..] else {
        panic!("the question for headers is not over: {own:?}");
    };
    assert_eq!(*peer, from);
    assert!(matches!(request, Request::Headers(_)));
    // With room again, the same peer is asked again.
    driven.run(own.into_iter().map(Message::Input));
    assert!(driven.outgoing.try_recv().is_ok());
    let status = ahead(&driven);
    driven.run([Message::Input(Input::Status { from, status })]);
    let asked = driven.outgoing.try_recv().unwrap();
    assert!(matches!(
        asked,
        Outgoing::Send {
            request: Request::Headers(_),
            ..
        }
    ));
}

#[test]
fn a_body_given_up_while_it_is_loaded_ends_nothing() {
    let driven = drive(1);
    let core = &driven.running.core;
    let mut store = core.store.clone();
    let parent = driven.readers.api_views.borrow().head_header.clone();
    let mut header = Header::clone(&parent);
    header.pow.parent = parent.hash();
    header.extension.height = 1;
    let header = Header::sealed(header.pow, header.extension);
    let hash = header.hash();
    let batch = Batch {
        headers: vec![Arc::new(header)],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    let stored = check::stored(&hash, core.node.spec(), &snapshot);
    assert!(matches!(stored, Ok(None)), "{stored:?}");
}

/// The threads that check messages may all wait for a place in the core's inbox.
#[test]
fn the_journal_is_taken_without_the_threads_that_wait_for_the_core() {
    let mut store = founded();
    let mut batch = Batch::default();
    batch.pooled.insert(transfer().hash(), Some(transfer()));
    store.commit(&batch).unwrap();
    let journal = journal::read(&store.snapshot().unwrap(), &regtest()).unwrap();
    let mut driven = drive_on(store, 8);
    driven.running.core.journal = Some(journal);
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let (started, starts) = std::sync::mpsc::channel();
    let waiting = Arc::clone(&gate);
    rayon::spawn_broadcast(move |_| {
        started.send(()).unwrap();
        drop(waiting.lock());
    });
    for _ in 0..rayon::current_num_threads() {
        starts.recv().unwrap();
    }
    let (taken, takes) = std::sync::mpsc::channel();
    let taking = thread::spawn(move || {
        driven.running.take_journal().unwrap();
        taken.send(driven.running.core.node.pool()).unwrap();
    });
    let pool = takes.recv_timeout(Duration::from_secs(20));
    drop(held);
    taking.join().unwrap();
    let pool = pool.expect("the core waits for threads that wait for the core");
    assert!(pool.get(&transfer().hash()).is_some());
}

/// A store whose disk refuses a few commits.
struct Refusing {
    store: MemoryStore,
    refused: usize,
    mending: Vec<Mended>,
}

impl Store for Refusing {
    type Snapshot = chain::memory::MemorySnapshot;

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.refused > 0 {
            self.refused -= 1;
            return Err(StoreError("no room".into()));
        }
        self.store.commit(batch)
    }

    fn mend(&mut self) -> Mended {
        self.mending.pop().unwrap_or(Mended::Ready)
    }

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        self.store.snapshot()
    }
}

fn refusing(refused: usize, mending: Vec<Mended>) -> Driven<Refusing> {
    let store = Refusing {
        store: founded(),
        refused,
        mending,
    };
    drive_on(store, 8)
}

/// One group whose batch has something to write.
fn hand_in(driven: &mut Driven<Refusing>) -> Result<(), StoreError> {
    let (reply, _) = oneshot::channel();
    let submission = api::Submission {
        transaction: transfer(),
        reply,
    };
    let mut group = Group::default();
    let running = &mut driven.running;
    running.take(Message::Submission(submission), &mut group)?;
    running.finish(group)
}

/// Threat S5: what waits for the disk is carried out once it is mended; what comes meanwhile is
/// answered at once, and who came is remembered.
#[test]
fn a_refused_commit_is_made_later() {
    let error = StoreError("no room".into());
    let mut driven = refusing(2, vec![Mended::Ready, Mended::NotYet(error)]);
    let (reply, mut answer) = oneshot::channel();
    let submission = api::Submission {
        transaction: transfer(),
        reply,
    };
    let meanwhile = [Message::Submission(submission), came(1)];
    for message in meanwhile {
        driven.inbox.try_send(message).unwrap();
    }
    hand_in(&mut driven).unwrap();
    let closed = oneshot::error::TryRecvError::Closed;
    assert_eq!(answer.try_recv(), Err(closed), "nobody waits for the disk");
    assert!(matches!(
        driven.running.kept.pop_front(),
        Some(Message::Connected(_))
    ));
    let stored = driven.running.snapshot.pooled().unwrap();
    assert_eq!(stored, [transfer().bytes()]);
    assert_eq!(driven.running.core.metrics.store_writable.get(), 1);
}

/// Threat S5: however long the disk is waited for, the core then knows who is there.
#[test]
fn who_came_and_went_while_the_disk_refused_is_known_afterwards() {
    let mut driven = drive(8);
    driven.run([came(1), came(2)]);
    let running = &mut driven.running;
    running.put_off(went(1));
    let rtt = Duration::ZERO;
    for peer in 3..3_000 {
        running.put_off(Message::Ping { peer: Peer(2), rtt });
        running.put_off(came(peer));
        running.put_off(went(peer));
    }
    running.put_off(came(9_998));
    running.put_off(came(9_999));
    assert_eq!(running.kept.len(), 3, "no more than there are connections");
    let kept: Vec<_> = running.kept.drain(..).collect();
    driven.run(kept);
    let view = Arc::clone(&driven.readers.api_views.borrow());
    let peers: Vec<_> = view.peer_list.iter().map(|peer| peer.number).collect();
    assert_eq!(peers, [2, 9_998, 9_999]);
}

/// A block that was being read when its files were closed is read again; one that cannot be read
/// although nothing was mended is damaged.
#[test]
fn a_block_that_was_read_from_closed_files_is_read_again() {
    let closed = StoreError("the file is closed".into());
    let mut driven = refusing(1, vec![]);
    let head = driven.readers.api_views.borrow().head;
    let failed = |mendings| Message::Loaded {
        hash: head.hash,
        mendings,
        block: Err(closed.clone()),
    };
    driven.running.put_off(failed(0));
    hand_in(&mut driven).unwrap();
    let kept = driven.running.kept.drain(..).collect::<Vec<_>>();
    assert_eq!(kept.len(), 1, "the core waits for it");
    driven.run(kept);
    let Some(Message::Loaded {
        hash,
        mendings,
        block,
    }) = driven.running.core.inbox.blocking_recv()
    else {
        panic!("it was not read again");
    };
    assert_eq!((hash, mendings), (head.hash, 1));
    assert_ne!(block.err(), Some(closed.clone()));
    let group = &mut Group::default();
    assert_eq!(driven.running.take(failed(1), group), Err(closed));
}

/// Threat S6, and a node that is told to stop while it waits.
#[test]
fn what_cannot_be_mended_ends_the_node() {
    let error = StoreError("the disk could not make a write durable".into());
    let mut driven = refusing(1, vec![Mended::Never(error.clone())]);
    assert_eq!(hand_in(&mut driven), Err(error));
    let error = StoreError("no room".into());
    let mut driven = refusing(1, vec![Mended::NotYet(error.clone()); 9]);
    driven.inbox.try_send(Message::Stop).unwrap();
    assert_eq!(hand_in(&mut driven), Err(error));
    assert_eq!(driven.running.core.metrics.store_writable.get(), 0);
}

/// Threat A6: a view and its store are of one head, also where a commit that seemed to fail had come
/// through.
#[test]
fn a_store_that_is_ahead_of_the_view_waits_for_the_next() {
    let mut driven = drive(1);
    let mut store = driven.running.core.store.clone();
    let head = driven.readers.api_views.borrow().head;
    let pooled = |driven: &Driven| {
        let view = Arc::clone(&driven.readers.api_views.borrow());
        assert_eq!(view.reader.head(), Ok(Some(view.head)));
        view.reader.pooled().unwrap().len()
    };
    let mut batch = Batch::default();
    batch.pooled.insert(transfer().hash(), Some(transfer()));
    store.commit(&batch).unwrap();
    let publisher = &mut driven.running.core.publisher;
    publisher.replace_reader(&store.snapshot().unwrap());
    assert_eq!(pooled(&driven), 1);
    let ahead = Batch {
        head: Some(chain::BlockId {
            height: head.height + 1,
            ..head
        }),
        ..Batch::default()
    };
    store.commit(&ahead).unwrap();
    let publisher = &mut driven.running.core.publisher;
    publisher.replace_reader(&store.snapshot().unwrap());
    assert_eq!(pooled(&driven), 1);
}
