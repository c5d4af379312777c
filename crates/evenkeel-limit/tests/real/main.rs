//! A real Redis, in real time: the one at `EVENKEEL_TEST_REDIS`, and private ones that are killed and paused.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod processes;
mod redis;
mod script;
mod server;
mod suite;
mod worker;
