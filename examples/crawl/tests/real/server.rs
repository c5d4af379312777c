//! Servers of sites made for a test.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

pub(crate) type Answer = Response<Full<Bytes>>;

/// A server on loopback with the answers of a test; it ends with the test.
pub(crate) struct Server {
    pub(crate) base: String,
    requests: Arc<Mutex<BTreeMap<String, u32>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers every request by `answer`.
    pub(crate) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(Parts) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let counts = requests.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, counts) = (answer.clone(), counts.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let parts = request.into_parts().0;
                        *counts.lock().unwrap().entry(parts.uri.to_string()).or_default() += 1;
                        let answer = answer(parts);
                        async { Ok::<_, Infallible>(answer.await) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { base, requests, _tasks: tasks }
    }

    /// Answers by a list of paths; everything else is missing.
    pub(crate) async fn of(pages: Vec<(&'static str, Answer)>) -> Self {
        let pages = Arc::new(pages);
        Self::start(move |request| {
            let pages = pages.clone();
            async move {
                let path = request.uri.to_string();
                let found = pages.iter().find(|(known, _)| *known == path);
                found.map_or_else(|| answer(404, "text/plain", "no"), |(_, answer)| answer.clone())
            }
        })
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns how often each path was asked for.
    pub(crate) fn requests(&self) -> BTreeMap<String, u32> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, path: &str) -> u32 {
        self.requests().get(path).copied().unwrap_or(0)
    }

    /// Returns the number of all requests.
    pub(crate) fn total(&self) -> u32 {
        self.requests().values().sum()
    }

    pub(crate) fn reset_counts(&self) {
        self.requests.lock().unwrap().clear();
    }

    /// Waits until this many requests have come.
    pub(crate) async fn wait_for(&self, requests: u32) {
        while self.total() < requests {
            sleep(Duration::from_micros(200)).await;
        }
    }
}

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::from(body.into())).unwrap()
}

pub(crate) fn html(body: impl Into<Bytes>) -> Answer {
    answer(200, "text/html; charset=utf-8", body)
}

/// Returns an answer without a body, with these headers.
pub(crate) fn bare(status: u16, headers: &[(&str, &str)]) -> Answer {
    let answer = Response::builder().status(status);
    let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value));
    answer.body(Full::default()).unwrap()
}

pub(crate) fn redirect(location: &str) -> Answer {
    bare(301, &[("location", location)])
}
