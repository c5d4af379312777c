#!/usr/bin/env bash
# A policy of retry-policies allows a retry after the total duration.
#
# Seen with retry-policies 0.5.2, which has the policies of reqwest-retry. Its documentation says of a retry that "ends up being
# scheduled after total duration", because attempts took long: "`ExponentialBackoff::should_retry` will return false". A policy
# for 60 seconds in all has delays of 1 s, 2 s, 4 s and so on. It is asked after 55 seconds and four retries, and after 60:
#
#     at most 5 retries in 60 s
#     after 55 s: a retry 71 s after the start
#     after 60 s: no retry
#
# The policy compares the time that has passed with the total duration, and leaves out the delay that is still to come
# (`ExponentialBackoffTimed::trying_for_too_long`). So the total duration may be exceeded by as much as the longest delay.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with retry-policies 0.5.2"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "retries-late"
version = "0.0.0"
edition = "2024"

[dependencies]
retry-policies = "=0.5.2"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::{Duration, SystemTime};

use retry_policies::{Jitter, RetryDecision, RetryPolicy, policies::ExponentialBackoff};

fn main() {
    let total = Duration::from_secs(60);
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_secs(1), total)
        .jitter(Jitter::None)
        .build_with_total_retry_duration_and_limit_retries(total);
    println!("at most {} retries in {} s", policy.max_retries().unwrap(), total.as_secs());
    for passed in [55, 60] {
        let start = SystemTime::now() - Duration::from_secs(passed);
        match policy.should_retry(start, 4) {
            RetryDecision::Retry { execute_after } => {
                let at = execute_after.duration_since(start).unwrap().as_secs();
                println!("after {passed} s: a retry {at} s after the start");
            }
            RetryDecision::DoNotRetry => println!("after {passed} s: no retry"),
        }
    }
}
RUST
expected="at most 5 retries in 60 s
after 55 s: a retry 71 s after the start
after 60 s: no retry"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
