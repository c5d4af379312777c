//! Signals, exit codes, servers and the watchdog, with real processes in real time.
//!
//! Each program is a test, of the module `programs` or of `load`, that does nothing unless it is started by one of the
//! other tests, which runs this very binary again.
#![cfg(unix)]
#![expect(clippy::print_stdout, reason = "the programs talk to the tests")]

mod churn;
mod client;
#[cfg(feature = "inspect")]
mod dumps;
mod ends;
mod escalation;
#[cfg(feature = "inspect")]
mod inspect_server;
mod load;
mod process;
mod programs;
mod server;
mod servers;
mod signal_copies;
mod starts;
mod systemd;
mod threads;
mod wakers;

use process::soon;
