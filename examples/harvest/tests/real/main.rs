//! The program as its users run it: a process, a server on loopback, a database file, real time.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, and prints its figures"
)]

mod bad_input;
mod blocking_api;
mod broken_store;
#[cfg(unix)]
mod browser;
mod chaos;
mod compare_runs;
#[cfg(all(unix, feature = "inspect"))]
mod dumps;
mod embedded;
#[cfg(unix)]
mod flawed_api;
mod flaws;
#[cfg(all(unix, feature = "queue"))]
mod grants;
#[cfg(unix)]
mod interrupted;
#[cfg(unix)]
mod lease;
mod limits;
mod links;
#[cfg(unix)]
mod live;
#[cfg(unix)]
mod output;
mod page;
mod random;
mod records;
#[cfg(unix)]
mod resume;
mod server;
#[cfg(all(unix, feature = "queue"))]
mod shared_quota;
#[cfg(unix)]
mod signals;
#[cfg(all(unix, feature = "queue"))]
mod supervisor;
#[cfg(all(unix, feature = "queue"))]
mod team;
mod workdir;
#[cfg(all(unix, feature = "queue"))]
mod workers;
