//! A dump at SIGUSR1.
//!
//! # How it works
//!
//! The signal thread only starts a blocking thread, as objects and functions are foreign code. The functions are those of the
//! runs that asked for it and have not ended; without one the dump goes to stderr, also after the run: a process that asked for
//! the signal once is never ended by it.
//!
//! - **One dump at a time**: signals that come while one is made are one request for the next one, so that no number of signals
//!   needs more than one thread, and none is lost.
//! - **Nothing is kept alive**: a link has the function of its run, and the list here a weak reference.

use std::{
    mem,
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use evenkeel_inspect::{Dump, dump};
use evenkeel_task::Panic;
use signal_hook::consts::SIGUSR1;

use crate::{report, watchdog_thread::runtime};

pub(crate) const SIGNAL: i32 = SIGUSR1;

/// The function of a run that gets the dump.
pub(crate) type DumpFn = dyn Fn(&Dump) + Send + Sync;

static REQUESTS: Mutex<Requests> =
    Mutex::new(Requests { is_asked: false, functions: Vec::new(), is_running: false, is_wanted: false });

struct Requests {
    /// Whether a run has asked for dumps.
    is_asked: bool,
    /// The functions of the runs that go on.
    functions: Vec<Weak<DumpFn>>,
    /// Whether a thread makes dumps now.
    is_running: bool,
    /// Whether a signal has come since the last look.
    is_wanted: bool,
}

/// Gives dumps to a function until it is dropped.
pub(crate) fn give_to(function: &Arc<DumpFn>) {
    let mut requests = lock(&REQUESTS);
    requests.is_asked = true;
    requests.functions.retain(|function| function.strong_count() > 0);
    requests.functions.push(Arc::downgrade(function));
}

/// Starts a dump if the signal is for that, and returns whether it is.
pub(crate) fn on_signal(number: i32) -> bool {
    let is_running = {
        let mut requests = lock(&REQUESTS);
        if number != SIGNAL || !requests.is_asked {
            return false;
        }
        requests.is_wanted = true;
        mem::replace(&mut requests.is_running, true)
    };
    if !is_running && Panic::catch(|| drop(runtime().spawn_blocking(make_dumps))).is_err() {
        // The system refuses a thread: the next signal tries again.
        lock(&REQUESTS).is_running = false;
    }
    true
}

/// Makes dumps until none is wanted.
fn make_dumps() {
    loop {
        let functions = {
            let mut requests = lock(&REQUESTS);
            if !mem::take(&mut requests.is_wanted) {
                requests.is_running = false;
                return;
            }
            requests.functions.clone()
        };
        drop(Panic::catch(|| give(&functions)));
    }
}

/// Makes a dump, and gives it to all functions.
fn give(functions: &[Weak<DumpFn>]) {
    let mut functions: Vec<_> = functions.iter().filter_map(Weak::upgrade).collect();
    let dump = dump();
    if functions.is_empty() {
        report::print(&dump);
    }
    // The panic hook has told of one that panics; the others get the dump all the same.
    while let Some(function) = functions.pop() {
        drop(Panic::catch(|| function(&dump)));
        drop(Panic::catch(|| drop(function)));
    }
}
