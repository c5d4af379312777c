//! The peers of the queue in PostgreSQL, if their program was named.

use std::{
    env, io,
    process::{Command, Stdio},
};

use crate::{measure::Sample, python};

/// The variable that names the program, which `cargo xtask bench --queues` builds.
const VARIABLE: &str = "EVENKEEL_BENCH_QUEUES";

fn named() -> Option<String> {
    env::var(VARIABLE).ok().filter(|path| !path.is_empty())
}

/// Whether the program was named.
pub(crate) fn is_named() -> bool {
    named().is_some()
}

/// Lets a peer drain a backlog of empty jobs, in a process that measures itself and the server without its start.
///
/// # Errors
///
/// If no program was named, or it fails.
pub(crate) fn drain(peer: &str, url: &str, jobs: u64, concurrency: usize) -> io::Result<Sample> {
    let program = named().ok_or_else(|| io::Error::other(format!("{VARIABLE} names no program")))?;
    let arguments = [peer, url, &jobs.to_string(), &concurrency.to_string()];
    let output = Command::new(&program).args(arguments).stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => python::sample(&String::from_utf8_lossy(&output.stdout)),
        false => Err(io::Error::other(format!("{program} {peer} ended with {}", output.status))),
    }
}
