#!/usr/bin/env bash
# A throttle of stream_throttle makes a call wait for a whole interval, though the last one is longer ago than that.
#
# Seen with stream_throttle 0.5.1. A rate of one, and of five, in 300 ms. As many calls come at once; then none for a second, which is
# more than three intervals; then as many again, and once more after another second. So many go through at once, which is before half
# an interval is over:
#
#     one in 300 ms: 1 of 1 at first, 0 of 1 after a pause, 0 of 1 after another one
#     five in 300 ms: 5 of 5 at first, 4 of 5 after a pause, 4 of 5 after another one
#
# A slot is taken by a mark without a time. The next call that looks at it finds the mark, and begins the interval of the slot there
# and then (`ThrottlePool::queue_with_hold`). So the interval of the last call is counted from the one that follows, whenever that
# comes: with a rate of one, a call goes through at once only if no other has come before.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with stream_throttle 0.5.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "waits-after-a-pause"
version = "0.0.0"
edition = "2024"

[dependencies]
futures = "0.3"
stream_throttle = "=0.5.1"
tokio = { version = "1", features = ["macros", "rt", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::{Duration, Instant};

use futures::future::join_all;
use stream_throttle::{ThrottlePool, ThrottleRate};
use tokio::time::sleep;

const INTERVAL: Duration = Duration::from_millis(300);

/// How many of the calls go through at once.
async fn at_once(pool: &ThrottlePool, calls: usize) -> String {
    let begun = Instant::now();
    let waits = join_all((0..calls).map(|_| async {
        pool.queue().await;
        begun.elapsed()
    }))
    .await;
    let at_once = waits.iter().filter(|wait| **wait < INTERVAL / 2).count();
    format!("{at_once} of {calls}")
}

async fn run(text: &str, calls: usize) {
    let pool = ThrottlePool::new(ThrottleRate::new(calls, INTERVAL));
    let first = at_once(&pool, calls).await;
    sleep(Duration::from_secs(1)).await;
    let second = at_once(&pool, calls).await;
    sleep(Duration::from_secs(1)).await;
    let third = at_once(&pool, calls).await;
    println!("{text} in 300 ms: {first} at first, {second} after a pause, {third} after another one");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    run("one", 1).await;
    run("five", 5).await;
}
RUST
expected="one in 300 ms: 1 of 1 at first, 0 of 1 after a pause, 0 of 1 after another one
five in 300 ms: 5 of 5 at first, 4 of 5 after a pause, 4 of 5 after another one"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
