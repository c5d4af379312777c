//! `Reply`: an answer, or a fault in its place.

use std::time::Duration;

use hyper::{
    HeaderMap, StatusCode,
    body::Bytes,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};

/// An answer of a server, or a fault in its place.
///
/// It is data: several routes can use it.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, http::{Method, Reply, Server}, net::MemNet};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "api.test").unwrap();
///     let busy = Reply::new(429).retry_after(Duration::from_secs(2)).latency(Duration::from_millis(30));
///     server.on(Method::GET, "/report").reply(busy).then(Reply::reset());
///
///     let get = async || server.client().get(server.url("/report").parse().unwrap()).await;
///     let busy = assert_took!(get(), Duration::from_millis(30)).unwrap();
///     assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"2".parse().unwrap()));
///     assert!(get().await.is_err());
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "a reply does nothing until a route uses it"]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) latency: Duration,
    pub(super) slow: Option<SlowBody>,
    pub(super) fault: Option<Fault>,
}

/// A body sent in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowBody {
    pub(super) bytes: usize,
    pub(super) every: Duration,
}

/// The end of a reply that is cut off.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) sent: Sent,
    /// Whether the connection is reset instead of closed.
    pub(super) reset: bool,
}

/// The bytes that are sent first.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    /// Bytes that need not be HTTP.
    Raw(&'static [u8]),
    /// The head, and this many bytes of the body that it announces.
    Part(usize),
}

impl Reply {
    /// A reply with this status, without headers and body, at once.
    ///
    /// # Panics
    ///
    /// If it is below 200 or above 999: no final response has such a status.
    #[track_caller]
    pub fn new(status: u16) -> Self {
        assert!((200..=999).contains(&status), "no status that ends an exchange: {status}");
        Reply {
            status: StatusCode::from_u16(status).expect("hyper takes all from 100 to 999"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            latency: Duration::ZERO,
            slow: None,
            fault: None,
        }
    }

    /// Resets the connection in place of a reply.
    pub fn reset() -> Self {
        Reply { fault: Some(Fault { sent: Sent::Raw(b""), reset: true }), ..Self::new(200) }
    }

    /// Closes the connection in place of a reply.
    pub fn eof() -> Self {
        Reply { fault: Some(Fault { sent: Sent::Raw(b""), reset: false }), ..Self::new(200) }
    }

    /// Sends bytes that are not HTTP in place of a reply, and closes the connection.
    pub fn garbage() -> Self {
        const GARBAGE: &[u8] = b"\x16\x03\x01 this is not the protocol that you are looking for\r\n\r\n";
        Reply { fault: Some(Fault { sent: Sent::Raw(GARBAGE), reset: false }), ..Self::new(200) }
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// If the name or the value is invalid: a name with a blank, or a value with a line break.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = parse_header(name, value);
        self.headers.append(name, value);
        self
    }

    /// Sets the header `Retry-After`, in whole seconds, rounded up.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.headers.insert(RETRY_AFTER, seconds.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the time from the arrival of the whole call to the reply, or to the fault in its place.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sends the body in pieces of `bytes` bytes: the first at once, each other `every` later.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub fn slow_body(mut self, bytes: usize, every: Duration) -> Self {
        assert!(bytes > 0, "pieces of zero bytes");
        self.slow = Some(SlowBody { bytes, every });
        self
    }

    /// Closes the connection after `after` bytes of the body.
    pub fn cut_body(mut self, after: usize) -> Self {
        self.fault = Some(Fault { sent: Sent::Part(after), reset: false });
        self
    }

    /// Resets the connection after `after` bytes of the body.
    pub fn reset_body(mut self, after: usize) -> Self {
        self.fault = Some(Fault { sent: Sent::Part(after), reset: true });
        self
    }
}

#[track_caller]
pub(super) fn parse_header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    let Ok(name) = name.parse() else { panic!("no name of a header: {name:?}") };
    let Ok(value) = value.parse() else { panic!("no value of a header: {value:?}") };
    (name, value)
}

impl From<u16> for Reply {
    /// [`Reply::new`].
    #[track_caller]
    fn from(status: u16) -> Self {
        Reply::new(status)
    }
}
