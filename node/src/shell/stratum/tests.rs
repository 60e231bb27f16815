//! The foreman on views made by hand, one round at a time.

use std::{
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};

use api::{
    mining::{Offer, QUESTIONS_MAX, Question, Rejection},
    network::SyncInfo,
};
use chain::{Address, Bits, BlockHash, BlockId, ChainSpec, Header, Input};
use miner::{
    limits::{BENEFICIARIES_MAX, JOBS_KEPT},
    stratum::Job,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    foreman::{BODIES_BYTES_MAX, Foreman, JOB_LIFE, POST_LIFE, RENEWAL_MIN, Work},
    questions::{POLLS_MAX, answer},
};
use crate::shell::{
    clock::Clock,
    core::Message,
    metrics::Metrics,
    mining::Site,
    view::{View, tests::of_genesis},
};

const ONE: Address = Address::repeat_byte(1);
const TWO: Address = Address::repeat_byte(2);

/// The view of a network's genesis block; another `number`, another network and so another head.
fn view(number: u32, sync: SyncInfo) -> Arc<View> {
    let text = ChainSpec::devnet(1_700_000_000 + number, Bits(0x207f_ffff));
    let mut view = of_genesis(&text);
    Arc::get_mut(&mut view.api).unwrap().sync = sync;
    Arc::new(view)
}

/// A foreman, and the ends of what it is given.
struct Bench {
    foreman: Arc<Foreman>,
    views: watch::Sender<Arc<View>>,
    inbox: mpsc::Receiver<Message>,
}

fn bench() -> Bench {
    let (views, shown) = watch::channel(view(0, SyncInfo::default()));
    let (inbox_in, inbox) = mpsc::channel(8);
    let site = Site {
        beneficiary: Address::ZERO,
        extra_data: [9; 32],
        extra_nonce: [8; 16],
        views: shown,
        inbox: inbox_in,
        clock: Clock::start(),
        metrics: Arc::<Metrics>::default(),
    };
    Bench {
        foreman: Foreman::new(site, true, [1, 2, 3, 4]),
        views,
        inbox,
    }
}

type Jobs = watch::Receiver<Option<Arc<Work>>>;

fn join(foreman: &Foreman, address: Address) -> Jobs {
    foreman.reserve(address).unwrap();
    foreman.join(address)
}

fn job(jobs: &mut Jobs) -> Option<Arc<Work>> {
    jobs.borrow_and_update().clone()
}

/// Makes an address' times lie further back.
fn age(foreman: &Foreman, address: Address, by: Duration) {
    let mut posts = foreman.posts.lock().unwrap_or_else(PoisonError::into_inner);
    let post = posts.get_mut(&address).unwrap();
    let back = |time: Instant| time.checked_sub(by).unwrap();
    (post.made, post.used) = (back(post.made), back(post.used));
}

#[test]
fn each_address_has_jobs_of_its_own_on_the_present_head() {
    let bench = bench();
    let (mut one, mut two) = (join(&bench.foreman, ONE), join(&bench.foreman, TWO));
    assert!(job(&mut one).is_none());
    bench.foreman.round();
    let (first, other) = (job(&mut one).unwrap(), job(&mut two).unwrap());
    assert_eq!(first.job.header().extension.beneficiary, ONE);
    assert_eq!(other.job.header().extension.beneficiary, TWO);
    assert_ne!(first.job.id(), other.job.id());
    assert_eq!(first.job.header().extension.extra_data, [9; 32]);
    bench.foreman.round();
    assert!(!one.has_changed().unwrap(), "the job is fresh");
    let mut posts = bench.foreman.posts.lock().unwrap();
    posts.get_mut(&ONE).unwrap().take(Arc::clone(&first));
    drop(posts);
    assert!(
        !one.has_changed().unwrap(),
        "nobody does the same work twice"
    );

    let next = view(1, SyncInfo::default());
    bench.views.send_replace(Arc::clone(&next));
    bench.foreman.round();
    let second = job(&mut one).unwrap();
    assert_eq!(second.job.parent(), next.api.head.hash);
    assert_ne!(second.job.parent(), first.job.parent());
    assert!(
        bench
            .foreman
            .find(|work| work.job.id() == first.job.id())
            .is_none()
    );
}

#[test]
fn jobs_are_renewed_when_they_are_old_or_it_is_asked_for() {
    let bench = bench();
    let mut jobs = join(&bench.foreman, ONE);
    bench.foreman.round();
    let mut last = job(&mut jobs).unwrap();
    let mut next_after = |jobs: &mut Jobs, by: Duration| {
        age(&bench.foreman, ONE, by);
        // A job of the same second would be the same work.
        thread::sleep(Duration::from_millis(1_100));
        bench.foreman.round();
        assert!(jobs.has_changed().unwrap());
        let next = job(jobs).unwrap();
        assert!(next.job.header().pow.time > last.job.header().pow.time);
        assert_eq!(next.job.parent(), last.job.parent());
        let kept = bench.foreman.find(|work| work.job.id() == last.job.id());
        assert!(kept.is_some(), "its shares count for a while");
        last = next;
    };
    next_after(&mut jobs, JOB_LIFE);
    bench.foreman.renew(ONE);
    bench.foreman.round();
    assert!(!jobs.has_changed().unwrap(), "not so soon");
    next_after(&mut jobs, RENEWAL_MIN);
    age(&bench.foreman, ONE, RENEWAL_MIN);
    bench.foreman.round();
    assert!(
        !jobs.has_changed().unwrap(),
        "nobody asked, and it is not old"
    );
    age(&bench.foreman, ONE, JOB_LIFE);
    bench.foreman.round();
    let kept = bench.foreman.posts.lock().unwrap()[&ONE].recent.len();
    assert!((3..=JOBS_KEPT).contains(&kept));
}

/// Catching up with a header of this height.
fn behind(height: u64) -> SyncInfo {
    SyncInfo {
        is_syncing: true,
        best_header: BlockId {
            height,
            hash: BlockHash([3; 32]),
        },
        ..SyncInfo::default()
    }
}

#[test]
fn a_node_far_behind_gives_no_jobs() {
    let bench = bench();
    let mut jobs = join(&bench.foreman, ONE);
    bench.views.send_replace(view(1, behind(7)));
    bench.foreman.round();
    assert!(job(&mut jobs).is_none());
    assert!(
        bench
            .foreman
            .offer(ONE)
            .unwrap_err()
            .contains("catching up")
    );
    // A block or two on their way are no reason to rest.
    bench.views.send_replace(view(1, behind(6)));
    bench.foreman.round();
    assert!(job(&mut jobs).is_some());
}

/// Threat N2.
#[test]
fn addresses_that_are_paid_are_bounded_and_forgotten() {
    let Bench { foreman, .. } = &bench();
    let address = |number: usize| Address::left_padding_from(&number.to_be_bytes());
    let mut listeners: Vec<_> = (1..=BENEFICIARIES_MAX)
        .map(|number| join(foreman, address(number)))
        .collect();
    let error = foreman.reserve(ONE).unwrap_err();
    assert!(error.contains("64 addresses"), "{error}");
    foreman.reserve(address(1)).unwrap();
    listeners.pop();
    foreman.reserve(ONE).unwrap();
    listeners.clear();
    foreman.round();
    assert_eq!(foreman.posts.lock().unwrap().len(), BENEFICIARIES_MAX);
    age(foreman, ONE, POST_LIFE);
    foreman.round();
    assert_eq!(foreman.posts.lock().unwrap().len(), BENEFICIARIES_MAX - 1);
}

/// Threat N2: a node that has much to catch up with keeps nothing for those who are gone, nor views of
/// heads that are over.
#[test]
fn what_nobody_wants_is_forgotten_while_the_node_catches_up() {
    let bench = bench();
    let foreman = &bench.foreman;
    let _jobs = join(foreman, ONE);
    foreman.offer(TWO).unwrap();
    foreman.round();
    bench.views.send_replace(view(1, behind(7)));
    age(foreman, TWO, POST_LIFE);
    foreman.round();
    let posts = foreman.posts.lock().unwrap();
    assert!(posts.keys().eq([&ONE]));
    assert!(posts[&ONE].recent.is_empty());
}

/// Threat N2: however large their blocks are.
#[test]
fn jobs_take_no_more_memory_than_they_may() {
    let Bench { foreman, .. } = &bench();
    let count = BODIES_BYTES_MAX / LARGE;
    let address = |number: usize| Address::left_padding_from(&number.to_be_bytes());
    let kept = |address| foreman.posts.lock().unwrap()[&address].recent.len();
    let give = |address, tag| {
        foreman.reserve(address).unwrap();
        foreman.give(address, large(foreman, address, tag));
    };
    for tag in 0..10 {
        give(ONE, tag);
    }
    assert_eq!(kept(ONE), JOBS_KEPT);
    for number in 1..=count {
        give(address(number), 0);
    }
    // Everybody has the newest, and nobody has room for more.
    assert!((1..=count).all(|number| kept(address(number)) == 1));
    assert_eq!(kept(ONE), 1);
    let newest = Arc::clone(&foreman.posts.lock().unwrap()[&ONE].recent[0]);
    assert_eq!(newest.job.header().extension.extra_data, [9; 32]);
}

/// Bytes of a large job's transactions.
const LARGE: usize = 2 * 1024 * 1024;

/// A job whose block is large, told from others by its tag.
fn large(foreman: &Foreman, beneficiary: Address, tag: u8) -> Arc<Work> {
    let view = foreman.site().view();
    let mut block = foreman.site().empty_template(&view).unwrap();
    block.header.extension.beneficiary = beneficiary;
    block.header.extension.extra_data = [tag; 32];
    block.header = Header::sealed(block.header.pow, block.header.extension);
    block.body.0.push(vec![0; LARGE]);
    let job = Job::new(u64::from(tag), block.header.clone()).unwrap();
    Work::new(job, block, &view)
}

/// A header of an offer that meets the target, or misses it.
fn solve(offer: &Header, is_met: impl Fn(bool) -> bool) -> Header {
    let target = offer.pow.bits.target().unwrap();
    let mut header = offer.clone();
    while !is_met(target.is_met_by(&header.hash())) {
        header.pow.nonce += 1;
    }
    header
}

#[test]
fn blocks_are_checked_before_the_core_hears_of_them() {
    let mut bench = bench();
    let foreman = Arc::clone(&bench.foreman);
    let (offer, other) = (foreman.offer(ONE).unwrap(), foreman.offer(ONE).unwrap());
    assert_ne!(offer.extension.extra_nonce, other.extension.extra_nonce);
    let hit = solve(&offer, |met| met);
    let refused = |change: &dyn Fn(&mut Header)| {
        let mut header = hit.clone();
        change(&mut header);
        foreman.hand_in_header(header).unwrap_err()
    };
    let low = solve(&offer, |met| !met);
    assert_eq!(foreman.hand_in_header(low), Err(Rejection::HighHash));
    let parent = |header: &mut Header| header.pow.parent = BlockHash([5; 32]);
    assert_eq!(refused(&parent), Rejection::StalePrevious);
    let gas = |header: &mut Header| header.extension.gas_used = 1;
    assert_eq!(refused(&gas), Rejection::UnknownWork);
    let rolled = |by: i64| {
        let mut header = offer.clone();
        let time = i64::from(header.pow.time) + by;
        header.pow.time = u32::try_from(time).unwrap();
        foreman.hand_in_header(solve(&header, |met| met))
    };
    assert_eq!(rolled(-1), Err(Rejection::Time));
    assert_eq!(rolled(121), Err(Rejection::Time));
    // The genesis block is years old, so each second more is a second more forgiven (Rule H2).
    assert_eq!(rolled(1), Err(Rejection::Time));
    let version = |header: &mut Header| {
        header.pow.version |= 1;
        *header = solve(header, |met| met);
    };
    assert_eq!(refused(&version), Rejection::Rejected);
    assert!(
        bench.inbox.try_recv().is_err(),
        "the core has heard of none"
    );

    assert_eq!(foreman.hand_in_header(hit.clone()), Ok(()));
    let Ok(Message::Input(Input::Block { from: None, block })) = bench.inbox.try_recv() else {
        panic!("the core has not been given the block");
    };
    assert_eq!(block.id().hash, hit.hash());
    let rival = foreman.hand_in_header(solve(&other, |met| met));
    assert_eq!(rival, Err(Rejection::StalePrevious), "of our own block");
    assert!(bench.inbox.try_recv().is_err());
}

#[test]
fn those_who_would_wait_get_a_job_without_transactions_first() {
    let Bench { foreman, .. } = &bench();
    let mut jobs = [ONE, TWO].map(|address| join(foreman, address));
    foreman.round_within(Duration::ZERO);
    for jobs in &mut jobs {
        let work = job(jobs).unwrap();
        assert_eq!(work.job.header().extension.transaction_count, 0);
        // The pool is empty too, so the full job is the same unless a second has passed.
        let kept = &foreman.posts.lock().unwrap()[&work.job.header().extension.beneficiary];
        assert!(kept.recent.len() <= 2);
    }
}

/// Answers to miners over HTTP, on the bench's head.
fn answers(bench: &Bench) -> mpsc::Sender<Question> {
    let (questions, waiting) = mpsc::channel(QUESTIONS_MAX);
    let foreman = Arc::clone(&bench.foreman);
    tokio::spawn(answer(waiting, foreman, Some(ONE)));
    questions
}

type Offered = oneshot::Receiver<Result<Offer, String>>;

async fn template(questions: &mpsc::Sender<Question>, known: Option<BlockHash>) -> Offered {
    let (reply, answer) = oneshot::channel();
    let name = None;
    let question = Question::Template { name, known, reply };
    questions.send(question).await.unwrap();
    answer
}

/// Threat N2: whoever has gone takes no room from those who come.
#[tokio::test]
async fn abandoned_long_polls_make_room() {
    let bench = bench();
    let questions = answers(&bench);
    let head = bench.foreman.site().view().api.head.hash;
    for _ in 0..POLLS_MAX {
        drop(template(&questions, Some(head)).await);
    }
    for _ in 0..1_000 {
        if let Ok(offered) = template(&questions, None).await.await {
            assert_eq!(offered.unwrap().header.pow.parent, head);
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no room was made");
}

/// Threat N2: however many wait for another head, the block that makes it is taken in.
#[tokio::test]
async fn blocks_do_not_wait_for_long_polls() {
    let mut bench = bench();
    let questions = answers(&bench);
    let head = bench.foreman.site().view().api.head.hash;
    let mut polls = Vec::new();
    for _ in 0..POLLS_MAX {
        polls.push(template(&questions, Some(head)).await);
    }
    let refused = template(&questions, None).await.await;
    assert!(refused.is_err(), "there is an end to their room");
    let header = Box::new(solve(&bench.foreman.offer(ONE).unwrap(), |met| met));
    let (reply, answer) = oneshot::channel();
    let question = Question::Block { header, reply };
    questions.send(question).await.unwrap();
    assert_eq!(answer.await, Ok(Ok(())));
    assert!(bench.inbox.try_recv().is_ok());
    assert!(polls.iter_mut().all(|poll| poll.try_recv().is_err()));
}
