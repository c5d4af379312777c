//! Lines on stdout and stderr. What cannot be written, because the reader has left or the disk is full, is no reason to
//! stop in the middle of a run: the exit code says how it ended. The `print` macros of std panic then.

use std::{
    fmt::Arguments,
    io::{self, Write as _},
};

/// Prints a line on stdout.
macro_rules! say {
    ($($text:tt)*) => { $crate::out::stdout(format_args!($($text)*)) };
}

/// Prints a line on stderr.
macro_rules! tell {
    ($($text:tt)*) => { $crate::out::stderr(format_args!($($text)*)) };
}

pub(crate) fn stdout(text: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}

pub(crate) fn stderr(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}
