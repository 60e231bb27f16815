//! A session from the outside: lines in, deeds out.

use std::sync::Arc;

use chain::{Address, Bits, BlockHash, Header, U256};
use serde_json::{Value, json};

use super::{
    Closing, Deed, Difficulty, Found, Job, Now, Session,
    message::{EXTRA_NONCE_2_BYTES, Share},
};
use crate::limits::{FAULTS_BURST, JOBS_KEPT, LINES_BURST, TIME_ROLL_SECS, WORKERS_MAX};

const ONE: &str = "0x00000000000000000000000000000000000000a1";
const TIME: u32 = 1_700_000_000;
const EASY: Bits = Bits(0x207f_ffff);
const HEAD: BlockHash = BlockHash([7; 32]);

fn now(ms: u64) -> Now {
    Now {
        ms,
        block_time_max: u64::from(TIME) + 60,
        head: HEAD,
    }
}

fn session(number: u8) -> Session {
    let payees = |name: &str| {
        let address = name.parse::<Address>();
        address.map_err(|_| format!("{name:?} is no address"))
    };
    Session::new([number; 8], Arc::new(payees), 0)
}

fn header(parent: BlockHash, bits: Bits) -> Header {
    let mut header = Header::default();
    header.pow.version = 0x2000_0000;
    (header.pow.parent, header.pow.bits, header.pow.time) = (parent, bits, TIME);
    header.extension.height = 7;
    header.extension.extra_data = *b"a tag that is thirty-two letters";
    header
}

fn job(number: u64, parent: BlockHash, bits: Bits) -> Arc<Job> {
    Arc::new(Job::new(number, header(parent, bits)).unwrap())
}

fn lines(deeds: &[Deed]) -> Vec<Value> {
    let sent = deeds.iter().filter_map(|deed| match deed {
        Deed::Send(line) => Some(line),
        _ => None,
    });
    sent.map(|line| {
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        serde_json::from_str(line).unwrap()
    })
    .collect()
}

fn call_at(session: &mut Session, now: &Now, method: &str, params: &Value) -> Vec<Deed> {
    let line = json!({"id": 1, "method": method, "params": params}).to_string();
    session.line(line.as_bytes(), now)
}

fn call(session: &mut Session, method: &str, params: &Value) -> Vec<Deed> {
    call_at(session, &now(1_000), method, params)
}

/// A miner that is ready, and its first job.
fn ready(number: u8, bits: Bits) -> (Session, Arc<Job>) {
    let mut session = session(number);
    call(&mut session, "mining.subscribe", &json!(["test/1"]));
    let deeds = call(&mut session, "mining.authorize", &json!([ONE, "x"]));
    assert_eq!(lines(&deeds)[0]["result"], true);
    let job = job(1, HEAD, bits);
    assert_eq!(lines(&session.job(Arc::clone(&job))).len(), 2);
    (session, job)
}

fn share(job: &Job, nonce: u32) -> Share {
    Share {
        name: ONE.into(),
        job: job.id().into(),
        extra_nonce_2: [3; EXTRA_NONCE_2_BYTES],
        time: TIME,
        nonce,
        version_bits: 0,
    }
}

fn submit_at(session: &mut Session, now: &Now, share: &Share) -> Vec<Deed> {
    let mut params = vec![
        json!(share.name),
        json!(share.job),
        json!("03".repeat(8)),
        json!(format!("{:08x}", share.time)),
        json!(format!("{:08x}", share.nonce)),
    ];
    if share.version_bits != 0 {
        params.push(json!(format!("{:08x}", share.version_bits)));
    }
    call_at(session, now, "mining.submit", &json!(params))
}

/// The code of a refusal, or 0.
fn code(deeds: &[Deed]) -> u64 {
    let answer = &lines(deeds)[0];
    assert_ne!(answer["result"].is_null(), answer["error"].is_null());
    answer["error"][0].as_u64().unwrap_or(0)
}

fn submit(session: &mut Session, share: &Share) -> u64 {
    code(&submit_at(session, &now(1_000), share))
}

/// The first nonce of which something holds, of shares made by session `number`.
fn nonce(job: &Job, number: u8, holds: impl Fn(&Header) -> bool) -> u32 {
    let holds = |nonce: &u32| holds(&job.assemble(&[number; 8], &share(job, *nonce), 0));
    (0..1_000_000).find(holds).unwrap()
}

fn block(deeds: &[Deed]) -> Option<&Found> {
    deeds.iter().find_map(|deed| match deed {
        Deed::Block(found) => Some(found),
        _ => None,
    })
}

#[test]
fn jobs_are_written_as_miners_read_them() {
    let mut parent = BlockHash([0; 32]);
    // Bitcoin's genesis block, in wire order and as its words are shown.
    let wire = "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";
    alloy_primitives::hex::decode_to_slice(wire, &mut parent.0).unwrap();
    let job = job(255, parent, Bits(0x1d00_ffff));
    let line: Value = serde_json::from_str(&job.notify_clean()).unwrap();
    let extension = job.header().extension.encode();
    let params = json!([
        "ff",
        "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000",
        alloy_primitives::hex::encode(&extension[..260]),
        "",
        [],
        "20000000",
        "1d00ffff",
        "6553f100",
        true
    ]);
    let want = json!({"id": null, "method": "mining.notify", "params": params});
    assert_eq!(line, want);
    let more: Value = serde_json::from_str(&job.notify_more()).unwrap();
    assert_eq!(more["params"][8], false);
}

#[test]
fn nobody_works_before_they_said_who_is_paid() {
    let (mut session, job) = (session(1), job(1, HEAD, EASY));
    assert_eq!(submit(&mut session, &share(&job, 0)), 25);
    assert!(session.job(Arc::clone(&job)).is_empty());
    let deeds = call(&mut session, "mining.subscribe", &Value::Null);
    let answer = &lines(&deeds)[0]["result"];
    assert_eq!(answer[1], "0101010101010101");
    assert_eq!(answer[2], 8);
    assert_eq!(submit(&mut session, &share(&job, 0)), 24);
    let deeds = call(&mut session, "mining.authorize", &json!(["bob.1"]));
    assert_eq!(code(&deeds), 24);
    let text = lines(&deeds)[0]["error"][1].to_string();
    assert!(
        text.contains("ADDRESS.WORKER") && text.contains("bob"),
        "{text}"
    );
    assert!(session.job(Arc::clone(&job)).is_empty());

    let name = format!("{ONE}.rig");
    let deeds = call(&mut session, "mining.authorize", &json!([name]));
    assert!(
        matches!(deeds[..], [Deed::Send(_), Deed::Work(_)]),
        "{deeds:?}"
    );
    let other = call(
        &mut session,
        "mining.authorize",
        &json!([ONE.replace("a1", "a2")]),
    );
    assert_eq!(code(&other), 24, "one connection pays one address");
    let first = lines(&session.job(Arc::clone(&job)));
    assert_eq!(first[0]["method"], "mining.set_difficulty");
    assert_eq!(first[1]["method"], "mining.notify");
    assert_eq!(
        submit(&mut session, &share(&job, 0)),
        24,
        "{ONE} has no full stop"
    );
    for worker in 1..WORKERS_MAX {
        let name = json!([format!("{ONE}.{worker}")]);
        assert_eq!(code(&call(&mut session, "mining.authorize", &name)), 0);
    }
    assert_eq!(
        code(&call(&mut session, "mining.authorize", &json!([ONE]))),
        24
    );
}

#[test]
fn those_who_authorise_first_get_jobs_too() {
    let mut session = session(1);
    let deeds = call(&mut session, "mining.authorize", &json!([ONE]));
    assert!(matches!(deeds[..], [Deed::Send(_)]));
    let deeds = call(&mut session, "mining.subscribe", &json!([]));
    assert!(matches!(deeds[..], [Deed::Send(_), Deed::Work(_)]));
}

#[test]
fn a_share_that_meets_the_blocks_target_is_a_block() {
    let (mut session, job) = ready(1, EASY);
    let target = job.target();
    let hit = nonce(&job, 1, |header| target.is_met_by(&header.hash()));
    let deeds = submit_at(&mut session, &now(1_000), &share(&job, hit));
    assert_eq!(code(&deeds), 0);
    let header = &block(&deeds).unwrap().header;
    assert!(target.is_met_by(&header.hash()));
    assert_eq!(header.pow.commitment, header.extension.commitment());
    let nonces = [[1; 8], [3; 8]].concat();
    assert_eq!(header.extension.extra_nonce.to_vec(), nonces);
    assert_eq!(submit(&mut session, &share(&job, hit)), 22);

    // Nearly every hash is a share at the least difficulty, and about half of them are blocks.
    let easiest = Difficulty::MIN.target();
    let miss = nonce(&job, 1, |header| {
        let hash = header.hash();
        easiest.is_met_by(&hash) && !target.is_met_by(&hash)
    });
    let deeds = submit_at(&mut session, &now(1_000), &share(&job, miss));
    assert_eq!((code(&deeds), block(&deeds).is_none()), (0, true));
}

#[test]
fn shares_are_easier_than_blocks_where_blocks_are_hard() {
    let (mut session, job) = ready(1, Bits(0x1d00_ffff));
    call(&mut session, "mining.suggest_difficulty", &json!([1e-9]));
    let target = Difficulty::at_most(1e-9).unwrap().target();
    let hit = nonce(&job, 1, |header| target.is_met_by(&header.hash()));
    let miss = nonce(&job, 1, |header| !target.is_met_by(&header.hash()));
    let deeds = submit_at(&mut session, &now(1_000), &share(&job, hit));
    assert_eq!((code(&deeds), block(&deeds).is_none()), (0, true));
    assert!(
        deeds
            .iter()
            .any(|deed| matches!(deed, Deed::Accepted(4..5)))
    );
    assert_eq!(submit(&mut session, &share(&job, miss)), 23);
}

/// Threat N1.
#[test]
fn shares_of_another_head_are_stale() {
    let (mut session, job_1) = ready(1, EASY);
    let target = job_1.target();
    let hit = nonce(&job_1, 1, |header| target.is_met_by(&header.hash()));
    let moved = Now {
        head: BlockHash([8; 32]),
        ..now(1_000)
    };
    // Before the new job is there …
    let deeds = submit_at(&mut session, &moved, &share(&job_1, hit));
    assert_eq!((code(&deeds), block(&deeds).is_none()), (21, true));
    // … and after.
    let job_2 = job(2, moved.head, EASY);
    let told = lines(&session.job(Arc::clone(&job_2)));
    assert_eq!(told[0]["params"][8], true, "clean, at the same difficulty");
    let deeds = submit_at(&mut session, &moved, &share(&job_1, hit));
    assert_eq!(code(&deeds), 21);
    let hit = nonce(&job_2, 1, |header| target.is_met_by(&header.hash()));
    let deeds = submit_at(&mut session, &moved, &share(&job_2, hit));
    assert!(block(&deeds).is_some());
}

#[test]
fn jobs_of_one_head_stand_beside_each_other_for_a_while() {
    let (mut session, first) = ready(1, EASY);
    let target = first.target();
    for number in 2..=JOBS_KEPT as u64 {
        let told = lines(&session.job(job(number, HEAD, EASY)));
        assert_eq!(told[0]["params"][8], false);
    }
    let hit = nonce(&first, 1, |header| target.is_met_by(&header.hash()));
    assert_eq!(submit(&mut session, &share(&first, hit)), 0);
    session.job(job(99, HEAD, EASY));
    let hit = nonce(&first, 1, |header| {
        header.pow.nonce > hit && target.is_met_by(&header.hash())
    });
    assert_eq!(submit(&mut session, &share(&first, hit)), 21);
}

#[test]
fn the_same_header_under_another_job_is_the_same_share() {
    let (mut session, first) = ready(1, EASY);
    let target = first.target();
    let hit = nonce(&first, 1, |header| target.is_met_by(&header.hash()));
    assert_eq!(submit(&mut session, &share(&first, hit)), 0);
    let again = job(2, HEAD, EASY);
    session.job(Arc::clone(&again));
    assert_eq!(submit(&mut session, &share(&again, hit)), 22);
}

#[test]
fn times_may_be_rolled_within_bounds() {
    let (mut session, job) = ready(1, EASY);
    let mut at = |time: u32, block_time_max: u64| {
        let now = Now {
            block_time_max,
            ..now(1_000)
        };
        let share = Share {
            time,
            ..share(&job, 0)
        };
        code(&submit_at(&mut session, &now, &share)) == 20
    };
    let far = u64::from(u32::MAX);
    assert!(at(TIME - 1, far));
    assert!(
        !at(TIME, 0),
        "the node's own time, even of a clock set back"
    );
    assert!(!at(TIME + TIME_ROLL_SECS, far));
    assert!(at(TIME + TIME_ROLL_SECS + 1, far));
    assert!(!at(TIME + 60, u64::from(TIME) + 60));
    assert!(at(TIME + 61, u64::from(TIME) + 60));
}

#[test]
fn versions_are_rolled_within_the_mask_that_was_agreed() {
    let (mut session, job) = ready(1, EASY);
    let version = |session: &mut Session, bits: u32| {
        (0..64).find_map(|nonce| {
            let share = Share {
                version_bits: bits,
                ..share(&job, nonce)
            };
            let deeds = submit_at(session, &now(1_000), &share);
            block(&deeds).map(|found| found.header.pow.version)
        })
    };
    assert_eq!(version(&mut session, 0x0400_0000), Some(0x2000_0000));
    let extensions =
        json!([["minimum-difficulty", "version-rolling"], {"version-rolling.mask": "04ffe00f"}]);
    let deeds = call(&mut session, "mining.configure", &extensions);
    let want = json!({
        "minimum-difficulty": false,
        "version-rolling": true,
        "version-rolling.mask": "04ffe000",
    });
    assert_eq!(lines(&deeds)[0]["result"], want);
    assert_eq!(version(&mut session, 0x0400_2000), Some(0x2400_2000));
    assert_eq!(version(&mut session, 0xffff_ffff), Some(0x24ff_e000));
    let none = json!([["version-rolling"], {"version-rolling.mask": "00001fff"}]);
    let deeds = call(&mut session, "mining.configure", &none);
    assert_eq!(lines(&deeds)[0]["result"]["version-rolling"], false);
}

/// Threat N2: two connections of one address never make the same header.
#[test]
fn connections_have_their_own_part_of_the_extra_nonce() {
    let job = job(1, HEAD, EASY);
    let header = |number: u8| job.assemble(&[number; 8], &share(&job, 5), 0);
    assert_ne!(header(1).extension, header(2).extension);
    assert_ne!(header(1).hash(), header(2).hash());
}

#[test]
fn the_difficulty_follows_and_old_jobs_keep_the_easier_one() {
    let (mut session, job_1) = ready(1, Bits(0x1b00_ffff));
    let deeds = call(&mut session, "mining.suggest_difficulty", &json!([1e-9]));
    let difficulty = |deeds: &[Deed]| {
        let told = lines(deeds);
        let line = told
            .iter()
            .find(|it| it["method"] == "mining.set_difficulty");
        line.map(|line| line["params"][0].as_f64().unwrap())
    };
    let easy = difficulty(&deeds).unwrap();
    assert!(deeds.iter().any(|deed| matches!(deed, Deed::Renew)));
    let target = Difficulty::at_most(1e-9).unwrap().target();
    let mut hits = (0..100_000).filter(|nonce| {
        let header = job_1.assemble(&[1; 8], &share(&job_1, *nonce), 0);
        target.is_met_by(&header.hash())
    });
    let mut told = Vec::new();
    for _ in 0..16 {
        let hit = share(&job_1, hits.next().unwrap());
        told = submit_at(&mut session, &now(1_100), &hit);
        assert_eq!(code(&told), 0);
    }
    let harder = difficulty(&told).unwrap();
    assert!(harder > 64.0 * easy, "{harder} after {easy}");
    assert_eq!(
        submit(&mut session, &share(&job_1, hits.next().unwrap())),
        0
    );
    let job_2 = job(2, HEAD, Bits(0x1b00_ffff));
    assert_eq!(
        lines(&session.job(Arc::clone(&job_2))).len(),
        1,
        "told already"
    );
    assert_eq!(
        submit(&mut session, &share(&job_2, hits.next().unwrap())),
        23
    );
    let down = session.tick(70_000);
    assert!(difficulty(&down).unwrap() < harder);
    assert!(matches!(down.last(), Some(Deed::Renew)));
}

#[test]
fn no_block_is_easier_than_a_share() {
    let (mut session, _) = ready(1, EASY);
    let first = session.job(job(2, BlockHash([8; 32]), Bits(0x1e7f_ffff)));
    let difficulty = lines(&first)[0]["params"][0].as_f64().unwrap();
    // Reading JSON may lose the last bit.
    let target = Difficulty::at_most(difficulty * 1.01).unwrap().target();
    assert!(target >= Bits(0x1e7f_ffff).target().unwrap());
    assert!(target.value() < EASY.target().unwrap().value() / U256::from(1_000));
}

#[test]
fn silence_ends_a_connection() {
    let closing = |deeds: &[Deed]| match deeds {
        [Deed::Close(closing)] => Some(*closing),
        _ => None,
    };
    let mut silent = session(1);
    call(&mut silent, "mining.subscribe", &json!([]));
    assert_eq!(closing(&silent.tick(29_999)), None);
    assert_eq!(closing(&silent.tick(30_000)), Some(Closing::Greeting));
    let (mut working, _) = ready(2, EASY);
    assert_eq!(closing(&working.tick(600_999)), None);
    assert_eq!(closing(&working.tick(601_000)), Some(Closing::Idle));
}

/// Threat N2.
#[test]
fn who_sends_too_much_is_slowed_and_who_sends_nonsense_is_closed() {
    let (mut session, job) = ready(1, EASY);
    let is_closed = |deeds: &[Deed]| matches!(deeds.last(), Some(Deed::Close(Closing::Faults)));
    let stale = Now {
        head: BlockHash([9; 32]),
        ..now(1_000)
    };
    for _ in 0..2 * FAULTS_BURST {
        let deeds = submit_at(&mut session, &stale, &share(&job, 0));
        assert!(!is_closed(&deeds), "stale shares are nobody's fault");
    }
    for _ in 0..FAULTS_BURST {
        assert!(!is_closed(&session.line(b"{}", &now(1_000))));
    }
    assert!(is_closed(&session.line(b"{}", &now(1_000))));
    for _ in 0..LINES_BURST {
        assert_eq!(session.pause_ms(1_000), 0);
    }
    assert_eq!(session.pause_ms(1_000), 20);
}
