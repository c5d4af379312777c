//! NATS with JetStream: 2.9.10 or what the system has at `EVENKEEL_TEST_NATS`, and 2.14 at `EVENKEEL_TEST_NATS214`.

#[cfg(feature = "inspect")]
mod at_server;
mod cancel;
mod checkpoint;
mod consumer;
mod dead;
#[expect(dead_code, reason = "the soak tests use all of it")]
mod harness;
mod hostile;
mod kills;
mod leases;
#[cfg(feature = "postgres")]
mod outbox;
mod pulls;
#[expect(dead_code, reason = "the soak tests use all of it")]
mod server;
mod sink;
