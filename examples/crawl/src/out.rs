//! Lines on stdout and stderr. A write that fails does not stop the run: the work is in the store.

use std::{
    io::{self, ErrorKind, Write as _},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// A report has stdout for itself, for the program that reads it.
static STDOUT_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Leaves stdout to a report: from now on all results are printed on stderr.
pub(crate) fn leave_stdout() {
    STDOUT_IS_TAKEN.store(true, Relaxed);
}

/// Prints a result on stdout.
pub(crate) fn say(text: &str) {
    if STDOUT_IS_TAKEN.load(Relaxed) {
        return tell(text);
    }
    match writeln!(io::stdout(), "{text}") {
        // A closed pipe means that the reader has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(&format!("crawl: cannot write to stdout: {error}"));
        }
        _ => {}
    }
}

/// Prints progress or an error on stderr.
pub(crate) fn tell(text: &str) {
    // There is no other place to report this failure.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
