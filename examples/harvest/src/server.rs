//! An embedded server of the API, on loopback and on a thread of its own, so that the demo needs no other server.

mod arrivals;
mod body;
mod data;
mod faults;
mod outages;

pub(crate) use arrivals::Traffic;
pub(crate) use data::{Site, mix};
pub(crate) use faults::Plan;

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use arrivals::Arrivals;
use body::Body;
use evenkeel::limit::RateLimiter;
use faults::{Fault, Faults};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use outages::Outage;
use reqwest::Url;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep},
};

/// The backlog of connections: more than a client opens at once.
const BACKLOG: u32 = 1024;

/// The time of a slow body: less than the timeout of a client.
const SLOW: Duration = Duration::from_millis(400);

/// The documents and the behavior of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) site: Site,
    /// The time of every answer.
    pub(crate) latency: Duration,
    pub(crate) plan: Plan,
    /// A client that keeps this number of calls in flight gets 429 sometimes, if there are faults.
    pub(crate) calls: u32,
}

/// A running server, which ends on drop.
#[derive(Debug)]
pub(crate) struct Server {
    base: Url,
    arrivals: Arc<Arrivals>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts a server at this address; a port of zero is a free one.
    pub(crate) fn start(settings: Settings, address: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })?;
        let base = format!("http://{}/", listener.local_addr()?);
        let base = Url::parse(&base).map_err(io::Error::other)?;
        let (stop, stopped) = oneshot::channel();
        let arrivals = Arc::<Arrivals>::default();
        let counting = arrivals.clone();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, settings, counting) => {}
                }
            });
        };
        let thread = thread::Builder::new().name("server".into()).spawn(serve)?;
        Ok(Self { base, arrivals, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the base URL.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// Returns the calls that it has got.
    pub(crate) fn traffic(&self) -> Traffic {
        self.arrivals.read()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server was printed, and clients have seen it as an error.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, settings: Settings, arrivals: Arc<Arrivals>) {
    let service = Arc::new(Service::new(settings, arrivals));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(connection(stream, service.clone())),
                // No file descriptor was left, or the client has gone: other connections may end in the meantime.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>) {
    // With zero linger, closing sends a reset. Only a fault closes on this side; clients close the other connections.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { service.answer(&request).await }
    });
    // Errors are by plan: a fault, or a client that gives up.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Answers the requests of all connections.
#[derive(Debug)]
struct Service {
    settings: Settings,
    faults: Faults,
    rate: RateLimiter,
    arrivals: Arc<Arrivals>,
    started: Instant,
}

type Answer = Response<Body>;

impl Service {
    fn new(settings: Settings, arrivals: Arc<Arrivals>) -> Self {
        let Settings { site, latency, plan, calls } = settings;
        let (faults, rate) = (Faults::new(plan, site.seed), busy_rate(calls, latency));
        Self { settings, faults, rate, arrivals, started: Instant::now() }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Result<Answer, Reset> {
        let Settings { site, latency, plan, .. } = self.settings;
        self.arrivals.record(Instant::now());
        let path = request.uri().path();
        let faults = self.faults.next(path);
        let outage = (plan == Plan::Chaos).then(|| outages::at(site.seed, self.started.elapsed())).flatten();
        match (outage, faults.flatten()) {
            (Some(Outage::Frozen(time)), _) => {
                sleep(time).await;
                return Err(Reset);
            }
            // hyper drops this future when the client gives up.
            (None, Some(Fault::Stall)) => std::future::pending().await,
            _ => sleep(latency).await,
        }
        let busy = || plan != Plan::None && faults.is_some() && self.rate.try_acquire().is_err();
        match (outage, faults.flatten()) {
            (Some(_), _) | (None, Some(Fault::UnavailableForSeconds)) => return Ok(come_back("1".into())),
            (None, Some(Fault::UnavailableUntilDate)) => return Ok(come_back(soon())),
            (None, Some(Fault::Reset)) => return Err(Reset),
            (None, _) if busy() => {
                return Ok(answer(StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1".into())], Body::empty()));
            }
            (None, _) => {}
        }
        let Some(document) = site.document(path) else {
            return Ok(answer(StatusCode::NOT_FOUND, [], Body::empty()));
        };
        let document = document.to_string().into_bytes();
        let body = match faults.flatten() {
            Some(Fault::Cut) => Body::cut(document),
            Some(Fault::Slow) => Body::slow(document, SLOW),
            _ => Body::whole(document),
        };
        Ok(answer(StatusCode::OK, [(CONTENT_TYPE, "application/json".into())], body))
    }
}

/// Returns a rate just below that of this number of calls in flight. All of them may arrive at once, since their answers
/// did.
fn busy_rate(calls: u32, latency: Duration) -> RateLimiter {
    let per_second = 0.9 * f64::from(calls) / latency.as_secs_f64().max(0.001);
    RateLimiter::per_second((per_second as u32).max(1)).burst(calls).named("embedded server")
}

fn come_back(when: String) -> Answer {
    answer(StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, when)], Body::empty())
}

#[expect(clippy::disallowed_methods, reason = "a date in a header is of the wall clock")]
fn soon() -> String {
    // Dates have whole seconds, rounded down: the wait is between one and two seconds.
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2))
}

fn answer(status: StatusCode, header: impl IntoIterator<Item = (HeaderName, String)>, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    for (name, value) in header {
        answer.headers_mut().insert(name, value.parse().expect("the value is plain ASCII"));
    }
    answer
}

/// An error that ends the connection without an answer.
#[derive(Debug)]
struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is reset by plan")
    }
}

impl std::error::Error for Reset {}
