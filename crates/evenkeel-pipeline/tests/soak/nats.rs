//! NATS: messages under kills, and leases for a long time.

#[path = "../real/nats/harness.rs"]
mod harness;
#[cfg(feature = "postgres")]
mod kills;
mod leases;
#[path = "../real/nats/server.rs"]
mod server;
