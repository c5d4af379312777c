//! Real servers, in real time: PostgreSQL at `EVENKEEL_TEST_POSTGRES` and `EVENKEEL_TEST_POSTGRES18`, NATS at
//! `EVENKEEL_TEST_NATS` and `EVENKEEL_TEST_NATS214`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking; without features there is none")]

#[cfg(any(feature = "postgres", all(feature = "nats", unix)))]
mod cut;
#[cfg(feature = "postgres")]
mod harness;
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../evenkeel-postgres/tests/real/instance.rs"]
#[expect(dead_code, reason = "the tests of evenkeel-postgres use all of it")]
mod instance;
#[cfg(all(feature = "nats", unix))]
mod nats;
#[cfg(feature = "postgres")]
mod pg_cancel;
#[cfg(feature = "postgres")]
mod pg_cursor;
#[cfg(feature = "postgres")]
mod pg_dead;
#[cfg(feature = "postgres")]
mod pg_drain;
#[cfg(all(feature = "postgres", unix))]
mod pg_failures;
#[cfg(feature = "postgres")]
mod pg_hostile;
#[cfg(feature = "postgres")]
mod pg_inbox;
#[cfg(feature = "postgres")]
mod pg_leases;
#[cfg(feature = "postgres")]
mod pg_plans;
#[cfg(all(feature = "postgres", unix))]
mod pg_processes;
#[cfg(feature = "postgres")]
mod pg_queue;
#[cfg(all(feature = "postgres", unix))]
mod pg_round_trips;
#[cfg(feature = "postgres")]
mod pg_statements;
#[cfg(all(feature = "postgres", unix))]
mod worker;
