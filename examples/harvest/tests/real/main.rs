//! The program as its users run it: a process, a server on loopback, a database file, real time.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod bad_input;
mod embedded;
mod flaws;
mod harness;
mod held;
#[cfg(unix)]
mod signals;
mod store;
