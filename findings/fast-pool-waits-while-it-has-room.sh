#!/usr/bin/env bash
# A caller of fast_pool waits for a connection until its time is up, while the pool has room for one.
#
# Seen with fast_pool 1.0.4. A pool has one connection at most, and keeps none that is idle (`set_max_idle_conns(0)`). One
# caller has the connection, and another one waits. After a second the first one returns it:
#
#     the pool has 0 of 1 connections
#     the second caller: Err("get_timeout"), 30 s after it came; a third one: Ok(1), after 0 s
#
# A caller creates a connection when there is room, and waits for an idle one otherwise (`Pool::get_timeout`). A connection above
# the idle ones is dropped when it comes back (`Pool::recycle`), also when callers wait, and none of them is told that there
# is room now. The same goes for a connection whose check is cancelled.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with fast_pool 1.0.4"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "waits-with-room"
version = "0.0.0"
edition = "2024"

[dependencies]
fast_pool = "=1.0.4"
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::Duration;

use fast_pool::{Manager, Pool};
use tokio::time::{Instant, sleep};

struct Numbers;

impl Manager for Numbers {
    type Connection = u32;
    type Error = String;

    async fn connect(&self) -> Result<u32, String> {
        Ok(1)
    }

    async fn check(&self, _: &mut u32) -> Result<(), String> {
        Ok(())
    }
}

/// Takes a connection; returns it, and the seconds that it took.
async fn call(pool: Pool<Numbers>) -> (Result<u32, String>, u64) {
    let begun = Instant::now();
    let connection = pool.get().await.map(|guard| *guard);
    (connection, begun.elapsed().as_secs())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let pool = Pool::new(Numbers);
    pool.set_max_open(1);
    pool.set_max_idle_conns(0);
    let first = pool.get().await.unwrap();
    let second = tokio::spawn(call(pool.clone()));
    sleep(Duration::from_secs(1)).await;
    drop(first);
    let state = pool.state();
    println!("the pool has {} of {} connections", state.connections, state.max_open);
    let (second, after) = second.await.unwrap();
    let (third, at_once) = call(pool).await;
    println!("the second caller: {second:?}, {after} s after it came; a third one: {third:?}, after {at_once} s");
}
RUST
expected='the pool has 0 of 1 connections
the second caller: Err("get_timeout"), 30 s after it came; a third one: Ok(1), after 0 s'
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
