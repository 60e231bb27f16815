//! One run of `lignum db import`, seen from outside: wall time, CPU, memory, bytes on disk.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::chain_file::ChainFile;

/// Time of a tick of the process clock in Linux.
const TICK: Duration = Duration::from_millis(10);
/// Time between two looks at the process.
const PAUSE: Duration = Duration::from_millis(20);

/// What a run took.
#[derive(Clone, Default)]
pub struct Run {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: u64,
    pub disk_bytes: u64,
    /// CPU of its threads by their names, as far as the last look at each saw it.
    pub threads: BTreeMap<String, Duration>,
    /// What it said.
    pub output: String,
}

/// What the looks at a process have shown.
#[derive(Default)]
struct Seen {
    peak_kib: u64,
    /// By thread: name and ticks.
    threads: BTreeMap<String, (String, u32)>,
}

/// CPU of the processes that were waited for, and of this one with all its threads.
pub fn cpu() -> (Duration, Duration) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = |at: usize| TICK * field(&stat, at);
    (ticks(13) + ticks(14), ticks(11) + ticks(12))
}

/// A number behind the name in a line of the process table, counted from the state.
fn field(stat: &str, at: usize) -> u32 {
    let after = stat.rsplit_once(')').unwrap().1;
    after.split_whitespace().nth(at).unwrap().parse().unwrap()
}

/// Imports a file into a directory that is made for it and removed again.
pub fn import(binary: &Path, file: &ChainFile, directory: &Path, arguments: &[String]) -> Run {
    let _ = fs::remove_dir_all(directory);
    let before = cpu().0;
    let started = Instant::now();
    let child = Command::new(binary)
        .args(["db", "import"])
        .arg(&file.path)
        .arg("--network")
        .arg(&file.spec_path)
        .arg("--datadir")
        .arg(directory)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a lignum binary");
    let (output, seen) = watched(child);
    let wall = started.elapsed();
    let disk_bytes = fs::read_dir(directory).unwrap();
    let disk_bytes = disk_bytes
        .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    let _ = fs::remove_dir_all(directory);
    let mut threads = BTreeMap::new();
    for (name, ticks) in seen.threads.into_values() {
        *threads.entry(name).or_default() += TICK * ticks;
    }
    Run {
        wall,
        cpu: cpu().0 - before,
        peak_kib: seen.peak_kib,
        disk_bytes,
        threads,
        output,
    }
}

/// Looks at a process until it has ended; what it said, and what was seen.
fn watched(child: Child) -> (String, Seen) {
    let (id, is_over) = (child.id(), AtomicBool::new(false));
    let mut seen = Seen::default();
    let output = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = Seen::default();
            while !is_over.load(Ordering::Relaxed) {
                look(id, &mut seen);
                thread::sleep(PAUSE);
            }
            seen
        });
        let output = child.wait_with_output().unwrap();
        is_over.store(true, Ordering::Relaxed);
        seen = looking.join().unwrap();
        output
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "the import failed: {said}");
    (said, seen)
}

fn look(id: u32, seen: &mut Seen) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    seen.peak_kib = seen.peak_kib.max(peak.unwrap_or_default());
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else {
        return;
    };
    for task in tasks.flatten() {
        if let Ok(stat) = fs::read_to_string(task.path().join("stat")) {
            let name = stat.split(['(', ')']).nth(1).unwrap_or_default();
            let ticks = field(&stat, 11) + field(&stat, 12);
            let task = task.file_name().to_string_lossy().into_owned();
            seen.threads.insert(task, (name.to_owned(), ticks));
        }
    }
}
