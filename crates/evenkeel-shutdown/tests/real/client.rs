//! A client on bare sockets, which sees how a server treats its connections.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A connection of HTTP/1.1 that is kept alive.
pub(crate) struct Http1(BufReader<TcpStream>);

impl Http1 {
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(server).await?)))
    }

    pub(crate) async fn send(&mut self, path: &str) -> io::Result<()> {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await
    }

    /// Returns the status of the next answer.
    pub(crate) async fn answer(&mut self) -> io::Result<u16> {
        let mut length = 0;
        let mut status = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().map_err(io::Error::other)?;
            } else if let Some(rest) = text.strip_prefix("content-length: ") {
                length = rest.parse().map_err(io::Error::other)?;
            } else if text.is_empty() {
                break;
            }
        }
        self.0.read_exact(&mut vec![0; length]).await?;
        Ok(status)
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<u16> {
        self.send(path).await?;
        self.answer().await
    }

    /// Waits until the server closes the connection, with nothing more to read.
    pub(crate) async fn closed(mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0))
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn get(server: SocketAddr, path: &str) -> io::Result<u16> {
    Http1::connect(server).await?.get(path).await
}

/// A connection of HTTP/2, and the task that drives it.
pub(crate) struct Http2 {
    send: SendRequest<Empty<Bytes>>,
    pub(crate) connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub(crate) async fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TokioIo::new(TcpStream::connect(server).await?);
        let (send, connection) = handshake(TokioExecutor::new(), stream).await.map_err(io::Error::other)?;
        Ok(Self { send, connection: tokio::spawn(connection) })
    }

    /// Sends a request; the answer can be awaited separately.
    pub(crate) fn get(
        &self,
        path: &str,
    ) -> impl Future<Output = hyper::Result<u16>> + Send + 'static + use<> {
        let request = Request::get(format!("http://test{path}")).body(Empty::new()).expect("it is one");
        let mut send = self.send.clone();
        async move {
            send.ready().await?;
            let (head, body) = send.send_request(request).await?.into_parts();
            body.collect().await?;
            Ok(head.status.as_u16())
        }
    }
}

/// A websocket, which sends nothing.
pub(crate) struct Socket(TcpStream);

impl Socket {
    pub(crate) async fn connect(server: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        // Byte by byte, so that no frame is consumed.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if head.starts_with(b"HTTP/1.1 101") { Ok(Self(stream)) } else { Err(io::Error::other("no upgrade")) }
    }

    /// Returns the kind of the next frame, all of which are short and not masked; 8 is the close frame.
    pub(crate) async fn frame(&mut self) -> io::Result<u8> {
        let kind = self.0.read_u8().await? & 0x0f;
        let length = usize::from(self.0.read_u8().await? & 0x7f);
        self.0.read_exact(&mut vec![0; length]).await?;
        Ok(kind)
    }

    /// Sends the close frame.
    pub(crate) async fn bye(&mut self) -> io::Result<()> {
        self.0.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await
    }
}
