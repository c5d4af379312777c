//! The histories of the suite, a million times; and processes that share a quota.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![cfg_attr(
    all(feature = "redis", unix),
    expect(dead_code, reason = "it uses a part of what the real tier has")
)]

#[cfg(all(feature = "redis", unix))]
mod distributed;
mod hang;
#[path = "../it/rate_bound_seeds.rs"]
mod rate_bound_seeds;
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
    rate_bound_seeds::run(1_000_000);
}

#[test]
#[ignore = "soak"]
fn no_worker_hangs_in_a_minute() {
    hang::run(60);
}
