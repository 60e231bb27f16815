//! The Stratum port: accepts miners, as many as there is room for. Started by `running`.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, time::sleep};
use tracing::{debug, warn};

use super::{connection::Connection, doors::Doors, foreman::Foreman};

/// What the task is given.
pub struct Server {
    /// Where miners connect.
    pub listener: TcpListener,
    /// Where their jobs come from.
    pub foreman: Arc<Foreman>,
}

impl Server {
    /// Serves as long as the node runs.
    pub async fn run(self) {
        let doors = Arc::new(Doors::default());
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(place) = doors.enter(peer.ip()) else {
                        debug!(%peer, "turned a miner away: too many connections");
                        self.foreman.metrics().turned_away.inc();
                        continue;
                    };
                    let connection = Connection::new(Arc::clone(&self.foreman), peer);
                    tokio::spawn(async move {
                        connection.run(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!("cannot accept a miner: {error}");
                    // Out of file descriptors, most likely: asking again at once would spin.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
