//! What users sent and no block has is announced again: so it arrives in the end, at a bounded rate.

use std::collections::BTreeMap;

use chain::{
    Address, CheckedTransaction, Input, Peer, Ticket, TxHash,
    params::{
        REMINDED_BYTES, REMINDED_COUNT, REMINDER_AFTER_PEER_MS, REMINDER_AGAIN_MS, REMINDER_MS,
    },
};

use crate::support::{
    builder::{Builder, LGN, Wallet, hash, regtest, transfer},
    net::Net,
    shell::Shell,
};

fn submit(shell: &mut Shell, transaction: &CheckedTransaction) {
    let (ticket, transaction) = (Ticket(1), transaction.clone());
    shell.input(Input::Submitted {
        ticket,
        transaction,
    });
}

fn has(shell: &Shell, transaction: &CheckedTransaction) -> bool {
    shell.node.pool().get(&transaction.hash()).is_some()
}

/// Three nodes that do not know each other yet, and two transfers for the first of them.
fn strangers() -> (Net, [CheckedTransaction; 2]) {
    let wallet = Wallet::new(1);
    let builder = Builder::new(regtest(&[&wallet]));
    let nodes = (0..3).map(|_| Shell::new(&builder.spec)).collect();
    let sent = [0, 1].map(|nonce| wallet.pay(nonce, Address::ZERO, LGN));
    (Net::new(nodes), sent)
}

/// What was sent to a node alone reaches everybody soon after it has peers, also after a restart.
#[test]
fn sent_alone_arrives_with_the_first_peer() {
    for is_restarted in [false, true] {
        let (mut net, sent) = strangers();
        sent.iter().for_each(|tx| submit(&mut net.nodes[0], tx));
        net.collect(0);
        net.pass(3_600);
        if is_restarted {
            net.restart(0);
        }
        net.connect_all();
        assert!(!has(&net.nodes[1], &sent[0]));
        net.pass(REMINDER_AFTER_PEER_MS / 1_000 + 1);
        for (node, tx) in [1, 2]
            .into_iter()
            .flat_map(|node| sent.iter().map(move |tx| (node, tx)))
        {
            assert!(has(&net.nodes[node], tx), "node {node} of {}", tx.nonce());
        }
    }
}

/// What everybody else has lost comes again, without any change among the peers.
#[test]
fn what_others_lost_comes_again() {
    let (mut net, sent) = strangers();
    net.connect_all();
    net.loses_transactions = true;
    sent.iter().for_each(|tx| submit(&mut net.nodes[0], tx));
    net.collect(0);
    net.pass(2 * REMINDER_AGAIN_MS / 1_000);
    net.loses_transactions = false;
    net.pass(REMINDER_MS / 1_000 * 5 / 4 + 1);
    assert!((1..3).all(|node| sent.iter().all(|tx| has(&net.nodes[node], tx))));
}

/// The times, in seconds after a peer came, at which a node announced something again.
fn times(shell: &mut Shell, secs: u64) -> Vec<u64> {
    let mut times = Vec::new();
    for second in 1..=secs {
        let before = shell.out.transactions.len();
        shell.pass(1);
        if shell.out.transactions.len() > before {
            times.push(second);
        }
    }
    times
}

/// Soon, once more when gossip has forgotten that, then every ten minutes; not at the same time on
/// any two nodes, and at the same time in any two runs. A mined one is not announced any more.
#[test]
fn the_passes_are_scattered_by_the_salt() {
    let wallet = Wallet::new(1);
    let mut builder = Builder::new(regtest(&[&wallet]));
    let run = |salt: u64| {
        let mut shell = Shell::new(&builder.spec);
        shell.node.set_salt(salt);
        submit(&mut shell, &wallet.pay(0, Address::ZERO, LGN));
        shell.connect(1);
        let times = times(&mut shell, 2_000);
        (times, shell)
    };
    let (one, mut shell) = run(1);
    assert_eq!(one, run(1).0);
    assert_ne!(one, run(2).0);
    let (first, again) = (REMINDER_AFTER_PEER_MS / 1_000, REMINDER_AGAIN_MS / 1_000);
    let rare = REMINDER_MS / 1_000;
    assert_eq!(one[0], first);
    assert!(
        (again..=again * 5 / 4 + 1).contains(&(one[1] - one[0])),
        "{one:?}"
    );
    for pair in one[1..].windows(2) {
        assert!(
            (rare..=rare * 5 / 4 + 1).contains(&(pair[1] - pair[0])),
            "{one:?}"
        );
    }
    assert!(one.len() >= 4, "{one:?}");
    let block = builder.mine_with(shell.head(), &[wallet.pay(0, Address::ZERO, LGN)]);
    shell.own(&block);
    assert_eq!(shell.head(), hash(&block));
    assert!(times(&mut shell, 1_000).is_empty());
}

/// Peers who come and go all the time get no more out of a node than others, and everything it has.
/// What peers have sent is no business of ours.
#[test]
fn r1_reminders_are_bounded() {
    let wallets: Vec<_> = (1..4).map(Wallet::new).collect();
    let builder = Builder::new(regtest(&wallets.iter().collect::<Vec<_>>()));
    let mut shell = Shell::new(&builder.spec);
    let mut own = BTreeMap::new();
    for nonce in 0..60 {
        for wallet in &wallets[..2] {
            let mut tx = transfer(nonce, Address::ZERO, 1);
            if nonce < 3 {
                (tx.input, tx.gas_limit) = (vec![0; 100_000].into(), 1_100_000);
            }
            let tx = wallet.sign(tx);
            submit(&mut shell, &tx);
            assert!(has(&shell, &tx));
            own.insert(tx.hash(), 0_usize);
        }
    }
    shell.connect(1);
    let (from, transactions) = (Peer(1), vec![wallets[2].pay(0, Address::ZERO, 1)]);
    shell.input(Input::Transactions { from, transactions });
    let secs = 400;
    for second in 0..secs {
        shell.out.transactions.clear();
        shell.input(Input::Disconnected(Peer(2)));
        shell.connect(2);
        shell.pass(1);
        let announced = &shell.out.transactions;
        let bytes: usize = announced.iter().map(|tx| tx.bytes().len()).sum();
        assert!(
            announced.len() <= REMINDED_COUNT && bytes <= REMINDED_BYTES,
            "{second}"
        );
        for tx in announced {
            let hash: TxHash = tx.hash();
            *own.get_mut(&hash).expect("one of our own") += 1;
        }
    }
    let passes = secs * 1_000 / usize::try_from(REMINDER_AGAIN_MS).unwrap() + 1;
    for (hash, count) in own {
        assert!((1..=passes).contains(&count), "{hash}: {count} of {passes}");
    }
}
