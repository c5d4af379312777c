//! Real servers for a longer time: faults under load, and a million rows; and in virtual time faults at each step and byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "it uses a part of what the real tier has")]

mod bulk;
#[path = "../it/faults.rs"]
mod faults;
#[path = "../real/harness.rs"]
mod harness;
#[path = "../real/instance.rs"]
mod instance;
#[path = "../real/kills.rs"]
mod kills;
#[path = "../real/load.rs"]
mod load;
#[path = "../real/network.rs"]
mod network;
#[path = "../real/pgbouncer.rs"]
mod pgbouncer;
#[path = "../real/restarts.rs"]
mod restarts;
#[path = "../real/storms.rs"]
mod storms;
#[path = "../real/test_host.rs"]
mod test_host;
#[path = "../real/tunnel.rs"]
mod tunnel;

use std::{alloc::System, time::Duration};

use evenkeel_postgres::{PoolMode, Prepared, TxOptions};
use evenkeel_testkit::alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::{
    kills::{Route, backends_are_killed},
    network::the_network_fails,
    restarts::{a_standby_takes_over, servers_are_restarted},
    storms::one_row_is_incremented,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LONG: Duration = Duration::from_secs(30);

#[test]
#[ignore = "soak"]
fn half_a_minute_of_killed_backends_loses_and_doubles_nothing() {
    backends_are_killed(Route::Direct(Prepared::Named), LONG);
}

#[test]
#[ignore = "soak"]
fn half_a_minute_of_killed_backends_behind_a_pooler_loses_and_doubles_nothing() {
    backends_are_killed(Route::Pooler(PoolMode::Session), LONG);
    backends_are_killed(Route::Pooler(PoolMode::Transaction), LONG);
}

#[test]
#[ignore = "soak"]
fn ten_restarts_lose_and_double_nothing() {
    servers_are_restarted(10);
}

#[test]
#[ignore = "soak"]
fn a_failover_of_ten_seconds_loses_and_doubles_nothing() {
    a_standby_takes_over(Duration::from_secs(10));
}

#[test]
#[ignore = "soak"]
fn half_a_minute_of_a_failing_network_loses_and_doubles_nothing() {
    the_network_fails(LONG);
}

#[test]
#[ignore = "soak"]
fn a_long_storm_of_conflicts_has_the_exact_sum() {
    one_row_is_incremented(50, 100, TxOptions::serializable);
}

#[test]
#[ignore = "soak"]
fn a_fault_at_each_step() {
    assert!(faults::at_steps(|_| true) > 500, "the faults had no effect");
}

#[test]
#[ignore = "soak"]
fn a_cut_at_each_byte() {
    faults::at_bytes(|_| true);
}
