//! How do I find a call that blocks the loop? By a test: a world fails if a task computes for long without an `await`.

use std::{hint::black_box, time::Duration};

use evenkeel_testkit::World;

/// Parses a megabyte, say: it does not await.
async fn parse() -> u32 {
    (0..2_000_000).fold(0, |sum: u32, n| black_box(sum.wrapping_add(n)))
}

#[test]
#[cfg_attr(target_os = "linux", should_panic = "blocked: the thread computed for")]
fn parsing_does_not_block_the_loop() {
    World::builder().block_limit(Duration::from_micros(100)).run(async |_| parse().await);
}
