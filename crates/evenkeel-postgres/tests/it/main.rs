//! In virtual time, against a server that does as it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abandoned;
mod cancel;
mod connect;
mod endings;
mod errors;
mod pins;
mod sessions;
mod transactions;
mod wire;
