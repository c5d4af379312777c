//! The program as its users run it: a process, a server on loopback, a database file, real time.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, and prints its figures"
)]
#![cfg(unix)]

#[cfg(feature = "inspect")]
mod dumps;
mod input;
mod interrupted;
mod polite;
mod problems;
#[path = "../../../harvest/tests/real/random.rs"]
mod random;
mod resume;
mod robots;
mod scope;
mod second_pass;
mod server;
mod signals;
mod site;
mod workdir;
