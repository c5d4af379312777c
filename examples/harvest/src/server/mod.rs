//! A server of the API, on loopback and on a thread of its own: the demo needs nothing else to be installed.

mod data;
mod faults;

pub(crate) use data::Site;

use std::{convert::Infallible, io, net::Ipv4Addr, sync::Arc, thread, time::Duration, time::SystemTime};

use evenkeel::limit::RateLimiter;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::{net::TcpListener, net::TcpSocket, net::TcpStream, sync::oneshot, task::JoinSet};

use faults::{Fault, Faults};

/// Connections that may wait to be accepted: more than clients open at once.
const BACKLOG: u32 = 1024;

/// What to serve, and how badly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) site: Site,
    /// The time that every answer takes.
    pub(crate) latency: Duration,
    /// Requests per second above which it answers 429, and whether it has the other faults too.
    pub(crate) faults: Option<NonZeroU32>,
}

/// The running server, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    base: Url,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts it on a free port.
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)
        })?;
        let base = format!("http://{}/", listener.local_addr()?);
        let base = Url::parse(&base).map_err(io::Error::other)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, settings) => {}
                }
            });
        };
        let thread = thread::Builder::new().name("server".into()).spawn(serve)?;
        Ok(Self { base, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and the clients have met it as an error.
            let _ = thread.join();
        }
    }
}
