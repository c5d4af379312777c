//! `MemStream`, one end of a connection.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::poll_proceed,
};

use super::{direction::Direction, link::Link, pipe::End};

/// One end of a connection of a [`MemNet`](super::MemNet).
///
/// The buffer of each direction is bounded: a write waits when the other side does not read. Both ends see the
/// faults of the [`Link`] as they would on a socket:
///
/// | event | reads | writes |
/// |---|---|---|
/// | the other end was shut down | the rest, then the end of the stream | go on |
/// | the other end was dropped, or the link was cut | the rest, then the end of the stream | `BrokenPipe` |
/// | the other end, or the link, reset the connection | the rest, then `ConnectionReset` | `ConnectionReset` |
///
/// "The rest" is the bytes sent before; they arrive, and then the event, with the delays of the link.
///
/// # Cancel safety
///
/// A read that is dropped has taken no byte; a `write` that is dropped has sent none. (`read_exact` and
/// `write_all` of tokio are several of them.)
///
/// # Why not just use `tokio::io::duplex`?
///
/// It has no latency and no faults: neither of its halves can see a reset, and an error of one direction cannot
/// reach the other.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet};
/// use std::io::ErrorKind;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let mut listener = net.listen("api.test:80").unwrap();
///     let mut client = net.connect("api.test:80").await.unwrap();
///     let mut server = listener.accept().await;
///
///     server.write_all(b"half an ans").await.unwrap();
///     server.reset();
///     let mut answer = vec![];
///     let error = client.read_to_end(&mut answer).await.unwrap_err();
///     assert_eq!((&*answer, error.kind()), (&b"half an ans"[..], ErrorKind::ConnectionReset));
///     assert!(client.write_all(b"again").await.is_err());
/// });
/// ```
pub struct MemStream {
    link: Link,
    id: u64,
    /// The direction that it writes to.
    direction: Direction,
    /// How it ends when it is dropped.
    end: End,
}

impl MemStream {
    pub(super) fn new(link: Link, id: u64, direction: Direction) -> Self {
        MemStream { link, id, direction, end: End::Close }
    }

    /// Drops it so that the other end reads `ConnectionReset`, after the bytes sent before.
    pub fn reset(mut self) {
        self.end = End::Reset;
    }

    /// The name of the other side: the address that a client connected to, or the client's host.
    #[must_use]
    pub fn peer(&self) -> &str {
        match self.direction {
            Direction::Up => self.link.address(),
            Direction::Down => self.link.host(),
        }
    }

    /// The link that it uses.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl AsyncRead for MemStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let coop = ready!(poll_proceed(cx));
        let direction = self.direction.reverse();
        let result =
            self.link.poll(self.id, cx, |connection, now, waker| connection.read(direction, now, waker, buf));
        if result.is_ready() {
            coop.made_progress();
        }
        result
    }
}

impl AsyncWrite for MemStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(poll_proceed(cx));
        let direction = self.direction;
        let result = self
            .link
            .poll(self.id, cx, |connection, now, waker| connection.write(direction, now, waker, slices));
        if result.is_ready() {
            coop.made_progress();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.with(self.id, |connection, now| connection.shut_down(self.direction, now));
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemStream {
    fn drop(&mut self) {
        self.link.with(self.id, |connection, now| connection.stream_dropped(self.direction, now, self.end));
    }
}

impl fmt::Debug for MemStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemStream").field("peer", &self.peer()).finish_non_exhaustive()
    }
}
