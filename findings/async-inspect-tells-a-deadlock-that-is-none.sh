#!/usr/bin/env bash
# async-inspect tells of a deadlock of tasks that go on.
#
# Seen with async-inspect 0.2.0. Two tasks have one permit each of a semaphore of two: `report`, which sleeps, and `sell`, which
# waits for a second semaphore. That one is held by `refill`, which waits for the first one. When `report` ends, `refill` goes on,
# and then `sell`. While `report` sleeps:
#
#     deadlocks: 1, of 2 tasks; all three tasks have ended then: true
#
# The detector keeps one holder of a resource, which is the last one that took it (`DeadlockDetector::acquire`), however many
# permits the resource has. So it sees that `refill` waits for `sell`, and not that `report` may return a permit as well.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with async-inspect 0.2.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "no-deadlock"
version = "0.0.0"
edition = "2024"

[dependencies]
async-inspect = { version = "=0.2.0", default-features = false, features = ["tokio"] }
tokio = { version = "=1.47.1", features = ["macros", "rt", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{sync::Arc, time::Duration};

use async_inspect::{inspector::Inspector, runtime::tokio::InspectExt, sync::Semaphore};
use tokio::{spawn, time::{sleep, timeout}};

/// Takes a permit of `outer`, and half a second later, while it has it, one of `inner`.
async fn take_both(outer: Arc<Semaphore>, inner: Arc<Semaphore>) {
    let _outer = outer.acquire().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let _inner = inner.acquire().await.unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let orders = Arc::new(Semaphore::new(2, "orders"));
    let stock = Arc::new(Semaphore::new(1, "stock"));
    let of_report = orders.clone();
    let report = async move {
        let _permit = of_report.acquire().await.unwrap();
        sleep(Duration::from_millis(1500)).await;
    };
    let tasks = [
        spawn(report.inspect("report")),
        spawn(take_both(orders.clone(), stock.clone()).inspect("sell")),
        spawn(take_both(stock, orders).inspect("refill")),
    ];
    sleep(Duration::from_secs(1)).await;
    let cycles = Inspector::global().deadlock_detector().detect_deadlocks();
    let involved: usize = cycles.iter().map(|cycle| cycle.tasks.len()).sum();
    let all = async {
        for task in tasks {
            task.await.unwrap();
        }
    };
    let ended = timeout(Duration::from_secs(60), all).await.is_ok();
    println!("deadlocks: {}, of {involved} tasks; all three tasks have ended then: {ended}", cycles.len());
}
RUST
output=$(cargo --quiet run)
echo "$output"
if [ "$output" != "deadlocks: 1, of 2 tasks; all three tasks have ended then: true" ]; then
    echo "CHANGED"
    exit 1
fi
