#!/usr/bin/env bash
# A limit of parallel-stream limits nothing: all items run at once, and the source is read to its end.
#
# Seen with parallel-stream 2.1.3. A source has a hundred items, and its limit is set to four ("Set a max concurrency limit"). Each item
# takes a second in `for_each`, and in `map`, of which the consumer takes one result:
#
#     for_each, limit 4: 100 items at once
#     map, limit 4: 100 items at once, after 1 result
#
# The limit is stored, handed on to the next combinator, and read by none (`ForEach::new` has it in `_limit`, `Map::new` passes it
# on). Each item is a task, which is spawned when the source has it. So a source without an end is read without an end, too.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with parallel-stream 2.1.3"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "has-no-limit"
version = "0.0.0"
edition = "2024"

[dependencies]
async-std = { version = "1", features = ["attributes"] }
parallel-stream = "=2.1.3"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_std::task::sleep;
use parallel_stream::prelude::*;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

async fn work() {
    AT_ONCE.fetch_max(RUNNING.fetch_add(1, SeqCst) + 1, SeqCst);
    sleep(Duration::from_secs(1)).await;
    RUNNING.fetch_sub(1, SeqCst);
}

#[async_std::main]
async fn main() {
    let items = || (0..100).collect::<Vec<u32>>().into_par_stream().limit(4);
    items().for_each(|_| work()).await;
    println!("for_each, limit 4: {} items at once", AT_ONCE.swap(0, SeqCst));
    let mut results = items().map(|_| work());
    results.next().await;
    println!("map, limit 4: {} items at once, after 1 result", AT_ONCE.load(SeqCst));
}
RUST
expected="for_each, limit 4: 100 items at once
map, limit 4: 100 items at once, after 1 result"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
