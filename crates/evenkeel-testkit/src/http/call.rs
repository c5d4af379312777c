//! What a server was asked.

use std::{borrow::Cow, time::Duration};

use hyper::{HeaderMap, Method, Uri, body::Bytes};

/// One call, as the server recorded it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// When its head arrived: the time since the server was started.
    pub at: Duration,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers; their names are in lower case.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// How many calls were in flight when it arrived, itself included.
    pub in_flight: usize,
    /// Whether a route answered it. The others got a 404.
    pub matched: bool,
    pub(super) parameters: Vec<(String, String)>,
}

impl Call {
    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// What `{name}` in the path of its route stands for, as it was sent.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}
