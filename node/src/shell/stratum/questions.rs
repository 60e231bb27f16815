//! Answers what miners ask over HTTP: templates, at once or when the head moves, and blocks.

use std::sync::Arc;

use api::mining::{LONG_POLL_MAX, Offer, QUESTIONS_MAX, Question, Rejection};
use chain::{Address, BlockHash};
use miner::limits::TIME_ROLL_SECS;
use tokio::{
    sync::{Semaphore, mpsc},
    task,
    time::timeout,
};

use super::foreman::Foreman;

/// Templates and blocks in the making: each may execute a block's transactions.
const WORK_MAX: usize = 2;
/// Templates asked for at a time. Blocks have room of their own ([`QUESTIONS_MAX`]), since a block is
/// worth most when everybody waits for another head.
pub(super) const POLLS_MAX: usize = 4 * QUESTIONS_MAX;

/// Answers until the API is gone. `payee` is whom a miner without a name works for.
pub async fn answer(
    mut questions: mpsc::Receiver<Question>,
    foreman: Arc<Foreman>,
    payee: Option<Address>,
) {
    let place = Arc::new(Semaphore::new(WORK_MAX));
    let waiting = Arc::new(Semaphore::new(POLLS_MAX));
    let handing_in = Arc::new(Semaphore::new(QUESTIONS_MAX));
    while let Some(question) = questions.recv().await {
        let bound = match question {
            Question::Template { .. } => &waiting,
            Question::Block { .. } => &handing_in,
        };
        let Ok(permit) = Arc::clone(bound).try_acquire_owned() else {
            // Dropped with its way back, which the API reads as "busy".
            continue;
        };
        let (foreman, place) = (Arc::clone(&foreman), Arc::clone(&place));
        task::spawn(async move {
            match question {
                Question::Template {
                    name,
                    known,
                    mut reply,
                } => {
                    // Whoever has gone meanwhile needs no template, and no room to wait for it.
                    tokio::select! {
                        () = reply.closed() => return,
                        () = wait_for_another_head(&foreman, known) => {}
                    }
                    let _ = reply.send(template(foreman, &place, name, payee).await);
                }
                Question::Block { header, reply } => {
                    let _permit = place.acquire().await;
                    let handed_in =
                        task::spawn_blocking(move || foreman.hand_in_header(*header)).await;
                    let _ = reply.send(handed_in.unwrap_or(Err(Rejection::Rejected)));
                }
            }
            drop(permit);
        });
    }
}

async fn wait_for_another_head(foreman: &Foreman, known: Option<BlockHash>) {
    let Some(known) = known else { return };
    let mut views = foreman.site().views.clone();
    let moved = views.wait_for(|view| view.api.head.hash != known);
    let _ = timeout(LONG_POLL_MAX, moved).await;
}

async fn template(
    foreman: Arc<Foreman>,
    place: &Semaphore,
    name: Option<String>,
    payee: Option<Address>,
) -> Result<Offer, String> {
    let wanted = "name whom to pay: an address as the user name (minerd: -u ADDRESS), or start \
                  the node with --beneficiary ADDRESS";
    let address = match name {
        Some(name) => {
            let name = name.split_once('.').map_or(&*name, |(payee, _)| payee);
            foreman.payee(name)?
        }
        None => payee.ok_or(wanted)?,
    };
    let _permit = place.acquire().await;
    let offered = task::spawn_blocking(move || foreman.offer(address)).await;
    let header = offered.unwrap_or(Err("the template failed: the log says why".into()))?;
    let time_max = header.pow.time.saturating_add(TIME_ROLL_SECS);
    Ok(Offer { header, time_max })
}
