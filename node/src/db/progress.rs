//! How far a long piece of work is: one line that is written over on a terminal, else a line now
//! and then. Goes to standard error; what a verb found goes to standard output.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// Work that is over sooner says nothing.
const QUIET: Duration = Duration::from_secs(2);
/// Time between two looks on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// Time between two lines elsewhere.
const IN_LOG: Duration = Duration::from_secs(5);
/// Places of the bar.
const BAR: u64 = 30;

/// Shows progress towards a number of blocks.
pub struct Progress {
    what: &'static str,
    total: u64,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// Work on so many blocks begins.
    pub fn new(what: &'static str, total: u64) -> Self {
        Self {
            what,
            total,
            started: Instant::now(),
            shown: None,
        }
    }

    /// So many are done.
    pub fn at(&mut self, done: u64) {
        let is_terminal = stderr().is_terminal();
        let pause = if is_terminal { ON_TERMINAL } else { IN_LOG };
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= pause);
        if self.started.elapsed() < QUIET || !is_due {
            return;
        }
        self.shown = Some(Instant::now());
        let line = self.line(done, self.started.elapsed());
        let end = if is_terminal { "\r" } else { "\n" };
        // Nobody reads it any more: the work goes on.
        let _ = write!(stderr(), "{line}{end}");
    }

    /// The work is over.
    pub fn end(&self) {
        if self.shown.is_some() && stderr().is_terminal() {
            let _ = writeln!(stderr());
        }
    }

    fn line(&self, done: u64, elapsed: Duration) -> String {
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = done.saturating_mul(1_000) / millis;
        let left = self.total.saturating_sub(done) / rate.max(1);
        let full = (done.saturating_mul(BAR) / self.total.max(1)).min(BAR);
        let bar: String = (0..BAR)
            .map(|at| if at < full { '#' } else { '.' })
            .collect();
        format!(
            "{} [{bar}] {done} of {} blocks, {rate} a second, {left} s left",
            self.what, self.total
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_height_rate_and_time_left() {
        let line = Progress::new("import", 1_000).line(250, Duration::from_secs(5));
        assert!(line.starts_with("import [#######..."), "{line}");
        assert!(
            line.ends_with("250 of 1000 blocks, 50 a second, 15 s left"),
            "{line}"
        );
        Progress::new("import", 0).line(0, Duration::ZERO);
    }
}
