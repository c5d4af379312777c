//! `Proxy`: a link in front of a real TCP server.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpStream, ToSocketAddrs, lookup_host},
    task::JoinSet,
};

use super::{
    link::Link,
    listener::MemListener,
    mem_net::MemNet,
    tcp_bridge::{bind, forward_to_net, splice},
};

/// A port of loopback that leads to a real TCP server, through a [`Link`] with its faults.
///
/// A client that connects to [`address`](Self::address) is connected to the server. Dropping the proxy ends its
/// tasks and closes its connections.
///
/// The kernel accepts before the proxy can ask its link: a connect that the link
/// [refuses](Link::refuse) or delays succeeds at once for the client, and is then reset, or idle.
///
/// Times are tokio's. With a server in another thread or process they are real times, or those of a clock
/// that waits for it; a server in the same paused runtime is exact from tokio 1.53.3 on, on Linux.
///
/// # Why not just use Toxiproxy?
///
/// It is a program to install, to start and to control by HTTP, and it knows no virtual time. Use it for a
/// server that other programs use as well.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{Proxy, Toxics}};
/// use std::time::Duration;
/// use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::{TcpListener, TcpStream}};
///
/// World::run(async |_| {
///     // Stands for a real server, Postgres or Redis.
///     let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
///     let proxy = Proxy::start(server.local_addr().unwrap()).await.unwrap();
///     proxy.link().downstream(Toxics::new().latency(Duration::from_millis(80)));
///
///     let mut client = TcpStream::connect(proxy.address()).await.unwrap();
///     let (mut served, _) = server.accept().await.unwrap();
///     served.write_u8(1).await.unwrap();
///     assert_eq!(assert_took!(client.read_u8(), Duration::from_millis(80)).unwrap(), 1);
/// });
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Link,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy to the server at this address.
    ///
    /// # Errors
    ///
    /// If the address cannot be resolved, or there is no free port.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns starts nothing.
    pub async fn start(server: impl ToSocketAddrs) -> io::Result<Self> {
        let server = lookup_host(server).await?.next().ok_or(io::ErrorKind::NotFound)?;
        let listener = bind().await?;
        let address = listener.local_addr()?;
        let (net, name) = (MemNet::new(), server.to_string());
        let link = net.link(&name);
        let out = forward_to_server(net.listen(&name)?, server);
        let mut tasks = JoinSet::new();
        tasks.spawn(forward_to_net(listener, net, name));
        tasks.spawn(out);
        Ok(Proxy { address, link, _tasks: tasks })
    }

    /// The address to which clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The link between the clients and the server: its faults, and its counts.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }
}

/// Connects each accepted stream to the server.
async fn forward_to_server(mut listener: MemListener, server: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let stream = listener.accept().await;
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            match TcpStream::connect(server).await {
                Ok(tcp) => splice(tcp, stream).await,
                Err(_) => stream.reset(),
            }
        });
    }
}
