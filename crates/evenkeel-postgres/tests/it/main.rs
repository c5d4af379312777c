//! In virtual time, against a scripted server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abandoned;
mod cancel;
mod compiles;
mod connect;
mod errors;
mod faults;
#[cfg(feature = "inspect")]
mod inspect;
mod mock;
mod rows;
mod scripted_server;
mod sessions;
mod tls;
mod transactions;
mod tx_end;
