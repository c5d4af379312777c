#!/usr/bin/env bash
# A job of tokio-cron-scheduler that is repeated each 900 ms stops after a run or two, and one of 1900 ms runs each second.
#
# Seen with tokio-cron-scheduler 0.15.1. Its documentation says of `new_repeated` that it is checked in intervals of 500 ms. Jobs of these
# durations ran so often within ten seconds:
#
#     900 ms: 1 to 3 times
#     1900 ms: 8 times or more
#     2000 ms: 4 to 6 times
#
# The duration is taken in whole seconds (`as_secs` in `JobLocked::make_new_repeated`). With 0 s the next time is that of the run
# before, which is over, and a job runs only if its next time is not before its last one.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with tokio-cron-scheduler 0.15.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "rounds-a-repetition"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
tokio-cron-scheduler = "=0.15.1"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio_cron_scheduler::{Job, JobScheduler};

const DURATIONS: [u64; 3] = [900, 1900, 2000];

#[tokio::main]
async fn main() {
    let scheduler = JobScheduler::new().await.unwrap();
    let mut runs = Vec::new();
    for duration in DURATIONS {
        let count = Arc::new(AtomicU32::new(0));
        runs.push(count.clone());
        let job = Job::new_repeated(Duration::from_millis(duration), move |_, _| {
            count.fetch_add(1, SeqCst);
        });
        scheduler.add(job.unwrap()).await.unwrap();
    }
    scheduler.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (duration, count) in DURATIONS.iter().zip(runs) {
        let times = match count.load(SeqCst) {
            1..=3 => "1 to 3 times".to_owned(),
            4..=6 => "4 to 6 times".to_owned(),
            8.. => "8 times or more".to_owned(),
            other => other.to_string(),
        };
        println!("{duration} ms: {times}");
    }
}
RUST
expected="900 ms: 1 to 3 times
1900 ms: 8 times or more
2000 ms: 4 to 6 times"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
