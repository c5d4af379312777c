//! `Server`: starts, routes, counts; and the loop that serves connections.

use std::{error::Error, io, panic::Location, sync::Arc, thread};

use hyper::{Method, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
};
use tokio::task::JoinSet;

use super::{
    call::{Call, Parameters},
    client::{Client, Connector},
    fault::break_off,
    path::matcher,
    route::{Route, RouteState},
    shared::{Broken, Shared},
};
use crate::net::{
    Link, MemListener, MemNet, MemStream,
    tcp_bridge::{bind, forward_to_net},
};

/// An HTTP/1.1 server with scripted replies and faults, which records all calls.
///
/// It runs in the runtime of the test: in memory, for any client that takes a stream, or on loopback, for
/// clients that take only an address, such as reqwest. Its latencies use tokio's clock, so they are exact under paused
/// time; on loopback from tokio 1.53.3 on, on Linux.
///
/// The first [`Route`] that matches and has a reply left answers a call; if there is none, the answer is 404. Dropping
/// the server ends its tasks and closes its connections. It then panics, unless the test does already, if a route was
/// not called as [expected](Route::expect), a call matched no route, or a closure of a route panicked.
///
/// # Why not just use wiremock?
///
/// It serves from its own thread, in real time: under paused time its clients time out before the answer can arrive.
/// It has no faults below HTTP, and does not record the time of calls.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, http::{Method, Server}, net::MemNet};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let server = Server::mem(&net, "api.test").unwrap();
///     server.on(Method::GET, "/health").reply(200).latency(Duration::from_millis(200)).expect(2);
///
///     let client = server.client();
///     for _ in 0..2 {
///         let get = client.get("http://api.test/health".parse().unwrap());
///         assert_eq!(assert_took!(get, Duration::from_millis(200)).unwrap().status(), 200);
///     }
///     let at: Vec<Duration> = server.calls().iter().map(|call| call.at).collect();
///     assert_eq!(at, [Duration::ZERO, Duration::from_millis(200)]);
///     assert_eq!(server.link().snapshot().opened, 1); // the client keeps its connection
/// });
/// ```
#[derive(Debug)]
pub struct Server {
    net: MemNet,
    address: String,
    link: Link,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server in memory, on an address like `api.test:8080`; the port is 80 if it names none.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, if the address has a listener.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn mem(net: &MemNet, address: &str) -> io::Result<Self> {
        // The colons of `[::1]` do not precede a port.
        let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let address = if has_port { address.to_owned() } else { format!("{address}:80") };
        let title = format!("http {address}");
        Self::start(net, address, title)
    }

    fn start(net: &MemNet, address: String, title: String) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(title));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(net.listen(&address)?, shared.clone()));
        Ok(Server { net: net.clone(), link: net.link(&address), address, shared, tasks })
    }

    /// Starts a server on a free port of loopback.
    ///
    /// Behind the port is a [`MemNet`] whose [`link`](Self::link) has all faults. But the kernel accepts before the link
    /// is asked: a connect that the link refuses succeeds, and is then reset.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns starts nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, assert_took, http::{Method, Server}};
    /// use std::time::Duration;
    ///
    /// World::run(async |_| {
    ///     let server = Server::loopback().await.unwrap();
    ///     server.on(Method::GET, "/users/{id}").reply(200).body("Ada").latency(Duration::from_secs(2));
    ///     let get = async { reqwest::get(server.url("/users/1")).await?.text().await };
    ///     assert_eq!(assert_took!(get, Duration::from_secs(2)).unwrap(), "Ada");
    /// });
    /// ```
    pub async fn loopback() -> io::Result<Self> {
        let listener = bind().await?;
        let net = MemNet::new();
        // Its port is another one in each run, and the timeline of a run the same.
        let title = "http loopback".to_owned();
        let mut server = Self::start(&net, listener.local_addr()?.to_string(), title)?;
        server.tasks.spawn(forward_to_net(listener, net, server.address.clone()));
        Ok(server)
    }

    /// Adds a route for this method and path; it answers as soon as it has a reply.
    ///
    /// `{name}` matches one segment, and `{*name}`, at the end, all remaining segments; [`Call::parameter`] returns their
    /// values. A path without a query matches calls with any query; `/users?page=2` those with exactly this one, as it is sent.
    ///
    /// # Panics
    ///
    /// If the path is invalid: it does not begin with a slash, or a wildcard is not a whole segment.
    #[must_use = "a route without a reply answers nothing"]
    #[track_caller]
    pub fn on(&self, method: Method, path: impl AsRef<str>) -> Route {
        let path = path.as_ref();
        let shown = format!("{method} {path}");
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let (parameters, query) = (matcher(path), query.map(str::to_owned));
        self.route(shown, move |call| {
            let is_query = query.is_none() || query.as_deref() == call.uri.query();
            parameters(call.path()).filter(|_| is_query && call.method == method)
        })
    }

    /// Adds a route for the calls for which `matches` returns true.
    #[must_use = "a route without a reply answers nothing"]
    #[track_caller]
    pub fn when(&self, matches: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Route {
        self.route("a route of its own".to_owned(), move |call| matches(call).then(Vec::new))
    }

    /// The URL of a path: `http://api.test:80/users`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client for all servers of the network, which pools its connections.
    #[must_use]
    pub fn client(&self) -> Client {
        legacy::Client::builder(TokioExecutor::new()).build(Connector::new(&self.net))
    }

    /// The link that clients use, unless they are on another [host](MemNet::at): its faults, and its counts.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// All calls so far, in the order in which their bodies were complete.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls()
    }

    /// The number of calls in flight: arrived, and not yet answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// The highest number of calls in flight at once.
    #[must_use]
    pub fn peak_in_flight(&self) -> usize {
        self.shared.peak_in_flight()
    }

    #[track_caller]
    fn route(
        &self,
        shown: String,
        matches: impl Fn(&Call) -> Option<Parameters> + Send + Sync + 'static,
    ) -> Route {
        let entry = Arc::new(RouteState::new(Box::new(matches), shown, Location::caller()));
        self.shared.add(entry.clone());
        Route::new(entry)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The tasks end when the runtime polls them next; the address is free at once.
        self.net.free(&self.address);
        let complaints = self.shared.complaints();
        if !complaints.is_empty() && !thread::panicking() {
            panic!(
                "the server {} was not called as it should be:\n  {}",
                self.address,
                complaints.join("\n  ")
            );
        }
    }
}

async fn serve(mut listener: MemListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = listener.accept().await;
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, shared.clone()));
    }
}

/// Serves a connection until it ends, or a fault ends it.
async fn converse(stream: MemStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| shared.clone().serve(request));
    let mut connection =
        http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
    // Other errors come from the client, which sees them.
    let Err(error) = (&mut connection).await else { return };
    if let Some(broken) = error.source().and_then(|source| source.downcast_ref::<Broken>()) {
        let stream = connection.into_parts().io.into_inner();
        // The client may disconnect first.
        let _ = break_off(&broken.reply, &broken.fault, stream).await;
    }
}
