//! A server of the dump, with bounds for all that a client may do.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};

use crate::answer::{Answers, line};

/// The path of the dump.
const PATH: &str = "/debug/evenkeel";

/// The number of connections that a server has at a time, each a file descriptor; more of them wait to be accepted.
pub const MAX_CONNECTIONS: usize = 16;

/// The bytes of a request.
const MAX_REQUEST: usize = 16 << 10;

/// The time for a request to come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for a request and its answer, which ends the connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a server of the dump to a loopback address of this machine; port 0 takes a free one.
///
/// It answers `GET /debug/evenkeel` when it [runs](InspectServer::run): a page of HTML; or what the header `Accept` or the query
/// asks for, as `?format=text` or `?format=json`. A request that names another host than an address or `localhost` gets status
/// 421, so that no page of the web can read the dump by a name that points to this machine.
///
/// # Errors
///
/// Errors of the system, and one for an address that is not a loopback address: names, labels and places of the program are no
/// matter of its network. [`serve_public`] binds to such an address.
///
/// # Cancel safety
///
/// Dropping it binds nothing.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use evenkeel_inspect::serve;
/// use std::{future::pending, net::SocketAddr};
///
/// let server = serve(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
/// println!("http://{}/debug/evenkeel", server.local_addr());
/// let server = tokio::spawn(server.run(pending()));
/// // …
/// server.abort();
/// # Ok(())
/// # }
/// ```
pub async fn serve(address: SocketAddr) -> io::Result<InspectServer> {
    if !is_loopback(address.ip()) {
        let text = format!("{address} is not a loopback address: `serve_public` binds to others");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    serve_public(address).await
}

/// Binds a server of the dump to any address, from which everybody who reaches it can read the dump.
///
/// See [`serve`].
///
/// # Errors
///
/// Errors of the system.
///
/// # Cancel safety
///
/// Dropping it binds nothing.
///
/// # Examples
///
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// use std::net::SocketAddr;
///
/// // In a container whose network is private.
/// let server = evenkeel_inspect::serve_public(SocketAddr::from(([0, 0, 0, 0], 9_400))).await?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
pub async fn serve_public(address: SocketAddr) -> io::Result<InspectServer> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(InspectServer { listener, address, answers: Answers::default() })
}

/// A server of the dump, see [`serve`].
///
/// It has 16 connections at a time, each for one request of at most 16 KiB that comes within 5 seconds and is over after 30.
///
/// # Examples
///
/// A program serves the dump until it stops, and also while its other tasks are drained:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use evenkeel_inspect::serve;
/// use evenkeel_shutdown::Shutdown;
/// use std::net::SocketAddr;
///
/// let server = serve(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
/// let report = Shutdown::new()
///     .task("work", async |_stop| { /* … */ })
///     .vital()
///     .phase("inspect")
///     .task("debug page", async move |stop| server.run(stop.draining()).await)
///     .run()
///     .await;
/// # assert_eq!(report.exit_code(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it answers nothing until it runs"]
pub struct InspectServer {
    listener: TcpListener,
    address: SocketAddr,
    answers: Answers,
}

impl InspectServer {
    /// Returns the address, with the port that it has got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until the future is ready, and closes all connections then.
    ///
    /// The dump is made in the task of a connection. A runtime whose threads are all blocked answers nothing: let the server run
    /// in one of its own, on a thread of its own, if it is to tell of that.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes all connections.
    ///
    /// # Examples
    ///
    /// On a thread of its own, for as long as the process lives:
    ///
    /// ```
    /// use evenkeel_inspect::serve;
    /// use std::{future::pending, io, net::SocketAddr, thread};
    /// use tokio::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().enable_all().build()?;
    /// let server = runtime.block_on(serve(SocketAddr::from(([127, 0, 0, 1], 0))))?;
    /// println!("http://{}/debug/evenkeel", server.local_addr());
    /// thread::spawn(move || runtime.block_on(server.run(pending())));
    /// # Ok::<_, io::Error>(())
    /// ```
    pub async fn run(self, until: impl Future<Output = ()>) {
        let Self { listener, address, answers } = self;
        let is_local = is_loopback(address.ip());
        let mut until = pin!(until);
        let mut connections = JoinSet::new();
        loop {
            let accepted = poll_fn(|cx| {
                while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
                if until.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                // When it is full the end of a connection wakes it.
                if connections.len() < MAX_CONNECTIONS {
                    listener.poll_accept(cx).map(Some)
                } else {
                    Poll::Pending
                }
            });
            match accepted.await {
                Some(Ok((stream, _))) => {
                    drop(connections.spawn(connection(stream, answers.clone(), is_local)))
                }
                // No file descriptor was left, or the client has gone.
                Some(Err(_)) if timeout(ACCEPT_PAUSE, until.as_mut()).await.is_err() => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// Serves one connection, which has one request.
async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, answers: Answers, is_local: bool) {
    let service = service_fn(|request| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answer(&answers, is_local, &request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    // A client that has sent its request may close its half of the connection, as `nc -N` does.
    http.max_buf_size(MAX_REQUEST).keep_alive(false).half_close(true);
    // Errors are of the client: it has gone, or is too slow.
    drop(timeout(CONNECTION_TIMEOUT, http.serve_connection(TokioIo::new(stream), service)).await);
}

async fn answer<B>(answers: &Answers, is_local: bool, request: &Request<B>) -> Response<String> {
    if is_local && !names_this_machine(request.headers()) {
        return line(StatusCode::MISDIRECTED_REQUEST, "this server is called by an address, or as localhost");
    }
    let uri = request.uri();
    if uri.path() != PATH {
        return line(StatusCode::NOT_FOUND, "the dump is at /debug/evenkeel");
    }
    answers.answer(request.method(), uri.query(), request.headers()).await
}

/// Returns whether a request is for an address or `localhost`, and not for a name that somebody else has pointed to this machine.
fn names_this_machine(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_this_machine))
}

fn is_this_machine(host: &str) -> bool {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io::Read, net, rc::Rc};

    use evenkeel_testkit::cancel;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        runtime::Handle,
        time::{Instant, sleep},
    };

    use super::*;

    /// Sends these bytes, and returns all that comes back, and the time until the connection is closed.
    async fn exchange(request: &[u8]) -> (String, Duration) {
        let (mut client, server) = duplex(1 << 20);
        let start = Instant::now();
        let mut connections = JoinSet::new();
        connections.spawn(connection(server, Answers::of(Handle::current().id()), true));
        client.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        connections.join_next().await.unwrap().unwrap();
        (String::from_utf8(bytes).unwrap(), start.elapsed())
    }

    /// Sends a request with these headers, and returns the answer, which comes at once.
    async fn ask(line: &str, headers: &str) -> String {
        let request = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:80\r\n{headers}\r\n");
        let (answer, took) = exchange(request.as_bytes()).await;
        assert_eq!(took, Duration::ZERO, "{answer}");
        answer
    }

    fn assert_has(answer: &str, parts: &[&str]) {
        parts.iter().for_each(|part| assert!(answer.contains(part), "{part:?} is not in {answer}"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_form_has_its_type_and_is_not_kept() {
        for (line, headers, content_type, body) in [
            ("GET /debug/evenkeel", "", "text/html; charset=utf-8", "<!doctype html>"),
            (
                "GET /debug/evenkeel",
                "accept: text/plain\r\n",
                "text/plain; charset=utf-8",
                "nothing is known",
            ),
            ("GET /debug/evenkeel", "accept: application/json\r\n", "application/json", "{\"findings\":[]"),
            (
                "GET /debug/evenkeel?format=json",
                "accept: text/html\r\n",
                "application/json",
                "{\"findings\":[]",
            ),
            (
                "GET http://127.0.0.1/debug/evenkeel?format=text",
                "",
                "text/plain; charset=utf-8",
                "nothing is",
            ),
        ] {
            let answer = ask(line, headers).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            let (head, text) = answer.split_once("\r\n\r\n").unwrap();
            assert!(text.starts_with(body), "{answer}");
            assert_has(
                head,
                &[
                    &format!("content-type: {content_type}\r\n"),
                    &format!("content-length: {}\r\n", text.len()),
                    "cache-control: no-store",
                    "x-content-type-options: nosniff",
                    "vary: accept",
                    "connection: close",
                ],
            );
            assert_eq!(head.contains("content-security-policy: default-src 'none'"), body.starts_with('<'));
            // `HEAD` says the same without the text.
            let only_head = ask(&line.replacen("GET", "HEAD", 1), headers).await;
            let (its_head, rest) = only_head.split_once("\r\n\r\n").unwrap();
            let without_date = |head: &str| {
                let mut lines: Vec<_> =
                    head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!((without_date(its_head), rest), (without_date(head), ""));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_refused_in_the_words_of_http() {
        for path in
            ["/", "/debug", "/debug/evenkeel/", "//debug/evenkeel", "/debug/evenkeel/../evenkeel", "*"]
        {
            let answer = ask(&format!("GET {path}"), "").await;
            assert_has(
                &answer,
                &["HTTP/1.1 404 ", "cache-control: no-store", "the dump is at /debug/evenkeel\n"],
            );
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"] {
            let answer = ask(&format!("{method} /debug/evenkeel"), "").await;
            assert_has(&answer, &["HTTP/1.1 405 ", "allow: GET, HEAD\r\n", "cache-control: no-store"]);
        }
        assert_has(&ask("POST /debug/evenkeel", "content-length: 4\r\n").await, &["HTTP/1.1 405 "]);
        for (line, headers) in [
            ("GET /debug/evenkeel", "accept: image/png\r\n"),
            ("HEAD /debug/evenkeel", "accept: */*;q=0\r\n"),
            ("GET /debug/evenkeel?format=xml", ""),
        ] {
            assert_has(
                &ask(line, headers).await,
                &["HTTP/1.1 406 ", "vary: accept", "content-type: text/plain"],
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_somebody_pointed_to_this_machine_are_refused() {
        let host = async |host: &str| {
            exchange(format!("GET /debug/evenkeel?format=text HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())
                .await
                .0
        };
        for good in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "[::1]", "127.9.9.9:1"] {
            assert!(host(good).await.starts_with("HTTP/1.1 200 "), "{good}");
        }
        for bad in
            ["evil.test", "evil.test:80", "localhost.evil.test", "127.0.0.1.evil.test", "evil.test:", ""]
        {
            let answer = host(bad).await;
            assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("nothing is known"), "{answer}");
        }
        // No browser speaks so.
        let old = exchange(b"GET /debug/evenkeel HTTP/1.0\r\n\r\n").await.0;
        assert!(old.starts_with("HTTP/1.0 200 "), "{old}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_bounds() {
        // Nothing, or not enough, comes.
        for beginning in ["", "GET /debug/evenkeel HTTP/1.1\r\nhost: localhost\r\n"] {
            let (answer, took) = exchange(beginning.as_bytes()).await;
            assert_eq!((answer.contains(" 200 "), took), (false, REQUEST_TIMEOUT), "{answer}");
        }
        // Too much comes.
        for long in [
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(64 << 10)),
            "GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(10_000),
        ] {
            let (answer, took) = exchange((long + "host: localhost\r\n\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            assert_eq!(took, Duration::ZERO);
        }
        // It makes no sense.
        for nonsense in [
            &b"\0\xff\r\n\r\n"[..],
            b"GET\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
        ] {
            let (answer, _) = exchange(nonsense).await;
            assert!(!answer.contains(" 200 "), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_left() {
        let (mut client, server) = duplex(64);
        let start = Instant::now();
        let mut connections = JoinSet::new();
        connections.spawn(connection(server, Answers::of(Handle::current().id()), true));
        client.write_all(b"GET /debug/evenkeel HTTP/1.1\r\nhost: [::1]\r\n\r\n").await.unwrap();
        connections.join_next().await.unwrap().unwrap();
        assert_eq!(start.elapsed(), CONNECTION_TIMEOUT);
    }

    /// As `nc -N` does, also while another request looks.
    #[cfg(feature = "tower")]
    #[tokio::test(start_paused = true)]
    async fn a_client_that_closes_its_half_gets_its_answer() {
        let (mut client, server) = duplex(1 << 20);
        let answers = Answers::of(Handle::current().id());
        let turn = answers.hold().await;
        let mut connections = JoinSet::new();
        connections.spawn(connection(server, answers, true));
        client
            .write_all(b"GET /debug/evenkeel?format=text HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        drop(turn);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("nothing is known"), "{answer}");
    }

    #[test]
    fn each_host_that_a_request_names_counts() {
        let mut headers = HeaderMap::new();
        assert!(names_this_machine(&headers));
        headers.append(header::HOST, "localhost".parse().unwrap());
        assert!(names_this_machine(&headers));
        headers.append(header::HOST, "evil.test".parse().unwrap());
        assert!(!names_this_machine(&headers));
    }

    /// Dropped at each of its awaits it closes all connections, one that waits to be accepted as well.
    #[test]
    fn it_may_be_dropped_at_each_await() {
        let cuts = cancel::every_point(
            async || {
                let server = serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
                let client = net::TcpStream::connect(server.local_addr()).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                Rc::new((Cell::new(Some(server)), client))
            },
            async |state| {
                let server = state.0.take().expect("it runs once");
                server.run(sleep(Duration::from_secs(1))).await;
            },
            async |state| {
                // Of an operation that was not polled the server is still here.
                drop(state.0.take());
                let read = (&state.1).read(&mut [0]);
                assert!(!matches!(read, Ok(1..)) && !is_timeout(&read), "{read:?}");
            },
        );
        assert!(cuts.points() > 0);
    }

    fn is_timeout(read: &io::Result<usize>) -> bool {
        let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        read.as_ref().is_err_and(|error| kinds.contains(&error.kind()))
    }

    #[tokio::test]
    async fn it_is_bound_to_loopback_unless_told_otherwise() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            let error = serve(address.parse().unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let text = format!("{address} is not a loopback address: `serve_public` binds to others");
            assert_eq!(error.to_string(), text);
        }
        assert!(is_loopback("::ffff:127.0.0.1".parse().unwrap()) && is_loopback("::1".parse().unwrap()));
    }
}
