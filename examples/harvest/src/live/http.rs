//! Serves the live page: three paths, bounded connections and buffers, and no reader that holds others up.
//!
//! # How it works
//!
//! A page is rendered once for all readers, and a `watch` channel has the latest one: a reader that is slower than the
//! pages misses some, and nothing is queued for it. A reader that takes nothing at all is disconnected, see
//! [`WriteTimeout`]. The server ends when the sender of the pages is dropped: streams of events send the last page and
//! an event that says so, other answers are finished, and all else is closed after [`Bounds::linger`].

use std::{convert::Infallible, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame},
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{html, write_timeout::WriteTimeout};

/// The bounds of the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at a time; more of them wait to be accepted.
    pub(super) connections: usize,
    /// Streams of events among them; more of them are refused, so that pages are served beside them.
    pub(super) streams: usize,
    /// The time for a request to arrive, and for a reader to take something.
    pub(super) timeout: Duration,
    /// The time for answers to be taken after the last page.
    pub(super) linger: Duration,
    /// The bytes that are buffered for a connection.
    pub(super) buffer: usize,
}

/// A view in its three forms.
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    /// The changing part of the page.
    pub(super) fragment: Bytes,
    /// The same as an event.
    pub(super) event: Bytes,
    pub(super) json: Bytes,
}

type Events = stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;
type Answer = Response<Either<Full<Bytes>, StreamBody<Events>>>;

/// Answers the requests of all connections.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pages: watch::Receiver<Rendered>,
    streams: Arc<Semaphore>,
    bounds: Bounds,
    /// Whether only this machine can reach the server.
    is_local: bool,
}

/// Serves until the sender of the pages is dropped.
pub(super) async fn serve(listener: TcpListener, pages: watch::Receiver<Rendered>, bounds: Bounds) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let service = Service::new(pages.clone(), bounds, is_local);
    let mut connections = JoinSet::new();
    let mut end = pin!(ended(pages));
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < bounds.connections => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(service.clone().connection(stream));
                }
                // No file descriptor was left, or the client has gone: other connections may end in the meantime.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut end => break,
        }
    }
    drop(listener);
    let _ = timeout(bounds.linger, async { while connections.join_next().await.is_some() {} }).await;
}

/// Waits until there are no further pages.
async fn ended(mut pages: watch::Receiver<Rendered>) {
    while pages.changed().await.is_ok() {}
}

impl Service {
    pub(super) fn new(pages: watch::Receiver<Rendered>, bounds: Bounds, is_local: bool) -> Self {
        Self { pages, streams: Arc::new(Semaphore::new(bounds.streams)), bounds, is_local }
    }

    /// Serves one connection, which has one request.
    pub(super) async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let Bounds { timeout, buffer, .. } = self.bounds;
        let pages = self.pages.clone();
        let answer = service_fn(move |request| {
            let answer = self.answer(&request);
            async { Ok::<_, Infallible>(answer) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(timeout).max_buf_size(buffer).keep_alive(false);
        let stream = TokioIo::new(WriteTimeout::new(stream, timeout));
        let mut connection = pin!(http.serve_connection(stream, answer));
        // Errors are of the reader: it has gone, or takes nothing.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ended(pages) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    fn answer<B: Body>(&self, request: &Request<B>) -> Answer {
        if self.is_local && !names_this_machine(request.headers()) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "this server is called by the address of this machine",
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "this server is only read");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/" => {
                let nonce = html::nonce();
                let page = html::document(&self.pages.borrow().fragment, &nonce);
                let mut answer = whole(StatusCode::OK, "text/html; charset=utf-8", page.into());
                let policy = html::content_policy(&nonce);
                answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
                answer
            }
            "/state.json" => whole(StatusCode::OK, "application/json", self.pages.borrow().json.clone()),
            "/events" => match self.streams.clone().try_acquire_owned() {
                Ok(permit) => {
                    let events = StreamBody::new(events(self.pages.clone(), permit).boxed());
                    response(StatusCode::OK, "text/event-stream", Either::Right(events))
                }
                Err(_) => {
                    let mut refused = text(StatusCode::SERVICE_UNAVAILABLE, "too many readers of events");
                    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                    refused
                }
            },
            _ => text(StatusCode::NOT_FOUND, "there are /, /events and /state.json"),
        }
    }
}

/// Returns the events of one reader: the page now, each later one that it is in time for, and the end.
fn events(
    pages: watch::Receiver<Rendered>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    // The permit is part of the state, and so given back when the reader goes.
    stream::unfold((Next::First, pages, permit), |(next, mut pages, permit)| async move {
        let (event, next) = match next {
            Next::First => (pages.borrow_and_update().event.clone(), Next::Change),
            Next::Change if pages.changed().await.is_ok() => {
                (pages.borrow_and_update().event.clone(), Next::Change)
            }
            Next::Change => (event("end", ""), Next::Nothing),
            Next::Nothing => return None,
        };
        Some((Ok(Frame::data(event)), (next, pages, permit)))
    })
}

/// The next event of a stream.
#[derive(Debug)]
enum Next {
    First,
    Change,
    Nothing,
}

/// Frames an event of the live page: a line for each line of the data, by the rules of server-sent events, where a
/// carriage return ends a line as well.
pub(super) fn event(name: &str, data: &str) -> Bytes {
    let data = data.replace("\r\n", "\n");
    let lines: String = data.split(['\n', '\r']).map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{lines}\n").into()
}

/// Whether a request was sent to an address or to `localhost`, and not to a name that somebody else has pointed at this
/// machine, whose pages a browser would let read the answer.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

fn text(status: StatusCode, line: &'static str) -> Answer {
    whole(status, "text/plain; charset=utf-8", format!("{line}\n").into())
}

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    response(status, content_type, Either::Left(Full::new(body)))
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Either<Full<Bytes>, StreamBody<Events>>,
) -> Answer {
    const FIXED: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections: 4,
        streams: 1,
        timeout: Duration::from_secs(10),
        linger: Duration::from_secs(1),
        buffer: 8192,
    };

    /// The virtual time after which nothing comes.
    const LIMIT: Duration = Duration::from_secs(3600);

    fn rendered(text: &str) -> Rendered {
        let event = event("state", text);
        Rendered { fragment: text.to_owned().into(), event, json: format!("\"{text}\"").into() }
    }

    /// Returns a service of this machine with one page, and the sender of further ones.
    fn service() -> (watch::Sender<Rendered>, Service) {
        let (sender, pages) = watch::channel(rendered("<p>one</p>"));
        (sender, Service::new(pages, BOUNDS, true))
    }

    /// Begins a connection with these bytes, over a stream with this buffer.
    async fn connect(service: &Service, request: &str, buffer: usize) -> (DuplexStream, JoinSet<()>) {
        let (mut client, server) = duplex(buffer);
        let mut task = JoinSet::new();
        task.spawn(service.clone().connection(server));
        client.write_all(request.as_bytes()).await.unwrap();
        (client, task)
    }

    /// Returns the whole answer.
    async fn ask(service: &Service, request: &str) -> String {
        let (mut client, _task) = connect(service, request, 1 << 16).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:80\r\n\r\n")
    }

    /// Reads until the stream has this text.
    async fn read_until(client: &mut DuplexStream, end: &str) -> String {
        let mut read = String::new();
        let mut piece = [0; 1024];
        while !read.contains(end) {
            let bytes = timeout(LIMIT, client.read(&mut piece)).await.expect("there is more").unwrap();
            assert!(bytes > 0, "{read}");
            read += &String::from_utf8_lossy(&piece[..bytes]);
        }
        read
    }

    #[tokio::test(start_paused = true)]
    async fn each_path_has_its_answer() {
        let (_sender, service) = service();
        let page = ask(&service, &get("/")).await;
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<main>\n<p>one</p></main>"),
            "{page}"
        );
        for header in [
            "content-type: text/html; charset=utf-8",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "connection: close",
        ] {
            assert!(page.contains(&format!("{header}\r\n")), "{header}: {page}");
        }
        let nonce = page.split_once("<script nonce=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(page.contains(&format!("script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'")), "{page}");

        let state = ask(&service, &get("/state.json?x")).await;
        assert!(state.contains("content-type: application/json\r\n"), "{state}");
        assert!(state.ends_with("\r\n\r\n\"<p>one</p>\""), "{state}");
        for path in ["/x", "//", "/index.html", "/../state.json", "*"] {
            let answer = ask(&service, &get(path)).await;
            assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_only_read() {
        let (_sender, service) = service();
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = ask(&service, &get("/").replace("GET", method)).await;
            assert!(
                answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD\r\n"),
                "{answer}"
            );
        }
        for path in ["/", "/state.json", "/events"] {
            let answer = ask(&service, &get(path).replace("GET", "HEAD")).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_somebody_points_at_this_machine_is_refused() {
        let (_sender, service) = service();
        let of = |host: &str| get("/state.json").replace("127.0.0.1:80", host);
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "[::1]", "127.9.9.9:1"] {
            assert!(ask(&service, &of(host)).await.starts_with("HTTP/1.1 200 "), "{host}");
        }
        for host in
            ["evil.test", "evil.test:80", "localhost.evil.test", "127.0.0.1.evil.test", "evil.test:", ""]
        {
            let answer = ask(&service, &of(host)).await;
            assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("one"), "{host}: {answer}");
        }
        let open = Service { is_local: false, ..service };
        assert!(ask(&open, &of("harvest.example")).await.starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn each_line_of_an_event_is_a_line_of_data() {
        assert_eq!(event("state", "a"), "event: state\ndata: a\n\n");
        assert_eq!(event("end", ""), "event: end\ndata: \n\n");
        let lines = event("state", "a\nb\rdata: c\r\n\r\nid: 7\n");
        assert_eq!(lines, "event: state\ndata: a\ndata: b\ndata: data: c\ndata: \ndata: id: 7\ndata: \n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_the_page_now_each_later_one_and_the_end() {
        let (sender, service) = service();
        let (mut client, mut task) = connect(&service, &get("/events"), 1 << 16).await;
        let head = read_until(&mut client, "data: <p>one</p>\n\n").await;
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        for page in ["two", "three"] {
            sender.send_replace(rendered(page));
            let event = read_until(&mut client, &format!("event: state\ndata: {page}\n\n")).await;
            assert!(!event.contains("one"), "{event}");
        }
        // The last page reaches the reader although the sender is gone at once.
        sender.send_replace(rendered("last"));
        drop(sender);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        let (last, end) =
            (rest.find("data: last\n\n").unwrap(), rest.find("event: end\ndata: \n\n").unwrap());
        assert!(last < end && rest.ends_with("0\r\n\r\n"), "{rest}");
        task.join_next().await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn more_streams_than_allowed_are_refused_and_pages_are_not() {
        let (_sender, service) = service();
        let (mut first, mut task) = connect(&service, &get("/events"), 1 << 16).await;
        read_until(&mut first, "one").await;
        let refused = ask(&service, &get("/events")).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 5\r\n"), "{refused}");
        assert!(ask(&service, &get("/")).await.starts_with("HTTP/1.1 200 "));
        drop(first);
        task.join_next().await.unwrap().unwrap();
        let (mut next, _task) = connect(&service, &get("/events"), 1 << 16).await;
        read_until(&mut next, "one").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_disconnected_and_holds_nobody_up() {
        let (sender, service) = service();
        let (mut stuck, mut task) = connect(&service, &get("/events"), 512).await;
        let started = Instant::now();
        let mut pages = 0;
        while task.try_join_next().is_none() {
            sender.send_replace(rendered(&"x".repeat(1000)));
            pages += 1;
            assert!(pages < 100, "it is still connected");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(started.elapsed() >= BOUNDS.timeout);
        // Only the buffer of the stream was ever taken.
        let mut taken = Vec::new();
        let _ = stuck.read_to_end(&mut taken).await;
        assert!(taken.len() <= 512, "{} bytes", taken.len());
        let (mut next, _task) = connect(&service, &get("/events"), 1 << 16).await;
        read_until(&mut next, "xxx").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_slow_gets_the_latest_page_and_stays() {
        let (sender, service) = service();
        let (mut slow, _task) = connect(&service, &get("/events"), 512).await;
        read_until(&mut slow, "one").await;
        for number in 0..200 {
            sender.send_replace(rendered(&format!("<{number:0>1000}>")));
            sleep(Duration::from_secs(1)).await;
            if number % 9 == 0 {
                let mut piece = [0; 512];
                let _ = slow.read(&mut piece).await.unwrap();
            }
        }
        let read = read_until(&mut slow, "199>").await;
        let pages = read.matches("event: state").count();
        assert!(pages < 60, "{pages} pages were kept for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_come_is_not_waited_for() {
        let (_sender, service) = service();
        for beginning in ["", "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n"] {
            let (_client, mut task) = connect(&service, beginning, 512).await;
            let started = Instant::now();
            task.join_next().await.unwrap().unwrap();
            assert_eq!(started.elapsed(), BOUNDS.timeout, "{beginning:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_closes_connections_without_a_request() {
        let (sender, service) = service();
        let (_client, mut task) = connect(&service, "", 512).await;
        tokio::task::yield_now().await;
        let started = Instant::now();
        drop(sender);
        task.join_next().await.unwrap().unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
