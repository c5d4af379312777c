//! What `evenkeel-pool` promises, by behaviour.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "deadpool")]
mod adopt;
mod backoff;
mod cancel;
mod checkout;
mod close;
mod failure;
mod gates;
mod history;
mod hostile;
mod pins;
mod report;
mod scripted;
#[cfg(feature = "tracing")]
mod spans;
mod threads;
