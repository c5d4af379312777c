//! Faults of servers and networks under load, each for a short time; `tests/soak/` has the long forms.

use std::time::Duration;

use evenkeel_postgres::PoolMode;

use crate::kills::{Route, backends_are_killed};

const SHORT: Duration = Duration::from_secs(3);

#[test]
#[ignore = "real tier"]
fn killed_backends_lose_and_double_nothing() {
    backends_are_killed(Route::Direct, SHORT);
}

#[test]
#[ignore = "real tier"]
fn killed_backends_behind_a_pooler_lose_and_double_nothing() {
    backends_are_killed(Route::Pooler(PoolMode::Session), SHORT);
    backends_are_killed(Route::Pooler(PoolMode::Transaction), SHORT);
}
