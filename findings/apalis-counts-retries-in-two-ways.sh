#!/usr/bin/env bash
# Three retries of apalis are three for a worker, and two for a task; a task that asks for more than its worker gets those of its worker.
#
# Seen with apalis 1.0.0. A worker makes three retries, unless a task says otherwise (`RetryPolicy::retries(3).from_task_config()`:
# "respect per-task retry configuration or else default to the underlying policy"). Four tasks fail each time that they run:
#
#     a task without its own retries: 4 runs
#     a task with 1 retries: 1 runs
#     a task with 3 retries: 3 runs
#     a task with 5 retries: 4 runs
#
# The worker retries while the number of runs is no more than its retries; the number of a task has to be greater than the runs
# (`FromTaskConfigPolicy::retry`). When that lets a task pass, the policy of the worker is asked as well, so its number
# bounds that of the task, and by default it is none (`FromTaskConfigPolicy::default`).
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with apalis 1.0.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "counts-retries"
version = "0.0.0"
edition = "2024"

[dependencies]
apalis = { version = "=1.0.0", default-features = false, features = ["retry"] }
apalis-core = "=1.0.0"
futures-util = { version = "0.3", features = ["sink"] }
tokio = { version = "1", features = ["macros", "rt", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{collections::BTreeMap, sync::{Arc, Mutex}, time::Duration};

use apalis::{layers::retry::RetryMetadataExt, prelude::*};
use futures_util::SinkExt;

/// The runs of each task, by the retries that it asks for.
type Runs = Arc<Mutex<BTreeMap<usize, u32>>>;

async fn fail(task: usize, runs: Data<Runs>) -> Result<(), BoxDynError> {
    *runs.lock().unwrap().entry(task).or_default() += 1;
    Err("down".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let runs = Runs::default();
    let mut tasks = MemoryStorage::new();
    tasks.send(TaskBuilder::new(0).build()).await.unwrap();
    for retries in [1, 3, 5] {
        tasks.send(TaskBuilder::new(retries).retries(retries).build()).await.unwrap();
    }
    let worker = WorkerBuilder::new("worker")
        .backend(tasks)
        .data(runs.clone())
        .retry(RetryPolicy::retries(3).from_task_config())
        .build(fail);
    // It goes on to wait for tasks when these are done, which takes no time.
    tokio::time::timeout(Duration::from_secs(3), worker.run()).await.unwrap_err();
    for (task, runs) in &*runs.lock().unwrap() {
        let asks = if *task == 0 { "without its own".to_owned() } else { format!("with {task}") };
        println!("a task {asks} retries: {runs} runs");
    }
}
RUST
output=$(cargo run --quiet)
echo "$output"
expected="a task without its own retries: 4 runs
a task with 1 retries: 1 runs
a task with 3 retries: 3 runs
a task with 5 retries: 4 runs"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
