//! The network in memory.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use evenkeel_testkit::net::{Link, MemNet, MemStream};

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

/// The output of a future, and how often it was polled.
async fn polls<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    let mut polls = 0;
    let output = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    (output, polls)
}
