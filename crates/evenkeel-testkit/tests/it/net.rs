//! The network in memory.

use std::future::Future;

use evenkeel_testkit::{
    net::{Link, MemNet, MemStream},
    probe::meter,
};

mod cancel;
mod change;
mod connect;
mod counts;
mod end;
mod model;
mod refused;
mod stream;
mod toxics;

const ADDRESS: &str = "server.test:1";

/// A client, its server, and the link between them.
async fn connected(net: &MemNet) -> (MemStream, MemStream, Link) {
    let mut listener = net.listen(ADDRESS).expect("a free address");
    let client = net.connect(ADDRESS).await.expect("a connection");
    (client, listener.accept().await, net.link(ADDRESS))
}

/// The output of a future, and the number of its polls.
async fn polls<F: Future>(future: F) -> (F::Output, u64) {
    let (output, counts) = meter(future).await;
    (output, counts.polls)
}
