//! Servers of APIs made for a test.

use std::net::Ipv4Addr;

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// A server on loopback with the answers of a test; it ends with the test.
pub(crate) struct Server {
    pub(crate) base: String,
    _tasks: JoinSet<()>,
}

pub(crate) type Answer = Response<Full<Bytes>>;

impl Server {
    /// Answers every path by `answer`.
    pub(crate) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(String) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        Self::heard(move |request| answer(request.uri.to_string())).await
    }

    /// Answers every request by `answer`, which also gets the headers.
    pub(crate) async fn heard<F, Fut>(answer: F) -> Self
    where
        F: Fn(Parts) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer(request.into_parts().0);
                        async { Ok::<_, std::convert::Infallible>(answer.await) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { base, _tasks: tasks }
    }
}

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::from(body.into())).unwrap()
}

/// Returns an answer without a body, with these headers.
pub(crate) fn bare(status: u16, headers: &[(&str, &str)]) -> Answer {
    let answer = Response::builder().status(status);
    let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value));
    answer.body(Full::default()).unwrap()
}

pub(crate) fn json(body: &Value) -> Answer {
    answer(200, "application/json", body.to_string())
}

/// Returns a page of these users.
pub(crate) fn page(ids: impl IntoIterator<Item = u64>, next: Option<&str>) -> Answer {
    let user = |id| json!({ "id": id, "name": format!("User {id}"), "email": "a@b.test", "active": true });
    json(&json!({ "items": ids.into_iter().map(user).collect::<Vec<_>>(), "next": next }))
}

/// Returns the document at a path as a valid API has it: one order, or preferences.
pub(crate) fn document(path: &str) -> Answer {
    let mut parts = path.trim_start_matches("/users/").split('/');
    let Some(id) = parts.next().and_then(|id| id.parse::<u64>().ok()) else {
        return answer(404, "text/plain", "");
    };
    match parts.next() {
        Some("orders.json") => {
            json(&json!({ "user": id, "orders": [{ "order": id * 10, "cents": id, "currency": "EUR" }] }))
        }
        Some("prefs.json") => {
            json(&json!({ "user": id, "theme": "dark", "locale": "pl", "newsletter": true }))
        }
        _ => answer(404, "text/plain", ""),
    }
}
