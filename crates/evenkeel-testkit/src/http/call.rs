//! `Call`: a recorded call.

use std::{borrow::Cow, time::Duration};

use hyper::{HeaderMap, Method, Uri, body::Bytes};

/// A call, as the server recorded it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// When its head arrived: the time since the start of the server.
    pub at: Duration,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers; their names are in lower case.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The number of calls in flight when it arrived, including itself.
    pub in_flight: usize,
    /// Whether a route answered it; otherwise it got a 404.
    pub matched: bool,
    pub(super) parameters: Parameters,
}

/// The names and values of the wildcards of a path.
pub(super) type Parameters = Vec<(String, String)>;

impl Call {
    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The value of `{name}` in the path of its route, as it was sent.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}
