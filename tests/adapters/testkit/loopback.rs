//! Fake servers on the loopback, whose clients take real time.

use std::{future::Future, net::SocketAddr};

use evenkeel_tck::testkit::{Connecting, Connection};
use tokio::{net::TcpStream, runtime::Builder};

/// Runs a test in real time.
pub(super) fn in_real_time(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("the system can make a runtime").block_on(test);
}

/// Connects to a server, also to one that has ended.
pub(super) fn connect(address: SocketAddr) -> Connecting {
    Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Connection>) })
}
