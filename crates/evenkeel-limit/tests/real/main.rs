//! A real Redis and a real Valkey, in real time: those at `EVENKEEL_TEST_REDIS` and `EVENKEEL_TEST_VALKEY`, and private
//! ones that are killed and paused.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod connection;
mod failover;
#[cfg(feature = "inspect")]
mod inspect;
mod processes;
mod redis;
mod replies;
mod script;
mod server;
mod suite;
mod worker;
