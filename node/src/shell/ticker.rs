//! The beat: tells the core that time has passed, and looks after the clock itself.

use std::{sync::Arc, time::Duration};

use chain::{Input, rules};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use super::{
    clock::{Clock, ClockWatch},
    core::Message,
};

/// Time between two ticks of the core.
const TICK: Duration = Duration::from_millis(250);

/// Runs as one task.
pub struct Ticker {
    /// To the core.
    pub inbox: mpsc::Sender<Message>,
    /// Where the peers' clocks are read.
    pub views: watch::Receiver<Arc<api::View>>,
    /// Ours.
    pub clock: Clock,
}

impl Ticker {
    /// Ticks until the core is gone.
    pub async fn run(self) {
        let mut interval = interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut watch = ClockWatch::new(self.clock.now());
        loop {
            interval.tick().await;
            self.look(&mut watch);
            let tick = Message::Input(Input::Tick);
            if self.inbox.send(tick).await.is_err() {
                return;
            }
        }
    }

    fn look(&self, watch: &mut ClockWatch) {
        let (ahead, off_secs_max) = {
            let view = self.views.borrow();
            let ahead = view
                .peer_list
                .iter()
                .filter_map(|peer| peer.clock_ahead_secs);
            (
                ahead.collect(),
                // Half of what makes a block early: hl/12 (Rule H5).
                rules::future_secs_max(&view.spec) / 2,
            )
        };
        if let Some(warning) = watch.look(self.clock.now(), ahead, off_secs_max) {
            warn!("{warning}");
        }
    }
}
