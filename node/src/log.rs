//! Where log lines go: standard error, at a bounded rate for each place in the code.
//!
//! Peers cause many lines, and may cause as many as they like: a place that writes too often is
//! silent for a while, and then says how many lines it has left out. What an operator asked for
//! with debug or trace is not held back. Installed once, by the `node` verb.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, Metadata, callsite::Identifier};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    config::{LogFormat, Settings},
    failure::{Exit, Failure},
};

/// Lines that one place may write at once.
const BURST: u32 = 100;
/// Time in which a place earns one more line.
const REFILL: Duration = Duration::from_secs(1);

/// Writes log lines from now on.
pub fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log_level).map_err(|error| {
        let got = &settings.log_level;
        Failure::new(
            Exit::Usage,
            format!("log level {got:?}: {error}; try info or debug"),
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Limited::new(settings.log_format));
    // A second subscriber in one process cannot be: the verb runs once.
    let _ = match settings.log_format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.with_target(false).with_ansi(false).try_init(),
    };
    Ok(())
}

/// Makes a writer for each line: standard error, or nothing.
struct Limited {
    format: LogFormat,
    /// One entry for each place in the code, so bounded.
    places: Mutex<HashMap<Identifier, Place>>,
}

/// How much a place may still write.
struct Place {
    left: u32,
    refilled: Instant,
    left_out: u64,
}

impl Place {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            refilled: now,
            left_out: 0,
        }
    }

    /// Whether one more line may be written now; then the number left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let earned = now.duration_since(self.refilled).as_secs() / REFILL.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(BURST);
        self.refilled += REFILL * earned;
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Limited {
    fn new(format: LogFormat) -> Self {
        Self {
            format,
            places: Mutex::default(),
        }
    }

    fn note(&self, left_out: u64) -> String {
        match self.format {
            LogFormat::Text => format!("({left_out} lines like the next were left out)\n"),
            LogFormat::Json => format!("{{\"left_out\":{left_out}}}\n"),
        }
    }
}

/// Standard error, or nothing.
enum Line {
    Written(io::Stderr),
    LeftOut,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Written(out) => out.write(bytes),
            Self::LeftOut => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Written(out) => out.flush(),
            Self::LeftOut => Ok(()),
        }
    }
}

impl<'a> MakeWriter<'a> for Limited {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::Written(io::stderr())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        if *metadata.level() > Level::INFO {
            return self.make_writer();
        }
        let now = Instant::now();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite());
        let taken = place.or_insert_with(|| Place::new(now)).take(now);
        drop(places);
        match taken {
            None => Line::LeftOut,
            Some(0) => self.make_writer(),
            Some(left_out) => {
                let mut out = io::stderr();
                // A log that cannot be written has nobody to tell.
                let _ = out.write_all(self.note(left_out).as_bytes());
                Line::Written(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_a_trickle_that_counts_them() {
        let start = Instant::now();
        let mut place = Place::new(start);
        // A million lines in a hundred seconds.
        let lines =
            (0..1_000_000_u32).map(|line| place.take(start + line * Duration::from_micros(100)));
        let written: Vec<u64> = lines.flatten().collect();
        assert!((198..=200).contains(&written.len()), "{}", written.len());
        assert_eq!(written[0], 0);
        let (lines, left_out) = (written.len() as u64, written.iter().sum::<u64>());
        assert_eq!(lines + left_out + place.left_out, 1_000_000);
    }

    #[test]
    fn a_quiet_place_may_write_at_once_again() {
        let start = Instant::now();
        let mut place = Place::new(start);
        while place.take(start).is_some() {}
        assert_eq!(place.take(start + REFILL / 2), None);
        let later = start + REFILL * (2 * BURST);
        assert_eq!(place.take(later), Some(2));
        let rest = (0..2 * BURST)
            .filter(|_| place.take(later).is_some())
            .count();
        assert_eq!(rest, 99);
    }
}
