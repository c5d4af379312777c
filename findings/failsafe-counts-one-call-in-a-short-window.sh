#!/usr/bin/env bash
# A circuit breaker of failsafe with a window below one second opens at one failure in two hundred calls.
#
# Seen with failsafe 1.3.0. A breaker opens when less than 80 % of the calls within its window succeed. Two hundred calls that
# succeed, 6 ms apart, are followed by one that fails. With a window of 900 ms, and with one of 1 s:
#
#     900 ms: 200 successes and 1 failure, then calls are rejected
#     1000 ms: 200 successes and 1 failure, then calls are permitted
#
# The rate is an average that forgets by the window, which is taken in whole seconds (`success_rate_over_time_window`): 900 ms
# are 0 s, and with those the last call counts alone (`Ema::update`); 1.9 s are as much as 1 s. The calls are counted by
# the window in milliseconds, so the minimum of requests holds.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with failsafe 1.3.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "opens-at-one-failure"
version = "0.0.0"
edition = "2024"

[dependencies]
failsafe = { version = "=1.3.0", default-features = false }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{thread::sleep, time::Duration};

use failsafe::{CircuitBreaker, Config, backoff, failure_policy::success_rate_over_time_window};

fn main() {
    for window in [900, 1000] {
        let open = backoff::constant(Duration::from_secs(60));
        let policy = success_rate_over_time_window(0.8, 1, Duration::from_millis(window), open);
        let breaker = Config::new().failure_policy(policy).build();
        let mut successes = 0;
        for _ in 0..200 {
            sleep(Duration::from_millis(6));
            successes += u32::from(breaker.call(|| Ok::<_, ()>(())).is_ok());
        }
        breaker.call(|| Err::<(), _>(())).unwrap_err();
        let then = if breaker.is_call_permitted() { "permitted" } else { "rejected" };
        println!("{window} ms: {successes} successes and 1 failure, then calls are {then}");
    }
}
RUST
expected="900 ms: 200 successes and 1 failure, then calls are rejected
1000 ms: 200 successes and 1 failure, then calls are permitted"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
