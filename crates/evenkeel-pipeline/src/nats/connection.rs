//! The connection over which a message has come.
//!
//! A server that has been killed, and started again, may not know deliveries over an earlier one.

use std::sync::atomic::Ordering::Relaxed;

use async_nats::Client;
use tokio::time::Instant;

/// A connection to a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    /// The client counts them.
    pub(super) number: u32,
    /// An instant at which it was there already.
    seen: Instant,
}

impl Connection {
    pub(super) fn new(client: &Client) -> Self {
        Self { number: number(client), seen: Instant::now() }
    }

    /// Returns the number of the connection over which a message has come that has not left before an instant; another one if
    /// that may have been an earlier one.
    pub(super) fn of(self, since: Instant) -> u32 {
        if since >= self.seen { self.number } else { self.number.wrapping_sub(1) }
    }
}

/// The number of the client's connection.
pub(super) fn number(client: &Client) -> u32 {
    client.statistics().connects.load(Relaxed) as u32
}
