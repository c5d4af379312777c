#!/usr/bin/env bash
# Delays of backon that add up to the total delay are not all made.
#
# Seen with backon 1.6.0. Its exponential delays begin at 100 ms and double. `with_total_delay` stops them once the sum "would
# exceed `total_delay`". With 300 ms there is room for two, and one is made:
#
#     without a limit: [100ms, 200.000003ms, 400.000006ms]; tokio sleeps 201ms for the second one
#     300 ms in all: [100ms]
#     1 s, and 3 s in all: [1s, 2s]
#
# The factor is an `f32`, and so the delay is multiplied as one: the `f32` that is the closest to a tenth is greater than that,
# and stays so when it is doubled (`saturating_mul`). A factor of two is exact for delays that an `f32` can express, like whole seconds.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with backon 1.6.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "leaves-out-a-delay"
version = "0.0.0"
edition = "2024"

[dependencies]
backon = { version = "=1.6.0", default-features = false, features = ["std"] }
tokio = { version = "=1.47.1", features = ["macros", "rt", "test-util", "time"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

fn delays(first: Duration, total: Option<Duration>) -> Vec<Duration> {
    let delays = ExponentialBuilder::new().with_min_delay(first).with_factor(2.0).with_max_times(3);
    delays.with_total_delay(total).build().collect()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let (ms, secs) = (Duration::from_millis, Duration::from_secs);
    let all = delays(ms(100), None);
    let begun = Instant::now();
    sleep(all[1]).await;
    println!("without a limit: {all:?}; tokio sleeps {:?} for the second one", begun.elapsed());
    println!("300 ms in all: {:?}", delays(ms(100), Some(ms(300))));
    println!("1 s, and 3 s in all: {:?}", delays(secs(1), Some(secs(3))));
}
RUST
output=$(cargo run --quiet)
echo "$output"
expected="without a limit: [100ms, 200.000003ms, 400.000006ms]; tokio sleeps 201ms for the second one
300 ms in all: [100ms]
1 s, and 3 s in all: [1s, 2s]"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
