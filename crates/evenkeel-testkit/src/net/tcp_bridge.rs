//! Copies between TCP sockets and a network in memory.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{mem_net::MemNet, stream::MemStream};

/// Binds a free port of loopback.
pub(crate) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Connects each accepted socket to an address of the network.
pub(crate) async fn forward_to_net(listener: TcpListener, net: MemNet, address: String) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            // The process may be out of sockets; some may be closed soon.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (net, address) = (net.clone(), address.clone());
        connections.spawn(async move {
            match net.connect(&address).await {
                Ok(stream) => splice(tcp, stream).await,
                Err(_) => reset(tcp),
            }
        });
    }
}

/// Copies both directions until both have ended; a reset of one side resets the other.
pub(crate) async fn splice(mut tcp: TcpStream, mut stream: MemStream) {
    // The link alone decides about latency: small pieces must not wait for others.
    let _ = tcp.set_nodelay(true);
    match copy_bidirectional(&mut tcp, &mut stream).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            reset(tcp);
            stream.reset();
        }
        _ => {}
    }
}

/// Closes a socket so that the other side sees it reset.
pub(crate) fn reset(tcp: TcpStream) {
    // If this fails, the socket is closed in order, which is the next best.
    let _ = tcp.set_zero_linger();
}
