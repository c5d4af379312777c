//! What the suite does ten thousand times, a million times; and processes that share a quota.
#![cfg_attr(
    all(feature = "redis", unix),
    expect(
        clippy::unwrap_used,
        dead_code,
        reason = "it uses a part of what the real tier has, and fails by panicking"
    )
)]

#[cfg(all(feature = "redis", unix))]
mod distributed;
#[path = "../it/many_windows.rs"]
mod many_windows;
#[cfg(all(feature = "redis", unix))]
#[path = "../real/redis.rs"]
mod redis;
#[cfg(all(feature = "redis", unix))]
#[path = "../real/server.rs"]
mod server;
#[cfg(all(feature = "redis", unix))]
#[path = "../real/worker.rs"]
mod worker;

#[test]
#[ignore = "soak"]
fn a_million_histories_keep_to_their_limits() {
    many_windows::run(1_000_000);
}
