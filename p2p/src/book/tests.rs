//! What the book takes, keeps, gives up and picks.

use super::*;
use crate::address::parse;

fn book(reach: Reach) -> Book {
    Book::new(PeerId::random(), reach, [7; 32])
}

fn at(text: &str) -> Multiaddr {
    parse(text, Reach::World).unwrap().address
}

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Adds a new peer at this address, told from that IP.
fn add(book: &mut Book, address: &str, teller: &str) -> Option<PeerId> {
    let id = PeerId::random();
    book.add(id, at(address), ip_of(teller)).then_some(id)
}

fn holds(book: &Book, id: &PeerId) -> bool {
    book.entries().iter().any(|entry| entry.id == *id)
}

fn nobody(_: &PeerId) -> bool {
    false
}

#[test]
fn an_address_is_taken_once_and_never_our_own() {
    let mut book = book(Reach::World);
    let id = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    assert!(book.take_changed() && !book.take_changed());
    assert!(!book.add(id, at("9.1.1.1:7"), ip_of("8.8.4.4")));
    let own = book.own;
    assert!(!book.add_own(own, at("9.1.1.1:7")));
    assert!(!book.take_changed());
}

#[test]
fn what_no_machine_can_have_is_refused() {
    let mut book = book(Reach::World);
    for bad in [
        "/ip4/0.0.0.0/tcp/7",
        "/ip4/224.0.0.1/tcp/7",
        "/ip4/255.255.255.255/tcp/7",
        "/ip6/::/tcp/7",
        "/ip4/9.1.1.1/tcp/0",
        "/ip4/9.1.1.1/udp/0/quic-v1",
        "/ip4/9.1.1.1/udp/7",
        "/dns/a.example/tcp/7",
        "/ip4/9.1.1.1/tcp/7/ws",
    ] {
        let told = book.add(PeerId::random(), bad.parse().unwrap(), ip_of("8.8.8.8"));
        assert!(!told, "{bad}");
    }
    let name = at("seed.example:7");
    assert!(book.add_own(PeerId::random(), name), "the operator may");
}

#[test]
fn nobody_is_told_of_what_is_nearer_than_the_teller() {
    let mut world = book(Reach::World);
    for (address, teller, want) in [
        ("9.1.1.1:7", "8.8.8.8", true),
        ("10.1.1.1:7", "8.8.8.8", false),
        ("127.0.0.1:7", "8.8.8.8", false),
        ("10.1.1.1:7", "10.2.2.2", true),
        ("127.0.0.1:7", "10.2.2.2", false),
        ("127.0.0.1:7", "127.0.0.1", false),
        ("10.1.1.2:7", "127.0.0.1", true),
    ] {
        let told = add(&mut world, address, teller).is_some();
        assert_eq!(told, want, "{address} from {teller}");
    }
    let mut machine = book(Reach::Machine);
    assert!(add(&mut machine, "127.0.0.1:7", "127.0.0.1").is_some());
    assert!(add(&mut machine, "10.1.1.1:7", "127.0.0.1").is_none());
    let mut lan = book(Reach::Lan);
    assert!(add(&mut lan, "192.168.0.7:7", "192.168.0.8").is_some());
    assert!(add(&mut lan, "9.1.1.1:7", "192.168.0.8").is_none());
    assert!(add(&mut lan, "127.0.0.1:7", "192.168.0.8").is_none());
}

#[test]
fn a_neighbourhood_fills_its_share_only() {
    let mut book = book(Reach::World);
    let honest = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    for n in 0..5_000 {
        let address = format!("7.{}.{}.1:7", n / 250, n % 250);
        add(&mut book, &address, "6.6.6.6");
    }
    assert_eq!(book.entries().len(), 1 + BOOK_PER_SOURCE);
    assert!(holds(&book, &honest));
}

/// Threat P5: addresses from any number of neighbourhoods leave the tried ones in place.
#[test]
fn p5_a_flood_does_not_push_out_where_peers_were_reached() {
    let mut book = book(Reach::World);
    let mut reached = Vec::new();
    for n in 0..40 {
        let (id, address) = (PeerId::random(), at(&format!("9.{n}.1.1:7")));
        book.add(id, address.clone(), ip_of("8.8.8.8"));
        book.attempted(&id, &address, 100);
        book.reached(id, &address, 101);
        reached.push(id);
    }
    let mut last = None;
    for n in 0..20_000_u32 {
        let teller = format!("5.{}.1.1", n % 100);
        last = add(
            &mut book,
            &format!("7.{}.{}.1:{}", n / 250, n % 250, n + 1),
            &teller,
        );
    }
    assert_eq!(book.entries().len(), BOOK_MAX);
    assert!(holds(&book, &last.unwrap()), "the flood replaces itself");
    assert!(reached.iter().all(|id| holds(&book, id)));
    // One of them was dialled in vain since: now it may go, after every new one.
    book.attempted(&reached[0], &at("9.0.1.1:7"), 200);
    for n in 0..2_000_u32 {
        add(
            &mut book,
            &format!("7.1.{}.2:{}", n % 250, n + 1),
            "5.200.1.1",
        );
    }
    assert!(holds(&book, &reached[0]));
}

#[test]
fn new_ones_go_first_then_the_most_failures_then_the_oldest() {
    let mut book = book(Reach::World);
    let ids: Vec<PeerId> = (0..BOOK_PER_SOURCE)
        .map(|n| add(&mut book, &format!("9.{n}.1.1:7"), "8.8.8.8").unwrap())
        .collect();
    for now in [10, 20] {
        book.attempted(&ids[5], &at("9.5.1.1:7"), now);
    }
    book.attempted(&ids[6], &at("9.6.1.1:7"), 30);
    for (n, gone) in [5, 6, 0, 1].into_iter().enumerate() {
        add(&mut book, &format!("7.{n}.1.1:7"), "8.8.8.8").unwrap();
        assert!(!holds(&book, &ids[gone]), "{gone}");
        assert_eq!(book.entries().len(), BOOK_PER_SOURCE);
    }
}

#[test]
fn a_peer_has_two_addresses_and_lies_do_not_replace_them() {
    let mut book = book(Reach::World);
    let id = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    assert!(book.add(id, at("9.1.1.1:8"), ip_of("8.8.8.8")));
    assert!(!book.add(id, at("6.6.6.6:1"), ip_of("6.6.6.6")));
    book.attempted(&id, &at("9.1.1.1:8"), 10);
    assert!(book.add(id, at("6.6.6.6:1"), ip_of("6.6.6.6")), "it failed");
    book.reached(id, &at("9.9.9.9:9"), 20);
    let held: Vec<String> = book
        .entries()
        .iter()
        .map(|entry| entry.address.to_string())
        .collect();
    assert_eq!(held, ["/ip4/6.6.6.6/tcp/1", "/ip4/9.9.9.9/tcp/9"]);
}

#[test]
fn a_peer_is_believed_its_ports_and_not_its_ip() {
    let (mut book, id) = (book(Reach::World), PeerId::random());
    let listens = [
        "/ip4/0.0.0.0/tcp/7",
        "/ip4/10.0.0.5/tcp/7",
        "/ip4/6.6.6.6/udp/7/quic-v1",
        "/ip4/6.6.6.6/tcp/9",
    ];
    let listens = listens.map(|text| text.parse().unwrap());
    let held = |book: &Book| -> Vec<String> {
        let entries = book.entries().iter();
        entries.map(|entry| entry.address.to_string()).collect()
    };
    book.identified(id, ip_of("9.1.1.1"), &listens, None);
    let both = ["/ip4/9.1.1.1/tcp/7", "/ip4/9.1.1.1/udp/7/quic-v1"];
    assert_eq!(held(&book), both);
    // It moved to another port; where we have it stays.
    let (kept, moved) = (at(both[0]), ["/ip4/0.0.0.0/tcp/8".parse().unwrap()]);
    book.identified(id, ip_of("9.1.1.1"), &moved, Some(&kept));
    assert_eq!(held(&book), ["/ip4/9.1.1.1/tcp/7", "/ip4/9.1.1.1/tcp/8"]);
    book.identified(id, ip_of("9.1.1.1"), &moved, None);
    assert_eq!(held(&book), ["/ip4/9.1.1.1/tcp/8"]);
}

#[test]
fn the_wait_doubles_up_to_ten_minutes_and_a_little() {
    let mut book = book(Reach::World);
    let id = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    let (address, mut now) = (at("9.1.1.1:7"), 1_000);
    book.reached(id, &address, 900);
    let mut waits = Vec::new();
    for _ in 0..14 {
        book.attempted(&id, &address, now);
        let is_due = |book: &Book, secs| book.pick(now + secs, 0, &[], nobody).is_some();
        let wait = (0..2_000).find(|secs| is_due(&book, *secs)).unwrap();
        waits.push(wait);
        now += wait;
    }
    for (n, wait) in waits.iter().enumerate() {
        let least = (1_u64 << n).min(BOOK_REDIAL_SECS_MAX);
        assert!((least..=least + least / 4).contains(wait), "{n}: {wait}");
    }
    book.hurry();
    assert!(book.pick(now, 0, &[], nobody).is_some());
    book.attempted(&id, &address, now);
    book.settled(&id);
    assert!(book.pick(now, 0, &[], nobody).is_none());
    assert!(book.pick(now + 1, 0, &[], nobody).is_some());
    assert!(
        book.pick(5, 0, &[], nobody).is_some(),
        "the clock was set back"
    );
}

/// A third party that is named to many nodes is not dialled by all of them for ever.
#[test]
fn what_was_told_and_never_reached_is_given_up() {
    let mut book = book(Reach::World);
    let hearsay = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    let tried = add(&mut book, "9.2.1.1:7", "8.8.8.8").unwrap();
    let own = PeerId::random();
    book.add_own(own, at("9.3.1.1:7"));
    book.reached(tried, &at("9.2.1.1:7"), 100);
    let all = [(hearsay, 1), (tried, 2), (own, 3)].map(|(id, n)| (id, at(&format!("9.{n}.1.1:7"))));
    for attempt in 1..=BOOK_HEARSAY_DIALS_MAX {
        assert!(holds(&book, &hearsay), "attempt {attempt}");
        for (id, address) in &all {
            book.attempted(id, address, 1_000);
        }
    }
    assert!(!holds(&book, &hearsay) && holds(&book, &tried) && holds(&book, &own));
    // The last attempt may succeed.
    book.reached(hearsay, &all[0].1, 1_001);
    assert!(holds(&book, &hearsay));
}

#[test]
fn three_turns_of_four_go_to_the_tried() {
    let mut book = book(Reach::World);
    for n in 0..20 {
        let id = add(&mut book, &format!("9.{n}.1.1:7"), "8.8.8.8").unwrap();
        if n % 2 == 0 {
            book.reached(id, &at(&format!("9.{n}.1.1:7")), 10);
        }
    }
    let is_tried = |id: PeerId| {
        let mut entries = book.entries().iter();
        entries.find(|entry| entry.id == id).unwrap().tried
    };
    let picked: Vec<bool> = (0..40)
        .map(|turn| is_tried(book.pick(100, turn, &[], nobody).unwrap().0))
        .collect();
    assert_eq!(picked.iter().filter(|tried| **tried).count(), 30);
    let mut different: Vec<PeerId> = (0..40)
        .map(|turn| book.pick(100, turn, &[], nobody).unwrap().0)
        .collect();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > 8, "by lot: {}", different.len());
}

#[test]
fn a_neighbourhood_is_dialled_once_while_there_are_others() {
    let mut book = book(Reach::World);
    let near = add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    let far = add(&mut book, "9.2.1.1:7", "8.8.8.8").unwrap();
    let in_use = [Group::of(ip_of("9.1.200.1"))];
    for turn in 0..8 {
        assert_eq!(book.pick(100, turn, &in_use, nobody).unwrap().0, far);
    }
    let is_served = |id: &PeerId| *id == far;
    assert_eq!(book.pick(100, 0, &in_use, is_served).unwrap().0, near);
    assert_eq!(book.pick(100, 0, &in_use, |_| true), None);
    let mut machine = super::Book::new(PeerId::random(), Reach::Machine, [1; 32]);
    add(&mut machine, "127.0.0.1:7", "127.0.0.1").unwrap();
    assert_eq!(
        group(&machine.entries()[0].address),
        None,
        "this machine is exempt"
    );
}

#[test]
fn only_where_peers_were_met_lately_is_told() {
    let mut book = book(Reach::World);
    add(&mut book, "9.1.1.1:7", "8.8.8.8").unwrap();
    let old = add(&mut book, "9.2.1.1:7", "8.8.8.8").unwrap();
    book.reached(old, &at("9.2.1.1:7"), 1_000);
    let met = add(&mut book, "9.3.1.1:7", "8.8.8.8").unwrap();
    book.met(&met, ip_of("9.3.1.1"), 2_000);
    book.met(&old, ip_of("9.9.9.9"), 90_000);
    let near = add(&mut book, "10.1.1.1:7", "10.1.1.2").unwrap();
    book.reached(near, &at("10.1.1.1:7"), 2_000);
    let told = |now, asker| -> Vec<PeerId> {
        let recent = book.recent(now, ip_of(asker), 1);
        let mut ids: Vec<PeerId> = recent.into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |mut ids: Vec<PeerId>| {
        ids.sort_unstable();
        ids
    };
    let now = 1_000 + BOOK_RECENT_SECS;
    assert_eq!(told(now - 1, "6.6.6.6"), sorted(vec![old, met]));
    assert_eq!(told(now, "6.6.6.6"), [met]);
    assert_eq!(told(now, "10.7.7.7"), sorted(vec![met, near]));
}

#[test]
fn at_most_sixty_four_are_told() {
    let mut book = book(Reach::World);
    for n in 0..200 {
        let id = PeerId::random();
        book.reached(id, &at(&format!("9.{n}.1.1:7")), 1_000);
    }
    let told = |turn| book.recent(1_001, ip_of("6.6.6.6"), turn);
    assert_eq!(told(1).len(), PEER_ADDRESSES_MAX);
    assert_ne!(told(1), told(2), "by lot");
}
