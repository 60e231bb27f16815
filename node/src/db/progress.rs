//! How far a long piece of work is: one line with a bar that is written over on a terminal, else a
//! line now and then, in the log where there is one.
//!
//! Goes to standard error; what a verb found goes to standard output. Used by the verbs of `db`, by
//! rebuilds of a store, and by starts that have far to go.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use tracing::{Level, enabled, info};

/// Work that is over sooner says nothing.
const QUIET: Duration = Duration::from_secs(2);
/// Time between two looks on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// Time between two lines elsewhere.
const IN_LINES: Duration = Duration::from_secs(5);
/// Places of the bar.
const BAR: u64 = 30;

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Somebody at a terminal.
    Terminal,
    /// Whoever reads the log of a node.
    Log,
    /// A file or a pipe.
    Lines,
}

/// Shows progress from one block to another.
pub struct Progress {
    what: &'static str,
    from: u64,
    to: Option<u64>,
    reader: Reader,
    started: Instant,
    at: u64,
    shown: Option<Duration>,
}

impl Progress {
    /// Work that goes through so many blocks begins.
    pub fn new(what: &'static str, to: u64) -> Self {
        Self::between(what, 0, Some(to))
    }

    /// Work begins that goes from one block to another, if it is known to which.
    pub fn between(what: &'static str, from: u64, to: Option<u64>) -> Self {
        let reader = if stderr().is_terminal() {
            Reader::Terminal
        } else if enabled!(Level::ERROR) {
            Reader::Log
        } else {
            Reader::Lines
        };
        Self {
            what,
            from,
            to,
            reader,
            started: Instant::now(),
            at: from,
            shown: None,
        }
    }

    /// It is at this block.
    pub fn at(&mut self, block: u64) {
        self.at = block;
        let elapsed = self.started.elapsed();
        if self.is_due(elapsed) {
            self.show(elapsed);
        }
    }

    /// The work is over.
    pub fn end(&mut self) {
        if self.shown.is_some() && self.reader == Reader::Terminal {
            self.show(self.started.elapsed());
            // Nobody may be reading it any more.
            let _ = writeln!(stderr());
        }
    }

    fn is_due(&self, elapsed: Duration) -> bool {
        let pause = match self.reader {
            Reader::Terminal => ON_TERMINAL,
            Reader::Log | Reader::Lines => IN_LINES,
        };
        let next = self.shown.map_or(QUIET, |shown| shown + pause);
        elapsed >= next
    }

    fn show(&mut self, elapsed: Duration) {
        self.shown = Some(elapsed);
        let line = self.line(elapsed);
        // Where nobody reads it any more, the work goes on.
        let _ = match self.reader {
            // Written over, and what a longer line left is cleared.
            Reader::Terminal => write!(stderr(), "\r{line}\x1b[K"),
            Reader::Lines => writeln!(stderr(), "{line}"),
            Reader::Log => {
                info!("{line}");
                Ok(())
            }
        };
    }

    fn line(&self, elapsed: Duration) -> String {
        let (what, at) = (self.what, self.at);
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let done = at.saturating_sub(self.from);
        let rate = done.saturating_mul(1_000) / millis.max(1);
        let Some(to) = self.to else {
            return format!("{what}: block {at}, {rate} a second");
        };
        let left = left(to.saturating_sub(at) / rate.max(1));
        let whole = to.saturating_sub(self.from).max(1);
        let full = (done.saturating_mul(BAR) / whole).min(BAR);
        let bar = match self.reader {
            Reader::Terminal => {
                let place = |at| if at < full { '#' } else { '.' };
                format!(" [{}]", (0..BAR).map(place).collect::<String>())
            }
            Reader::Log | Reader::Lines => ":".to_owned(),
        };
        format!("{what}{bar} block {at} of {to}, {rate} a second, {left} left")
    }
}

/// Seconds as people say them.
fn left(secs: u64) -> String {
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        _ => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(reader: Reader, from: u64, to: Option<u64>) -> Progress {
        Progress {
            reader,
            ..Progress::between("import", from, to)
        }
    }

    #[test]
    fn a_line_has_height_rate_and_time_left() {
        let mut work = progress(Reader::Terminal, 100, Some(1_100));
        work.at = 350;
        let line = work.line(Duration::from_secs(5));
        assert!(line.starts_with("import [#######..."), "{line}");
        let told = "block 350 of 1100, 50 a second, 15 s left";
        assert!(line.ends_with(told), "{line}");
        work.reader = Reader::Lines;
        assert_eq!(work.line(Duration::from_secs(5)), format!("import: {told}"));
        work.to = None;
        let line = work.line(Duration::from_secs(5));
        assert_eq!(line, "import: block 350, 50 a second");
        progress(Reader::Terminal, 0, Some(0)).line(Duration::ZERO);
    }

    #[test]
    fn time_left_is_told_in_its_unit() {
        let told = [0, 119, 120, 7_199, 7_200, 90_061].map(left);
        let want = [
            "0 s",
            "119 s",
            "2 min",
            "119 min",
            "2 h 0 min",
            "25 h 1 min",
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn short_work_says_nothing_and_long_work_not_too_often() {
        let secs = Duration::from_secs;
        for (reader, pause) in [(Reader::Terminal, ON_TERMINAL), (Reader::Lines, IN_LINES)] {
            let mut work = progress(reader, 0, Some(10));
            assert!(!work.is_due(secs(1)));
            assert!(work.is_due(secs(2)));
            work.shown = Some(secs(2));
            assert!(!work.is_due(secs(2) + pause - Duration::from_millis(1)));
            assert!(work.is_due(secs(2) + pause));
        }
    }
}
