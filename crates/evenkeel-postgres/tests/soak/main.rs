//! Real servers for a longer time: faults under load, and a million rows.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "it uses a part of what the real tier has")]

#[path = "../real/harness.rs"]
mod harness;
#[path = "../real/kills.rs"]
mod kills;
#[path = "../real/load.rs"]
mod load;
#[path = "../real/pgbouncer.rs"]
mod pgbouncer;
#[path = "../real/test_host.rs"]
mod test_host;
#[path = "../real/tunnel.rs"]
mod tunnel;

use std::time::Duration;

use evenkeel_postgres::PoolMode;

use self::kills::{Route, backends_are_killed};

const LONG: Duration = Duration::from_secs(30);

#[test]
#[ignore = "soak"]
fn half_a_minute_of_killed_backends_loses_and_doubles_nothing() {
    backends_are_killed(Route::Direct, LONG);
}

#[test]
#[ignore = "soak"]
fn half_a_minute_of_killed_backends_behind_a_pooler_loses_and_doubles_nothing() {
    backends_are_killed(Route::Pooler(PoolMode::Session), LONG);
    backends_are_killed(Route::Pooler(PoolMode::Transaction), LONG);
}
