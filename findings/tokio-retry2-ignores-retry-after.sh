#!/usr/bin/env bash
# A retry of tokio-retry2 does not wait for as long as its error says, though it tells so.
#
# Seen with tokio-retry2 0.9.1. An error may have a duration, which is "Useful for handling rate limits like a HTTP 429 response": "If the
# `retry_after` is `None` the operation should be retried according to the defined strategy policy, else after the specified duration".
# The strategy waits 10 ms, three times, and each attempt fails with 30 s. On the
# clock of tokio:
#
#     told: [30s, 30s, 30s, 30s]
#     waited: [10ms, 10ms, 10ms]
#     without a duration of the error, told: [0ns, 10ms, 20ms, 30ms]
#
# The duration of the error goes to `notify` and to a sum; the sleep is that of the strategy (`RetryIf::retry`). So a client comes back
# after 10 ms to a server that asked for 30 s, and its log says otherwise. Without one, the log has the sum of the waits before.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with tokio-retry2 0.9.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "ignores-retry-after"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }
tokio-retry2 = "=0.9.1"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_retry2::strategy::FixedInterval;
use tokio_retry2::{Retry, RetryError};

/// Retries an attempt that always fails; returns the durations that are told, and those that are waited.
async fn run(retry_after: Option<Duration>) -> (Vec<Duration>, Vec<Duration>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let attempts = Mutex::new(Vec::new());
    let attempt = || {
        attempts.lock().unwrap().push(Instant::now());
        std::future::ready(Err::<(), _>(RetryError::Transient { err: "refused", retry_after }))
    };
    let notes = told.clone();
    let notify = move |_: &&str, duration| notes.lock().unwrap().push(duration);
    let strategy = FixedInterval::from_millis(10).take(3);
    Retry::spawn_notify(strategy, attempt, notify).await.unwrap_err();
    let attempts = attempts.into_inner().unwrap();
    let waited = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (told.lock().unwrap().clone(), waited)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let (told, waited) = run(Some(Duration::from_secs(30))).await;
    println!("told: {told:?}\nwaited: {waited:?}");
    let (told, _) = run(None).await;
    println!("without a duration of the error, told: {told:?}");
}
RUST
expected="told: [30s, 30s, 30s, 30s]
waited: [10ms, 10ms, 10ms]
without a duration of the error, told: [0ns, 10ms, 20ms, 30ms]"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
