//! Faults of servers and networks under load, each for a short time; `tests/soak/` has the long forms.

use std::time::Duration;

use evenkeel_postgres::{PoolMode, Prepared, TxOptions};

use crate::{
    kills::{Route, backends_are_killed},
    network::the_network_fails,
    restarts::{a_server_has_no_connection_left, a_standby_takes_over, servers_are_restarted},
    storms::one_row_is_incremented,
};

const SHORT: Duration = Duration::from_secs(3);

#[test]
#[ignore = "real tier"]
fn killed_backends_lose_and_double_nothing() {
    backends_are_killed(Route::Direct(Prepared::Named), SHORT);
    backends_are_killed(Route::Direct(Prepared::Unnamed), SHORT);
}

#[test]
#[ignore = "real tier"]
fn killed_backends_behind_a_pooler_lose_and_double_nothing() {
    backends_are_killed(Route::Pooler(PoolMode::Session), SHORT);
    backends_are_killed(Route::Pooler(PoolMode::Transaction), SHORT);
}

#[test]
#[ignore = "real tier"]
fn restarts_lose_and_double_nothing() {
    servers_are_restarted(2);
}

#[test]
#[ignore = "real tier"]
fn a_failover_loses_and_doubles_nothing() {
    a_standby_takes_over(Duration::from_secs(2));
}

#[test]
#[ignore = "real tier"]
fn a_server_without_a_connection_is_told_and_recovers() {
    a_server_has_no_connection_left();
}

#[test]
#[ignore = "real tier"]
fn storms_of_conflicts_have_the_exact_sum() {
    one_row_is_incremented(50, 2, TxOptions::serializable);
    one_row_is_incremented(50, 2, TxOptions::repeatable_read);
}

#[test]
#[ignore = "real tier"]
fn a_network_that_fails_loses_and_doubles_nothing() {
    the_network_fails(SHORT);
}
