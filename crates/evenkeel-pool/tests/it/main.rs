//! The promises of `evenkeel-pool`, by behavior.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backoff;
#[cfg(feature = "bb8")]
mod bb8;
mod cancel;
mod checkout;
mod close;
mod combinations;
mod compiles;
mod deadlock;
#[cfg(feature = "deadpool")]
mod deadpool;
mod explorer;
mod extremes;
mod failure;
mod from_fn;
mod history;
mod hostile;
mod product;
mod reset;
mod scripted;
mod settings;
#[cfg(feature = "tracing")]
mod telemetry;
mod threads;
mod timeout;
mod try_get;
mod upkeep;
