//! One listener's stream: where it begins, and how it follows the journal.

use std::sync::Arc;

use chain::{BlockId, StoreError};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    Events, Kinds,
    body::{Place, StreamBody},
    id::{Cursor, Id},
    journal::{Entry, Event, Journal, Move},
    path::{self, Path},
    render::{self, Reset},
};
use crate::{
    View,
    limits::{KEEP_ALIVE, STREAM_CHUNK_BYTES, STREAM_ENTRIES_MAX},
};

/// The end of a stream: its client is gone, the node stops, or the store fails.
#[derive(Debug)]
struct Ended;

/// What a listener is about to get, and what it has been told.
struct Follower {
    journal: watch::Receiver<Journal>,
    views: watch::Receiver<Arc<View>>,
    kinds: Kinds,
    out: mpsc::Sender<String>,
    run: u64,
    next: Cursor,
    known: BlockId,
    quiet_until: Instant,
}

/// Opens a stream that begins after an id, or now; `None` if all places are taken. It ends at
/// once when `stopped` changes.
pub fn open(
    events: &Events,
    views: watch::Receiver<Arc<View>>,
    kinds: Kinds,
    after: Option<String>,
    mut stopped: watch::Receiver<()>,
) -> Option<StreamBody> {
    let permit = Arc::clone(&events.places).try_acquire_owned().ok()?;
    let (out, body) = StreamBody::new(Place::new(permit, events.streams.clone()));
    let mut journal = events.journal.clone();
    let (run, next, known) = {
        let journal = journal.borrow_and_update();
        (journal.run(), journal.end(), journal.head())
    };
    let closed = out.clone();
    let follower = Follower {
        journal,
        views,
        kinds,
        out,
        run,
        next,
        known,
        quiet_until: Instant::now() + KEEP_ALIVE,
    };
    tokio::spawn(async move {
        tokio::select! {
            // It only ends with an error, of which nobody is left to hear.
            _ = follower.run(after) => {}
            _ = stopped.changed() => {}
            () = closed.closed() => {}
        }
    });
    Some(body)
}

impl Follower {
    async fn run(mut self, after: Option<String>) -> Result<(), Ended> {
        match after {
            None => self.send(render::greeting(&self.id())).await?,
            Some(text) => self.resume(&text).await?,
        }
        loop {
            let entries = {
                let journal = self.journal.borrow_and_update();
                journal.from(self.next.seq, STREAM_ENTRIES_MAX)
            };
            match entries {
                None => self.reset(Reset::TooSlow).await?,
                Some(entries) if entries.is_empty() => self.wait().await?,
                Some(entries) => self.tell_all(&entries).await?,
            }
            if Instant::now() >= self.quiet_until {
                self.send(render::quiet(&self.id())).await?;
            }
        }
    }

    /// Goes on after an id: by the journal, or by the store, or from now.
    async fn resume(&mut self, text: &str) -> Result<(), Ended> {
        let Some(id) = Id::parse(text) else {
            return self.reset(Reset::UnknownId).await;
        };
        let (is_here, end, head) = {
            let journal = self.journal.borrow_and_update();
            (journal.reaches(&id), journal.end(), journal.head())
        };
        if is_here {
            self.next = id.next;
            return self.send(render::greeting(&id)).await;
        }
        // The view is not older than the journal, so it has every block that this one names.
        let reader = Arc::clone(&self.views.borrow().reader);
        let way = move || path::between(&*reader, id.hash, head.hash);
        match spawn_blocking(way).await.map_err(|_| Ended)? {
            Ok(Path::Found(moved)) => {
                (self.next, self.known) = (end, head);
                self.catch_up(moved).await
            }
            Ok(Path::Unknown) => self.reset(Reset::UnknownId).await,
            Ok(Path::TooLong) => self.reset(Reset::TooLong).await,
            Err(error) => Err(failed(&error)),
        }
    }

    /// Tells a way that the journal has forgotten. Until its end, ids name blocks alone.
    async fn catch_up(&mut self, moved: Move) -> Result<(), Ended> {
        let (run, kinds, head) = (self.run, self.kinds, moved.new);
        let id = move |hash| Id {
            run,
            next: Cursor::NOWHERE,
            hash,
        };
        let mut text = String::new();
        let lost = kinds.not_kept();
        if !lost.is_empty() {
            text.push_str(&render::gap(lost, head, &id(moved.old.hash)));
        }
        let reader = Arc::clone(&self.views.borrow().reader);
        let told = spawn_blocking(move || {
            for part in 0..moved.parts() {
                let id = id(moved.known_after(part).hash);
                let frame = render::part_of_move(&moved, part, kinds, (head, &id), &*reader)?;
                text.extend(frame);
            }
            Ok::<_, StoreError>(text)
        });
        let mut text = told
            .await
            .map_err(|_| Ended)?
            .map_err(|error| failed(&error))?;
        text.push_str(&render::greeting(&self.id()));
        self.send(text).await
    }

    /// Says that the listener must read again, and goes on from now.
    async fn reset(&mut self, reason: Reset) -> Result<(), Ended> {
        (self.next, self.known) = {
            let journal = self.journal.borrow_and_update();
            (journal.end(), journal.head())
        };
        let text = render::reset(reason, self.known, &self.id());
        self.send(text).await
    }

    /// Tells entries, several in a chunk.
    async fn tell_all(&mut self, entries: &[Arc<Entry>]) -> Result<(), Ended> {
        let mut text = String::new();
        for entry in entries {
            while self.next.seq == entry.seq {
                let frame = self.tell(entry).await?;
                text.extend(frame);
                if text.len() >= STREAM_CHUNK_BYTES {
                    self.send(std::mem::take(&mut text)).await?;
                }
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.send(text).await
    }

    /// The next part of an entry, if it is wanted.
    async fn tell(&mut self, entry: &Arc<Entry>) -> Result<Option<String>, Ended> {
        let part = self.next.part;
        (self.next, self.known) = (entry.after(part), entry.known_after(part));
        let (id, kinds) = (self.id(), self.kinds);
        let reader = Arc::clone(&self.views.borrow().reader);
        let told = match &entry.event {
            Event::Moved(moved) if moved.is_reorg() && part == 0 => {
                // Reads bodies, which may wait for the disk.
                let entry = Arc::clone(entry);
                let told = spawn_blocking(move || render::part(&entry, part, kinds, &id, &*reader));
                told.await.map_err(|_| Ended)?
            }
            _ => render::part(entry, part, kinds, &id, &*reader),
        };
        told.map_err(|error| failed(&error))
    }

    /// Waits for an event, or until it is time for a sign of life.
    async fn wait(&mut self) -> Result<(), Ended> {
        match timeout_at(self.quiet_until, self.journal.changed()).await {
            Ok(Err(_)) => Err(Ended),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        self.out.send(text).await.map_err(|_| Ended)?;
        self.quiet_until = Instant::now() + KEEP_ALIVE;
        Ok(())
    }

    fn id(&self) -> Id {
        Id {
            run: self.run,
            next: self.next,
            hash: self.known.hash,
        }
    }
}

fn failed(error: &StoreError) -> Ended {
    tracing::error!("{error}");
    Ended
}
