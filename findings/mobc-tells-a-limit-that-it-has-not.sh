#!/usr/bin/env bash
# `set_max_open_conns` of mobc changes the limit that a pool tells, and not the one that it has.
#
# Seen with mobc 0.9.0. A pool for four connections is set to two, and then to eight ("Sets the maximum number of connections managed by
# the pool"). Ten callers want a connection each time, and keep it for a second:
#
#     made for 4: max_open 4, and 4 at once
#     set to 2: max_open 2, and 4 at once
#     set to 8: max_open 8, and 4 at once
#
# The connections are counted by the permits of a semaphore, which has the number that the pool was made with (`Pool::new_inner`).
# The method stores its number for `state()`, and bounds the idle connections by it.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with mobc 0.9.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "tells-a-limit"
version = "0.0.0"
edition = "2024"

[dependencies]
mobc = "=0.9.0"
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::convert::Infallible;
use std::time::Duration;

use mobc::{Manager, Pool, async_trait};
use tokio::task::JoinSet;
use tokio::time::sleep;

struct Numbers;

#[async_trait]
impl Manager for Numbers {
    type Connection = u32;
    type Error = Infallible;

    async fn connect(&self) -> Result<u32, Infallible> {
        Ok(1)
    }

    async fn check(&self, connection: u32) -> Result<u32, Infallible> {
        Ok(connection)
    }
}

async fn ten_callers(text: &str, pool: &Pool<Numbers>) {
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let pool = pool.clone();
        callers.spawn(async move {
            let connection = pool.get().await.unwrap();
            sleep(Duration::from_secs(1)).await;
            drop(connection);
        });
    }
    sleep(Duration::from_millis(500)).await;
    let state = pool.state().await;
    println!("{text}: max_open {}, and {} at once", state.max_open, state.in_use);
    callers.join_all().await;
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let pool = Pool::builder().max_open(4).build(Numbers);
    ten_callers("made for 4", &pool).await;
    pool.set_max_open_conns(2).await;
    ten_callers("set to 2", &pool).await;
    pool.set_max_open_conns(8).await;
    ten_callers("set to 8", &pool).await;
}
RUST
expected="made for 4: max_open 4, and 4 at once
set to 2: max_open 2, and 4 at once
set to 8: max_open 8, and 4 at once"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
