//! Places for requests that read many blocks: few at a time, each with an end in sight.
//!
//! Most answers cost microseconds and need no place. A query over many blocks holds a thread,
//! megabytes and the disk for as long as it takes, so no more of them run than a small machine
//! bears, whoever sends how many (threat A5). Who finds no place within a short wait is told to come
//! again. Called by the REST handlers.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    error::Problem,
    limits::{QUERIES_MAX, QUERY_TIME_OUT, QUERY_WAIT, QUERY_WORK_TIME},
};

/// The places, and how long each part of a query may take.
#[derive(Clone)]
pub struct Queries {
    places: Arc<Semaphore>,
    patience: Patience,
}

/// How long a query waits, works and is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a place.
    pub wait: Duration,
    /// Until it ends early, with what it has.
    pub work: Duration,
    /// Until its client is told that it takes too long. It keeps its place until it has ended.
    pub answer: Duration,
}

/// When a query should end with what it has.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Default for Queries {
    fn default() -> Self {
        Self::new(Patience {
            wait: QUERY_WAIT,
            work: QUERY_WORK_TIME,
            answer: QUERY_TIME_OUT,
        })
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").finish_non_exhaustive()
    }
}

impl Queries {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            places: Arc::new(Semaphore::new(QUERIES_MAX)),
            patience,
        }
    }

    /// Runs a query on a thread that may wait for the disk, once there is a place for it.
    ///
    /// # Errors
    /// The query's own, and 503 where there is no place or no answer in time.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(Deadline) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.place().await?;
        let work = self.patience.work;
        let running = spawn_blocking(move || {
            let result = query(Deadline::after(work));
            drop(place);
            result
        });
        match timeout(self.patience.answer, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "query_too_slow",
                format!(
                    "there was no answer within {} s, as where a disk is very busy; ask for less \
                     at once, or later",
                    self.patience.answer.as_secs()
                ),
            )),
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.places).acquire_owned();
        let found = timeout(self.patience.wait, place).await;
        found.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!(
                "{QUERIES_MAX} queries that read many blocks are under way, and no more run at a \
                 time; try again"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_queries", detail)
        })
    }
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Whether it is time to end. Whoever asks has something to show by then, so that a client that
    /// goes on from there comes to an end.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::response::IntoResponse;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn queries(wait: Duration, answer: Duration) -> Queries {
        let work = LONG;
        Queries::new(Patience { wait, work, answer })
    }

    /// Threat A5: who waits gets the place of who leaves.
    #[tokio::test]
    async fn a_place_that_is_left_is_taken() {
        let queries = queries(LONG, LONG);
        let mut held = Vec::new();
        for _ in 0..QUERIES_MAX {
            held.push(queries.place().await.unwrap());
        }
        let waiting = queries.run(|_| Ok(7));
        let leaving = async { drop(held.pop()) };
        assert_eq!(tokio::join!(waiting, leaving).0.unwrap(), 7);
    }

    /// Threat A5: a query that nobody waits for any more still has its place, until it has ended.
    #[tokio::test]
    async fn a_query_without_end_is_given_up_and_keeps_its_place() {
        let queries = queries(SHORT, SHORT);
        let (go_on, goes_on) = mpsc::channel::<()>();
        let hangs = move |_: Deadline| {
            let _ = goes_on.recv();
            Ok(())
        };
        let problem = queries.run(hangs).await.unwrap_err();
        assert!(format!("{problem:?}").contains("query_too_slow"));
        assert_eq!(problem.into_response().status(), 503);
        assert_eq!(queries.places.available_permits(), QUERIES_MAX - 1);
        drop(go_on);
        let all = u32::try_from(QUERIES_MAX).unwrap();
        let all = timeout(LONG, queries.places.acquire_many(all)).await;
        assert!(all.is_ok(), "the place was not given back");
    }

    #[tokio::test]
    async fn a_query_that_panics_gives_its_place_back() {
        let queries = queries(SHORT, LONG);
        let fails = |_: Deadline| -> Result<(), Problem> { panic!("a seeded mistake") };
        let problem = queries.run(fails).await.unwrap_err();
        assert!(format!("{problem:?}").contains("internal"));
        assert_eq!(queries.places.available_permits(), QUERIES_MAX);
    }

    #[test]
    fn a_deadline_passes() {
        assert!(Deadline::after(Duration::ZERO).is_over());
        assert!(!Deadline::after(LONG).is_over());
    }
}
