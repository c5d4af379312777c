#!/usr/bin/env bash
# A pool of deadpool that was made smaller lends as many objects as before, and one that was made larger again lends more.
#
# Seen with deadpool 0.13.1. The first pool has room for ten objects, and none is created yet; `resize(5)`, and then ten
# callers. The second has ten objects in use; `resize(5)`, `resize(10)`, and then ten more callers:
#
#     changed from 10 to 5: 10 objects at once, max_size 5, size 10
#     changed from 10 to 5 and back: 15 objects at once, max_size 10
#
# `resize` takes a permit away for each object above the new maximum that it finds (`while slots.size > slots.max_size`): not
# for room without an object, and not for objects in use. A change to more adds the difference of the two maxima. The surplus
# goes when these objects come back.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with deadpool 0.13.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "lends-more"
version = "0.0.0"
edition = "2024"

[dependencies]
deadpool = { version = "=0.13.1", default-features = false, features = ["managed"] }
tokio = { version = "1", features = ["macros", "rt"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use deadpool::managed::{Manager, Metrics, Object, Pool, RecycleResult};

struct Numbers;

impl Manager for Numbers {
    type Type = u32;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<u32, Self::Error> {
        Ok(7)
    }

    async fn recycle(&self, _: &mut u32, _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}

/// Takes objects until the next one would have to be waited for, twenty at most.
async fn take(pool: &Pool<Numbers>) -> Vec<Object<Numbers>> {
    let mut taken = Vec::new();
    while taken.len() < 20 {
        tokio::select! {
            biased;
            object = pool.get() => taken.push(object.unwrap()),
            () = std::future::ready(()) => break,
        }
    }
    taken
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pool = Pool::builder(Numbers).max_size(10).build().unwrap();
    pool.resize(5);
    let taken = take(&pool).await;
    let status = pool.status();
    println!(
        "changed from 10 to 5: {} objects at once, max_size {}, size {}",
        taken.len(), status.max_size, status.size,
    );

    let pool = Pool::builder(Numbers).max_size(10).build().unwrap();
    let mut taken = take(&pool).await;
    pool.resize(5);
    pool.resize(10);
    taken.extend(take(&pool).await);
    println!(
        "changed from 10 to 5 and back: {} objects at once, max_size {}",
        taken.len(), pool.status().max_size,
    );
}
RUST
output=$(cargo run --quiet)
echo "$output"
[ "$output" = "changed from 10 to 5: 10 objects at once, max_size 5, size 10
changed from 10 to 5 and back: 15 objects at once, max_size 10" ]
