//! Lines on stdout and stderr. What cannot be written there is no reason to stop: the work is in the store.

use std::io::{self, ErrorKind, Write as _};

/// For the user, on stdout.
pub(crate) fn say(text: &str) {
    match writeln!(io::stdout(), "{text}") {
        // Who closes it has read what he wanted.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(&format!("harvest: cannot write to stdout: {error}"));
        }
        _ => {}
    }
}

/// Progress and errors, on stderr.
pub(crate) fn tell(text: &str) {
    // There is nowhere else to say that it cannot be said.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
