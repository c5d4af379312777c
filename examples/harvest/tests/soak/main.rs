//! Many random moments and many seeds, of which `tests/real` tries a few.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, and prints its figures"
)]
#![allow(dead_code, reason = "a part of what the other tests use is used here")]

#[path = "../real/browser.rs"]
mod browser;
#[path = "../real/compare_runs.rs"]
mod compare_runs;
#[path = "../real/flawed_api.rs"]
mod flawed_api;
#[cfg(all(unix, feature = "queue"))]
#[path = "../real/grants.rs"]
mod grants;
#[cfg(unix)]
#[path = "../real/interrupted.rs"]
mod interrupted;
mod pages;
#[path = "../real/random.rs"]
mod random;
#[cfg(all(unix, feature = "queue"))]
mod scaling;
#[path = "../real/server.rs"]
mod server;
#[cfg(all(unix, feature = "queue"))]
#[path = "../real/shared_quota.rs"]
mod shared_quota;
#[cfg(all(unix, feature = "queue"))]
#[path = "../real/team.rs"]
mod team;
#[path = "../real/workdir.rs"]
mod workdir;
#[cfg(all(unix, feature = "queue"))]
mod workers;

use workdir::Workdir;

const SEEDS: u64 = 20;
const SIZE: &str = "--users 300 --page-size 40 --latency 20 --concurrency 50";

#[cfg(unix)]
mod moments {
    use super::{SEEDS, Workdir};
    use crate::interrupted::{Signal, at_random};

    /// The minimum of moments in the middle of the work.
    const HITS: usize = 15;

    fn count(hits: &[bool], store: &str, how: Signal) {
        let hits = hits.iter().filter(|hit| **hit).count();
        println!("{how:?} on {store}: {hits} of {SEEDS} hit a store that was partly filled");
        assert!(hits >= HITS);
    }

    async fn on_sqlite(how: Signal) {
        let mut hits = Vec::new();
        for seed in 0..SEEDS {
            hits.push(at_random(&Workdir::new(), how, seed).await);
        }
        count(&hits, "SQLite", how);
    }

    async fn on_postgres(how: Signal) {
        let mut hits = Vec::new();
        for seed in 0..SEEDS {
            let Some(workdir) = Workdir::postgres().await else { return };
            hits.push(at_random(&workdir, how, seed).await);
        }
        count(&hits, "PostgreSQL", how);
    }

    #[tokio::test]
    #[ignore = "soak"]
    async fn sigterm_on_sqlite() {
        on_sqlite(Signal::Term).await;
    }

    #[tokio::test]
    #[ignore = "soak"]
    async fn sigterm_on_postgres() {
        on_postgres(Signal::Term).await;
    }

    #[tokio::test]
    #[ignore = "soak"]
    async fn kill_on_sqlite() {
        on_sqlite(Signal::Kill).await;
    }

    #[tokio::test]
    #[ignore = "soak"]
    async fn kill_on_postgres() {
        on_postgres(Signal::Kill).await;
    }
}

#[tokio::test]
#[ignore = "soak"]
async fn chaos_on_sqlite() {
    for seed in 0..SEEDS {
        compare_runs::compare_with_chaos(&Workdir::new(), seed, SIZE).await;
    }
}

#[tokio::test]
#[ignore = "soak"]
async fn chaos_on_postgres() {
    for seed in 0..SEEDS {
        let Some(workdir) = Workdir::postgres().await else { return };
        compare_runs::compare_with_chaos(&workdir, seed, SIZE).await;
    }
}

#[tokio::test]
#[ignore = "soak"]
async fn chaos_with_a_queue_in_memory() {
    let size = format!("{SIZE} --queue memory");
    for seed in 0..SEEDS {
        compare_runs::compare_with_chaos(&Workdir::new(), seed, &size).await;
        let Some(workdir) = Workdir::postgres().await else { continue };
        compare_runs::compare_with_chaos(&workdir, seed, &size).await;
    }
}
