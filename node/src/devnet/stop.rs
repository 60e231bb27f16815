//! When to stop: Ctrl-C, a termination signal, or the end of the supervisor's pipe.

use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::{runtime, signal::unix};

use crate::failure::{Exit, Failure};

/// A flag that is set by the first Ctrl-C or termination signal; a second one ends the process
/// at once.
pub fn on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        let listen = |kind| {
            unix::signal(kind).map_err(|error| {
                Failure::new(Exit::Other, format!("cannot listen for signals: {error}"))
            })
        };
        (
            listen(unix::SignalKind::interrupt())?,
            listen(unix::SignalKind::terminate())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    });
    Ok(stop)
}

/// Sets `stop` when the supervisor closes the pipe that is our standard input.
pub fn on_end_of_input(stop: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut byte = [0];
        // Nobody writes there: a read returns when the other end is gone.
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        stop.store(true, Ordering::Relaxed);
    });
}
