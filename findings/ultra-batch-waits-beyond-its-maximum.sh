#!/usr/bin/env bash
# A batch of ultra-batch waits for as long as values keep coming, beyond the maximum of its delay.
#
# Seen with ultra-batch 0.3.0. Its documentation says of `delay_duration`: "The maximum amount of time the `BatchExecutor` will wait to
# queue up more keys". A delay of 10 ms, and a value each 9 ms, 300 of them in all. So long the first one of a batch waited, on the
# clock of tokio:
#
#     without a size: batches of [300], waited for up to 2701 ms
#     with the size by default: batches of [100, 100, 100], waited for up to 891 ms
#     a value each 11 ms: batches of 1, waited for up to 10 ms
#
# Each value that comes begins the delay anew (`finish`, where the delay is made in the loop that waits for more). So it is the time
# without a value that ends a batch. With `eager_batch_size(None)` a steady flow is never executed. `BatchFetcher` does the same.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with ultra-batch 0.3.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "waits-beyond"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }
ultra-batch = "=0.3.0"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use ultra_batch::{BatchExecutor, Executor};

/// Notes of each batch its size, and how long its first value waited.
struct Batches(Arc<Mutex<Vec<(usize, Duration)>>>);

impl Executor for Batches {
    type Value = Instant;
    type Result = ();
    type Error = Infallible;

    async fn execute(&self, values: Vec<Instant>) -> Result<Vec<()>, Infallible> {
        let batch = (values.len(), values[0].elapsed());
        self.0.lock().unwrap().push(batch);
        Ok(vec![(); values.len()])
    }
}

async fn run(text: &str, size: Option<usize>, gap: u64) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let executor = BatchExecutor::build(Batches(seen.clone()))
        .delay_duration(Duration::from_millis(10))
        .eager_batch_size(size)
        .finish();
    let mut tasks = Vec::new();
    for _ in 0..300 {
        let executor = executor.clone();
        tasks.push(tokio::spawn(async move { executor.execute(Instant::now()).await }));
        sleep(Duration::from_millis(gap)).await;
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let seen = seen.lock().unwrap();
    let sizes: Vec<_> = seen.iter().map(|(size, _)| *size).collect();
    let sizes = if sizes.len() == 300 { "1".to_owned() } else { format!("{sizes:?}") };
    let longest = seen.iter().map(|(_, waited)| waited.as_millis()).max().unwrap();
    println!("{text}: batches of {sizes}, waited for up to {longest} ms");
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    run("without a size", None, 9).await;
    run("with the size by default", Some(100), 9).await;
    run("a value each 11 ms", Some(100), 11).await;
}
RUST
expected="without a size: batches of [300], waited for up to 2701 ms
with the size by default: batches of [100, 100, 100], waited for up to 891 ms
a value each 11 ms: batches of 1, waited for up to 10 ms"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
