//! hyper-util's client over a network in memory.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http_body_util::Full;
use hyper::{Uri, body::Bytes, http::uri::Scheme};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::TokioIo,
};
use tower_service::Service;

use crate::net::{MemNet, MemStream};

/// hyper-util's pooling client, over a [`MemNet`].
pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// Connects hyper-util's client to the servers of a [`MemNet`], by the host and port of each URL.
///
/// It accepts `http` only; the port is 80 if the URL names none.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, http::{Connector, Method, Server}, net::MemNet};
/// use http_body_util::Empty;
/// use hyper::body::Bytes;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let server = Server::mem(&net, "api.test:8080").unwrap();
///     server.on(Method::GET, "/").reply(204);
///
///     // A client with other settings.
///     let client: Client<_, Empty<Bytes>> =
///         Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(Connector::new(&net));
///     assert_eq!(client.get("http://api.test:8080/".parse().unwrap()).await.unwrap().status(), 204);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Connector(MemNet);

impl Connector {
    /// A connector to the servers of this network, from its host.
    #[must_use]
    pub fn new(net: &MemNet) -> Self {
        Connector(net.clone())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<MemStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let net = self.0.clone();
        Box::pin(async move {
            let host = uri.host().filter(|_| uri.scheme() == Some(&Scheme::HTTP));
            let host = host.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("not the URL of a server in memory: {uri}"),
                )
            })?;
            let stream = net.connect(&format!("{host}:{}", uri.port_u16().unwrap_or(80))).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl Connection for MemStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
