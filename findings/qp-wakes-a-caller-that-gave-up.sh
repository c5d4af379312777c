#!/usr/bin/env bash
# A caller of qp waits until its time is up while the pool has a resource for it, if another caller gave up before.
#
# Seen with qp 0.2.1. A pool has one resource, which is in use. Two callers wait: the first one for one second, the second one for 30.
# After two seconds the resource comes back. The second caller, with and without the first one:
#
#     one gave up before: it has the resource after 30 s; meanwhile 1 of 1 is available
#     none gave up: it has the resource after 2 s
#
# A permit that is released wakes the waker that waits for longest (`SemaphorePermit::drop`), and a caller that gave up leaves its waker
# in the queue. The wake is lost on it, and the next one comes with the next release. Here it is the end of its time that wakes
# the second caller, which finds the resource then; without a limit it would wait on.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with qp 0.2.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "wakes-the-gone"
version = "0.0.0"
edition = "2024"

[dependencies]
qp = "=0.2.1"
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::convert::Infallible;
use std::time::Duration;

use qp::resource::Manage;
use qp::{Pool, async_trait};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

struct Numbers;

#[async_trait]
impl Manage for Numbers {
    type Output = u32;
    type Error = Infallible;

    async fn try_create(&self) -> Result<u32, Infallible> {
        Ok(1)
    }
}

/// Waits for a resource; returns the seconds that it took, unless the time is up.
async fn call(pool: Pool<Numbers>, limit: u64) -> Option<u64> {
    let begun = Instant::now();
    let result = timeout(Duration::from_secs(limit), pool.acquire()).await;
    result.ok().map(|_| begun.elapsed().as_secs())
}

async fn run(text: &str, one_gives_up: bool) {
    let pool = Pool::new(Numbers, 1);
    let in_use = pool.acquire().await.unwrap();
    if one_gives_up {
        tokio::spawn(call(pool.clone(), 1));
        yield_now().await;
    }
    let second = tokio::spawn(call(pool.clone(), 30));
    sleep(Duration::from_secs(2)).await;
    drop(in_use);
    let available = pool.size();
    yield_now().await;
    let meanwhile = if second.is_finished() {
        String::new()
    } else {
        format!("; meanwhile {available} of {} is available", pool.max_size())
    };
    let after = second.await.unwrap().expect("a resource");
    println!("{text}: it has the resource after {after} s{meanwhile}");
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    run("one gave up before", true).await;
    run("none gave up", false).await;
}
RUST
expected="one gave up before: it has the resource after 30 s; meanwhile 1 of 1 is available
none gave up: it has the resource after 2 s"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
