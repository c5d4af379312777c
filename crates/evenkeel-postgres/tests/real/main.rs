//! Real servers, in real time: those at `EVENKEEL_TEST_POSTGRES` and `EVENKEEL_TEST_POSTGRES18`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abandoned;
mod batch;
mod bulk;
#[cfg(all(unix, feature = "rustls"))]
mod certificates;
mod copy_end;
mod failures;
mod faults;
mod harness;
mod hosts;
#[cfg(feature = "inspect")]
mod inspect;
mod instance;
mod kills;
mod leaks;
mod listen;
mod load;
mod network;
mod pgbouncer;
mod pooler;
mod queries;
mod restarts;
mod server_timeouts;
mod sessions;
mod stale_statements;
mod storms;
mod test_host;
#[cfg(all(unix, feature = "rustls"))]
mod tls;
#[cfg(all(unix, feature = "rustls"))]
mod tls_cluster;
#[cfg(all(unix, feature = "rustls"))]
mod tls_links;
mod transaction_mode;
mod transactions;
mod tunnel;
mod tx_end;
mod types;
