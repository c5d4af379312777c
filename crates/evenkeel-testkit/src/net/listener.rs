//! `MemListener`, the server's side of an address.

use std::{fmt, future::pending};

use tokio::sync::mpsc;

use super::stream::MemStream;

/// Listens on an address of a [`MemNet`](super::MemNet).
///
/// Connections wait in a bounded backlog to be accepted; beyond it, connects wait, first come, first served.
/// Dropping it resets the connections that were not accepted, and frees the address.
pub struct MemListener {
    address: String,
    backlog: mpsc::Receiver<MemStream>,
}

impl MemListener {
    pub(super) fn new(address: &str, backlog: mpsc::Receiver<MemStream>) -> Self {
        MemListener { address: address.to_owned(), backlog }
    }

    /// Waits for the next connection.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    ///
    /// World::run(async |_| {
    ///     let net = MemNet::new();
    ///     let mut listener = net.listen("api.test:80").unwrap();
    ///     let worker = net.at("worker");
    ///     let (client, server) = tokio::join!(worker.connect("api.test:80"), listener.accept());
    ///     assert_eq!((client.unwrap().peer(), server.peer()), ("api.test:80", "worker"));
    /// });
    /// ```
    pub async fn accept(&mut self) -> MemStream {
        match self.backlog.recv().await {
            Some(stream) => stream,
            // The network is gone, and nobody can connect any more.
            None => pending().await,
        }
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for MemListener {
    fn drop(&mut self) {
        self.backlog.close();
        while let Ok(stream) = self.backlog.try_recv() {
            stream.reset();
        }
    }
}

impl fmt::Debug for MemListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemListener").field("address", &self.address).finish_non_exhaustive()
    }
}
