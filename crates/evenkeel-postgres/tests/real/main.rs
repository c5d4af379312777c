//! A real server, in real time: the one at `EVENKEEL_TEST_POSTGRES`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abandoned;
mod failures;
mod harness;
mod queries;
mod sessions;
mod transactions;
mod tunnel;
