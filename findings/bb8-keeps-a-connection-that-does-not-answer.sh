#!/usr/bin/env bash
# A pool of bb8 keeps a connection whose server no longer answers, and lends no other one, though it has room.
#
# Seen with bb8 0.9.1. A pool for two connections has one, whose server no longer answers the check (`is_valid`), like one
# behind a cable that was cut. Any new connection would be sound. Three callers come one after the other:
#
#     each of 3 callers: Timed out in bb8, after 5 s; connections made: 1
#     with a time limit in the check: connection 2, after 1 s; connections made: 2
#
# The time limit of the pool drops the check with the connection in it, which then returns to the pool as a sound one: it is
# taken for one that was used and brought back (`PoolInner::get`). So the manager has to put a limit to its check that is
# shorter, as in the second case; that of bb8-postgres 0.9.0 has none.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with bb8 0.9.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "keeps-a-dead-connection"
version = "0.0.0"
edition = "2024"

[dependencies]
bb8 = "=0.9.1"
tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{future::pending, io, sync::atomic::{AtomicU32, Ordering::SeqCst}, time::Duration};

use bb8::{ManageConnection, Pool};
use tokio::time::{Instant, timeout};

/// Makes connections 1, 2 and so on; the check of the first one is never answered.
struct Server {
    made: AtomicU32,
    check_limit: Duration,
}

impl ManageConnection for Server {
    type Connection = u32;
    type Error = io::Error;

    async fn connect(&self) -> io::Result<u32> {
        Ok(self.made.fetch_add(1, SeqCst) + 1)
    }

    async fn is_valid(&self, connection: &mut u32) -> io::Result<()> {
        if *connection == 1 {
            timeout(self.check_limit, pending::<()>()).await?;
        }
        Ok(())
    }

    fn has_broken(&self, _: &mut u32) -> bool {
        false
    }
}

async fn call(check_limit: Duration, callers: usize) -> Vec<String> {
    let server = Server { made: AtomicU32::new(0), check_limit };
    let pool = Pool::builder()
        .max_size(2)
        .connection_timeout(Duration::from_secs(5))
        .build_unchecked(server);
    let mut outcomes = Vec::new();
    for _ in 0..callers {
        let begun = Instant::now();
        let outcome = match pool.get().await {
            Ok(connection) => format!("connection {}", *connection),
            Err(error) => error.to_string(),
        };
        let made = pool.state().statistics.connections_created;
        outcomes.push(format!("{outcome}, after {} s; connections made: {made}", begun.elapsed().as_secs()));
    }
    outcomes
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let outcomes = call(Duration::MAX, 3).await;
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    println!("each of 3 callers: {}", outcomes[0]);
    println!("with a time limit in the check: {}", call(Duration::from_secs(1), 1).await[0]);
}
RUST
expected="each of 3 callers: Timed out in bb8, after 5 s; connections made: 1
with a time limit in the check: connection 2, after 1 s; connections made: 2"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
