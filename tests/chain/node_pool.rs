//! The pool in its node: verdicts, replies, and what blocks do to it.

use chain::{CheckedTransaction, Input, Peer, PoolError, Ticket, Verdict};

use crate::support::{
    builder::{Builder, GWEI, LGN, Wallet, hash, regtest},
    shell::Shell,
};

/// What a node says to users and to gossip, and M7: what the pool offers makes a valid block.
#[test]
fn m7_pool_of_a_node() {
    let (one, two) = (Wallet::new(1), Wallet::new(2));
    let mut builder = Builder::new(regtest(&[&one, &two]));
    let mut shell = Shell::new(&builder.spec);
    shell.connect(1);
    let gossip = |shell: &mut Shell, tx: &CheckedTransaction| {
        let (from, transactions) = (Peer(1), vec![tx.clone()]);
        shell.input(Input::Transactions { from, transactions })
    };
    let first = one.pay(0, two.address, LGN);
    assert_eq!(gossip(&mut shell, &first), Verdict::Accept);
    assert_eq!(gossip(&mut shell, &first), Verdict::Ignore);
    let poor = Wallet::new(3).pay(0, two.address, LGN);
    assert_eq!(
        gossip(&mut shell, &poor),
        Verdict::Ignore,
        "heads differ: nobody's fault"
    );
    assert_eq!(shell.out.disconnected, []);
    for (ticket, nonce) in [(1, 1), (2, 0)] {
        let (ticket, transaction) = (Ticket(ticket), one.pay(nonce, two.address, LGN));
        shell.input(Input::Submitted {
            ticket,
            transaction,
        });
    }
    let second = one.pay(1, two.address, LGN);
    let known = PoolError::Known(first.hash());
    assert_eq!(
        shell.out.replies,
        [(Ticket(1), Ok(second.hash())), (Ticket(2), Err(known))]
    );
    assert_eq!(
        shell.out.transactions,
        std::slice::from_ref(&second),
        "what is taken is announced"
    );
    let candidates = shell.node.pool().candidates(GWEI as u64, 100);
    assert_eq!(candidates, [first, second]);
    let block = builder.mine_with(shell.head(), &candidates);
    shell.own(&block);
    assert_eq!(shell.head(), hash(&block));
    assert!(shell.node.pool().is_empty(), "mined ones leave");
    // A block that empties an account takes what it had waiting with it.
    let waiting = two.pay(0, one.address, 600 * LGN);
    assert_eq!(gossip(&mut shell, &waiting), Verdict::Accept);
    let spent = two.pay(0, one.address, 900 * LGN);
    let third = two.pay(1, one.address, 200 * LGN);
    assert_eq!(gossip(&mut shell, &third), Verdict::Accept);
    let block = builder.mine_with(shell.head(), &[spent]);
    shell.own(&block);
    assert_eq!(shell.head(), hash(&block));
    assert!(
        shell.node.pool().is_empty(),
        "one is replaced, one has become too dear"
    );
}
