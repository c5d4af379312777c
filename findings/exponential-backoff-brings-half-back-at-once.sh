#!/usr/bin/env bash
# Half of the clients of exponential-backoff that fail at the same moment come back at the same moment.
#
# Seen with exponential-backoff 2.1.1, "an exponential backoff generator with jitter", with its jitter of 0.3. The first delays of
# ten thousand clients, whose minimum is 100 ms, fall into these ranges:
#
#     exactly 100 ms: about half; above 100 ms and below 115 ms: 0; 115 ms to 129 ms: about half
#
# The jitter takes up to 29 % away from one half of the delays, and adds between 15 % and 29 % to the other half: it halves the
# random number where it adds (`IntoIter::next`). The minimum then makes all those that were shortened equal. The maximum
# does the same to all delays that the jitter lets exceed it.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with exponential-backoff 2.1.1"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "comes-back-together"
version = "0.0.0"
edition = "2024"

[dependencies]
exponential-backoff = "=2.1.1"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::Duration;

use exponential_backoff::Backoff;

fn main() {
    let (minimum, maximum) = (Duration::from_millis(100), Duration::from_secs(10));
    let firsts: Vec<Duration> = (0..10_000)
        .map(|_| Backoff::new(3, minimum, maximum).into_iter().next().unwrap().unwrap())
        .collect();
    let count = |from: u64, to: u64| {
        let range = Duration::from_micros(from)..Duration::from_micros(to);
        let count = firsts.iter().filter(|delay| range.contains(delay)).count();
        if (4500..5500).contains(&count) { "about half".to_owned() } else { count.to_string() }
    };
    println!(
        "exactly 100 ms: {}; above 100 ms and below 115 ms: {}; 115 ms to 129 ms: {}",
        count(100_000, 100_001), count(100_001, 115_000), count(115_000, 129_001),
    );
}
RUST
expected="exactly 100 ms: about half; above 100 ms and below 115 ms: 0; 115 ms to 129 ms: about half"
output=$(cargo run --quiet)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
