//! Real servers, in real time: PostgreSQL at `EVENKEEL_TEST_POSTGRES` and `EVENKEEL_TEST_POSTGRES18`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod pg_leases;
mod pg_queue;
