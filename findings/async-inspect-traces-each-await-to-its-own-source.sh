#!/usr/bin/env bash
# async-inspect traces each await to a place in its own source, and tells of no task that it is blocked there.
#
# Seen with async-inspect 0.2.0 and async-inspect-macros 0.2.0. A function with `#[async_inspect::trace]` awaits a `Notify`, half a
# second long. Then its task, the place of its await, and the number of tasks in `Inspector::get_blocked_tasks` are:
#
#     store is Pending
#     store::await#1 at async-inspect-macros-0.2.0/src/lib.rs:97
#     blocked: 0
#
# The macro calls `file!()` and `line!()` while it expands, which gives its own place for each await of each program, and not that
# in the source of the user. What it puts in front of an await (`inspect_await_start`) adds an event, and leaves the state of the
# task as it is: `Blocked` is only set by `Inspector::await_started`. The README names both: "which `.await` you're blocked on".
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with async-inspect 0.2.0, async-inspect-macros 0.2.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "where-it-awaits"
version = "0.0.0"
edition = "2024"

[dependencies]
async-inspect = { version = "=0.2.0", default-features = false, features = ["tokio"] }
async-inspect-macros = "=0.2.0"
tokio = { version = "=1.47.1", features = ["macros", "rt", "sync", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{sync::Arc, time::Duration};

use async_inspect::{inspector::Inspector, timeline::EventKind};
use tokio::{spawn, sync::Notify, time::sleep};

#[async_inspect::trace]
async fn store(is_full: Arc<Notify>) {
    is_full.notified().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let is_full = Arc::new(Notify::new());
    let task = spawn(store(is_full.clone()));
    sleep(Duration::from_millis(500)).await;
    let inspector = Inspector::global();
    for task in inspector.get_all_tasks() {
        println!("{} is {:?}", task.name, task.state);
        for event in inspector.get_task_events(task.id) {
            if let EventKind::AwaitStarted { await_point, location } = event.kind {
                let location = location.unwrap_or_default();
                let package = location.find("async-inspect-macros-").unwrap_or(0);
                println!("{await_point} at {}", &location[package..]);
            }
        }
    }
    println!("blocked: {}", inspector.get_blocked_tasks().len());
    is_full.notify_one();
    task.await.unwrap();
}
RUST
output=$(cargo --quiet run)
echo "$output"
expected="store is Pending
store::await#1 at async-inspect-macros-0.2.0/src/lib.rs:97
blocked: 0"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
