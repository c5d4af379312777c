#!/usr/bin/env bash
# A restart of task-supervisor that a kill replaced succeeds, and so does a kill that a restart replaced.
#
# Seen with task-supervisor 0.5.2. Its documentation says that `restart_task` "returns once the new run is Running", and that
# `kill_task` "Stops a task permanently and returns once it is Dead". A task takes a second to stop, and two callers ask
# for the one and for the other in that time:
#
#     restart: Ok(()), then kill: Ok(()); the task is Dead after 1 runs
#     kill: Ok(()), then restart: Ok(()); the task is Running after 2 runs
#
# The last request decides what happens when the run has ended, and then all that wait are told that theirs has happened
# (`Supervisor::on_run_exit`). So the first caller is told of a new run that there is not, or of an end that there is not.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with task-supervisor 0.5.2"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "replaces-a-restart"
version = "0.0.0"
edition = "2024"

[dependencies]
task-supervisor = "=0.5.2"
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{sync::{Arc, atomic::{AtomicU32, Ordering::SeqCst}}, time::Duration};

use task_supervisor::{CancellationToken, SupervisedTask, SupervisorBuilder, SupervisorHandle, TaskResult};
use tokio::time::sleep;

#[derive(Clone, Default)]
struct Worker {
    runs: Arc<AtomicU32>,
}

impl SupervisedTask for Worker {
    async fn run(self, cancel: CancellationToken) -> TaskResult {
        self.runs.fetch_add(1, SeqCst);
        cancel.cancelled().await;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

/// A supervisor with one worker, which runs.
async fn start(worker: &Worker) -> SupervisorHandle {
    let handle = SupervisorBuilder::new().with_task("worker", worker.clone()).spawn();
    sleep(Duration::from_secs(1)).await;
    handle
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let worker = Worker::default();
    let handle = start(&worker).await;
    let (restart, kill) = tokio::join!(biased; handle.restart_task("worker"), handle.kill_task("worker"));
    let status = handle.task_status("worker").await.unwrap();
    println!("restart: {restart:?}, then kill: {kill:?}; the task is {status:?} after {} runs", worker.runs.load(SeqCst));

    let worker = Worker::default();
    let handle = start(&worker).await;
    let (kill, restart) = tokio::join!(biased; handle.kill_task("worker"), handle.restart_task("worker"));
    let status = handle.task_status("worker").await.unwrap();
    println!("kill: {kill:?}, then restart: {restart:?}; the task is {status:?} after {} runs", worker.runs.load(SeqCst));
}
RUST
output=$(cargo run --quiet)
echo "$output"
expected="restart: Ok(()), then kill: Ok(()); the task is Dead after 1 runs
kill: Ok(()), then restart: Ok(()); the task is Running after 2 runs"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
