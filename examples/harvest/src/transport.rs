//! One request and its answer. This is where a harvest meets the network of the API.

use std::{error::Error, fmt, time::SystemTime};

use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};
use reqwest::{Client, Url};

/// The reason why a URL with `https:` cannot be read.
pub(crate) const NO_HTTPS: &str =
    "this program was built without HTTPS: cargo run --release -p harvest-https";

/// Sends requests to the API.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends a GET request that asks for JSON. Redirects are followed on the same host.
    fn get(&self, url: Url) -> BoxFuture<'_, Result<Response, TransportError>>;

    /// Returns the time of the wall clock: a limit of the API may end at a date.
    fn now(&self) -> SystemTime;
}

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, TransportError>;

/// The head of an answer, and its body, which is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The URL behind all redirects.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The reason why there is no complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    kind: Kind,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoRequest,
    Redirected,
    NoConnection,
    TimedOut,
    Lost,
}

impl TransportError {
    /// No connection came about.
    pub fn no_connection(error: &(dyn Error + 'static)) -> Self {
        Self { kind: Kind::NoConnection, reason: root(error).to_string() }
    }

    /// The connection ended before the answer did.
    pub fn lost(error: &(dyn Error + 'static)) -> Self {
        Self { kind: Kind::Lost, reason: root(error).to_string() }
    }

    /// Whether the request can never be sent: a scheme that is not HTTP, a redirect to another host.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self.kind, Kind::NoRequest | Kind::Redirected)
    }

    /// Returns the label under which retries are counted.
    pub(crate) const fn label(&self) -> &'static str {
        match self.kind {
            Kind::NoRequest => "no request",
            Kind::Redirected => "redirected",
            Kind::NoConnection => "no connection",
            Kind::TimedOut => "timed out",
            Kind::Lost => "connection lost",
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label(), self.reason)
    }
}

impl Error for TransportError {}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        let kind = match &error {
            error if error.is_redirect() => Kind::Redirected,
            error if error.is_builder() => Kind::NoRequest,
            error if error.is_connect() => Kind::NoConnection,
            error if error.is_timeout() => Kind::TimedOut,
            _ => Kind::Lost,
        };
        // The text of reqwest names its own layers. The reason is the root cause.
        Self { kind, reason: root(&error).to_string() }
    }
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// The network of this machine.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) client: Client,
    /// Whether the client knows TLS, which is a feature of its crate, for a whole build.
    pub(crate) has_https: bool,
}

impl Transport for Web {
    fn get(&self, url: Url) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            if !self.has_https && url.scheme() == "https" {
                return Err(TransportError { kind: Kind::NoRequest, reason: NO_HTTPS.to_owned() });
            }
            let json = HeaderValue::from_static("application/json");
            let response = self.client.get(url).header(header::ACCEPT, json).send().await?;
            let url = response.url().clone();
            let (head, body) = hyper::http::Response::from(response).into_parts();
            let body = body.map_err(TransportError::from).boxed_unsync();
            Ok(Response { url, status: head.status, headers: head.headers, body })
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
