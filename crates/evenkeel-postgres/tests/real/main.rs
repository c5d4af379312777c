//! A real server, in real time: the one at `EVENKEEL_TEST_POSTGRES`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abandoned;
mod endings;
mod failures;
mod harness;
mod leaks;
mod out_of_date;
mod queries;
mod sessions;
mod transactions;
mod tunnel;
