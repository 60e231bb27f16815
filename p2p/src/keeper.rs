//! Keeps the book and the bans on disk: now and then while the node runs, and at its end.
//!
//! Writing waits for the disk, so it is done beside the task, one at a time. What cannot be
//! written is said in the log and tried again later. Owned by the swarm's task.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{book_file, limits::BOOK_SAVE_INTERVAL};

/// The writer of one file, or of none.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: Option<PathBuf>,
    /// The earliest time of the next writing.
    next: Instant,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    /// For this file, first written after a while.
    pub(crate) fn new(path: Option<PathBuf>, now: Instant) -> Self {
        Self {
            path,
            next: now + BOOK_SAVE_INTERVAL,
            writing: None,
        }
    }

    /// Whether a text would be written now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_busy = self.writing.as_ref().is_some_and(|it| !it.is_finished());
        self.path.is_some() && self.next <= now && !is_busy
    }

    /// Writes beside the task.
    pub(crate) fn write(&mut self, text: String, now: Instant) {
        self.next = now + BOOK_SAVE_INTERVAL;
        if let Some(path) = self.path.clone() {
            self.writing = Some(spawn_blocking(move || store(&path, &text)));
        }
    }

    /// Writes the last text and waits until it is done.
    pub(crate) async fn close(mut self, text: String) {
        let before = self.writing.take();
        self.write(text, Instant::now());
        for writing in before.into_iter().chain(self.writing) {
            // It fails if it panics, which the log says.
            drop(writing.await);
        }
    }
}

fn store(path: &Path, text: &str) {
    if let Err(error) = book_file::store(path, text) {
        tracing::warn!(
            "cannot write the known peers to {}: {error}",
            path.display()
        );
    }
}
