//! The programs of the cookbook, run as the book shows them: in virtual time, with the output that the book prints.
//!
//! `EVENKEEL_UPDATE=1 cargo test -p cookbook` writes what the book shows into docs/book/src/output and timelines.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// file         | holds
// examples.rs  | the programs, as modules
// output.rs    | the lines that they print, and the book's
// virtual_time.rs | those whose time is virtual
// real_time.rs | those that call what blocks a thread
// kubernetes.rs | the numbers of a program and its manifest, and how it stops
// fleet.rs     | the figures of a simulation
// f04_one_client.rs | programs that are tests: a client that is reused
// world_clock.rs | what follows the clock of a world, and what it waits for
// h01_virtual_time.rs, h02_test_server.rs, h03_block_watch.rs, h04_no_silent_errors.rs | how to test

/// Stands in for that of std, in all modules below.
macro_rules! println {
    ($($text:tt)*) => { crate::output::line(format_args!($($text)*)) };
}

/// As [`println`].
macro_rules! print {
    ($($text:tt)*) => { crate::output::write(format_args!($($text)*)) };
}

mod examples;
mod f04_one_client;
mod fleet;
mod h01_virtual_time;
mod h02_test_server;
mod h03_block_watch;
mod h04_no_silent_errors;
mod kubernetes;
mod output;
mod real_time;
mod virtual_time;
mod world_clock;
