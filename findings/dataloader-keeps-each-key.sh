#!/usr/bin/env bash
# A loader of dataloader without a cache keeps the key of each load that succeeded.
#
# Seen with dataloader 0.18.0. A thousand keys are loaded one after the other, each with a result, by a `non_cached::Loader`:
#
#     loaded 1000, and the loader keeps 1000 of the keys
#
# A result goes into a map by `HashMap::insert`, which returns the value that was there before. The loader takes its `None` for
# "no result" and puts the key among the failed ones as well; it takes a key from there only for a load that failed. So a loader
# that lives as long as its server, as one without a cache may, grows by a key with each load.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with dataloader 0.18.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "keeps-keys"
version = "0.0.0"
edition = "2024"

[dependencies]
dataloader = "=0.18.0"
tokio = { version = "1", features = ["macros", "rt"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{collections::HashMap, sync::Arc};

use dataloader::{BatchFn, non_cached::Loader};

struct Double;

impl BatchFn<Arc<u32>, u32> for Double {
    async fn load(&mut self, keys: &[Arc<u32>]) -> HashMap<Arc<u32>, u32> {
        keys.iter().map(|key| (key.clone(), **key * 2)).collect()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let loader = Loader::new(Double);
    let keys: Vec<Arc<u32>> = (0..1000).map(Arc::new).collect();
    let mut loaded = 0;
    for key in &keys {
        loaded += u32::from(loader.try_load(key.clone()).await.unwrap() == **key * 2);
    }
    let kept = keys.iter().filter(|key| Arc::strong_count(key) > 1).count();
    println!("loaded {loaded}, and the loader keeps {kept} of the keys");
    drop(loader);
    assert!(keys.iter().all(|key| Arc::strong_count(key) == 1));
}
RUST
expected="loaded 1000, and the loader keeps 1000 of the keys"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
