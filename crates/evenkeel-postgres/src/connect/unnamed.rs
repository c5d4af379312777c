//! A link whose prepared statements have no name on the server.
//!
//! # How it works
//!
//! A pooler in transaction mode may give each transaction another session of the server, which does not have the statements
//! that were prepared in the last one. The client prepares by name all the same: its own statements, by which it looks up
//! types, and ours, to learn the types of parameters and columns.
//!
//! [`UnnamedStream`] lies between the client and the socket, or its TLS, and keeps the texts of the statements. Where the
//! client prepares one by name, the server is asked to prepare it without a name; where it runs one, the text is sent ahead
//! in the same message. So each message is complete in itself, as poolers do it that keep track of statements.

mod rewrite;

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll, ready as ready_or_return},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};

use self::rewrite::{Answers, Requests};

const CHUNK: usize = 8 * 1024;

/// A stream whose prepared statements have no name on the server.
pub(crate) struct UnnamedStream<S> {
    stream: S,
    requests: Requests,
    answers: Answers,
    // Rewritten bytes that are not sent yet, or not read yet.
    sending: BytesMut,
    read: BytesMut,
    chunk: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> UnnamedStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            requests: Requests::default(),
            answers: Answers::default(),
            sending: BytesMut::new(),
            read: BytesMut::new(),
            chunk: vec![0; CHUNK].into(),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sending.is_empty() {
            match ready_or_return!(Pin::new(&mut self.stream).poll_write(cx, &self.sending))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sending.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for UnnamedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, requests, answers, read, chunk, .. } = &mut *self;
        while read.is_empty() {
            let mut filled = ReadBuf::new(chunk);
            ready_or_return!(Pin::new(&mut *stream).poll_read(cx, &mut filled))?;
            if filled.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            answers.rewrite(filled.filled(), read, requests);
        }
        let count = read.len().min(buf.remaining());
        buf.put_slice(&read[..count]);
        read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for UnnamedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready_or_return!(self.poll_send(cx))?;
        let Self { requests, sending, .. } = &mut *self;
        requests.rewrite(bytes, sending);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_or_return!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready_or_return!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for UnnamedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// No encryption, in the place of TLS: the client lets nothing else come between itself and its socket.
///
/// It is used with `sslnegotiation=direct`, by which the client says nothing about TLS to the server.
#[derive(Clone, Copy)]
pub(crate) struct PlainTls;

pub(crate) struct PlainStream<S>(S);

impl MakeTlsConnect<Socket> for PlainTls {
    type Stream = PlainStream<Socket>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Self> {
        Ok(Self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for PlainTls {
    type Stream = PlainStream<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<PlainStream<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(PlainStream(stream)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PlainStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for PlainStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
