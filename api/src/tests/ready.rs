//! When a node is ready.

use std::sync::Arc;

use chain::{BlockId, ChainSpec};

use super::{Server, peer, regtest, take, view};
use crate::{View, limits::READY_BLOCKS_MAX, network::SyncInfo};

/// A network that is no dev network, with peers that claim these heights.
fn view_of(claims: &[Option<u64>]) -> View {
    let (mut view, _) = view(&regtest());
    view.spec = Arc::new(ChainSpec {
        dev: false,
        ..(*view.spec).clone()
    });
    let peers = (1..).zip(claims).map(|(number, height)| {
        let mut peer = peer(number);
        peer.claims = height.map(at);
        peer
    });
    view.peer_list = Arc::new(peers.collect());
    view
}

fn at(height: u64) -> BlockId {
    BlockId {
        height,
        ..BlockId::default()
    }
}

#[test]
fn a_node_is_ready_once_it_is_up_with_its_network() {
    let (first, genesis) = view(&regtest());
    let server = Server::on(first, genesis, take);
    let show = |view: View| server.views.send_replace(Arc::new(view));
    let ready = || server.ask("GET", "/ready", "").0;
    let refused = |code| server.refuses("GET", "/ready", "", 503, code);
    assert_eq!(ready(), 200, "a dev network may have one node");
    for claims in [&[][..], &[None], &[None, None]] {
        show(view_of(claims));
        refused("no_peers");
        let mut mines = view_of(claims);
        mines.mining = true;
        show(mines);
        assert_eq!(ready(), 200);
    }
    for (height, claims, want) in [
        (0, vec![0], 200),
        (0, vec![READY_BLOCKS_MAX], 200),
        (0, vec![READY_BLOCKS_MAX + 1], 503),
        (1, vec![READY_BLOCKS_MAX + 1], 200),
        // One of three, or of two, may claim what it likes.
        (0, vec![1, 2, u64::MAX], 200),
        (0, vec![1, u64::MAX], 200),
        (0, vec![1, 40, 50], 503),
    ] {
        let claims: Vec<_> = claims.into_iter().map(Some).collect();
        let mut shown = view_of(&claims);
        shown.head.height = height;
        show(shown);
        assert_eq!(ready(), want, "{height} {claims:?}");
    }
    // Headers that are here count whatever peers claim.
    let mut behind = view_of(&[Some(0)]);
    behind.sync = SyncInfo {
        best_header: at(10),
        ..SyncInfo::default()
    };
    show(behind);
    let problem = refused("syncing");
    assert_eq!(
        (&problem["want"], &problem["got"]),
        (&"7".into(), &"0".into())
    );
}
