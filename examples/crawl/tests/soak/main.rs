//! Many moments, and a real site: `cargo xtask soak crawl`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, and prints its figures"
)]
#![allow(dead_code, reason = "a part of what the other tests use is used here")]
#![cfg(unix)]

#[path = "../real/interrupted.rs"]
mod interrupted;
mod large;
#[path = "../../../harvest/tests/real/random.rs"]
mod random;
#[path = "../real/server.rs"]
mod server;
#[path = "../real/site.rs"]
mod site;
mod standard_library;
#[path = "../real/workdir.rs"]
mod workdir;

use interrupted::{Signal, at_random};
use workdir::Workdir;

const MOMENTS: u64 = 20;
/// The minimum of moments in the middle of the work.
const HITS: usize = 15;

async fn moments(how: Signal, postgres: bool) {
    let mut hits = 0;
    for seed in 0..MOMENTS {
        let workdir = if postgres { Workdir::postgres().await } else { Some(Workdir::new()) };
        let Some(workdir) = workdir else { return };
        hits += usize::from(at_random(&workdir, how, seed).await);
    }
    println!("{how:?}: {hits} of {MOMENTS} moments were in the middle of the work");
    assert!(hits >= HITS);
}

#[tokio::test]
#[ignore = "soak"]
async fn sigterm_on_sqlite() {
    moments(Signal::Term, false).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn sigterm_on_postgres() {
    moments(Signal::Term, true).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn kill_on_sqlite() {
    moments(Signal::Kill, false).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn kill_on_postgres() {
    moments(Signal::Kill, true).await;
}
