//! Lines on stdout and stderr. A write that fails does not stop the run: the work is in the store.

use std::io::{self, ErrorKind, Write as _};

/// Prints a result on stdout.
pub(crate) fn say(text: &str) {
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
