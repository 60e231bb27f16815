//! Templates for miners outside of the node, and the way of their blocks to the core.
//!
//! They get what the node's own miner gets, and what they bring enters like its blocks, checked
//! already. Called by `running`.

use std::sync::Arc;

use api::desk::Desk;
use chain::{CheckedBlock, Input};
use tokio::sync::mpsc;
use tracing::info;

use super::{core::Message, mining::Site};

/// Blocks of other miners that wait for the core.
const BLOCKS_WAITING_MAX: usize = 16;

/// A desk whose templates are made at `site`, for whom a miner names; and the blocks it is given.
pub fn open(site: Site) -> (Desk, mpsc::Receiver<CheckedBlock>) {
    let (blocks, waiting) = mpsc::channel(BLOCKS_WAITING_MAX);
    let build = move |beneficiary, extra_data| {
        let site = Site {
            beneficiary,
            extra_data,
            ..site.clone()
        };
        let built = site.template(&site.view());
        built.map_err(|error| error.to_string())
    };
    (Desk::new(Arc::new(build), blocks), waiting)
}

/// Hands submitted blocks to the core, as fast as it takes them.
pub async fn forward(mut waiting: mpsc::Receiver<CheckedBlock>, inbox: mpsc::Sender<Message>) {
    while let Some(block) = waiting.recv().await {
        let id = block.id();
        info!(height = id.height, hash = %id.hash, "a miner brought a block");
        let input = Input::Block { from: None, block };
        if inbox.send(Message::Input(input)).await.is_err() {
            return;
        }
    }
}
