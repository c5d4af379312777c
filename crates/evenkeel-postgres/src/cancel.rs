//! Requests to cancel the statement of a connection, over a link of their own.
//!
//! PgBouncer drops a request whose link is closed before it has passed it on. So a request is sent, and its link read
//! until the other side closes it: [`AwaitClose`].

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::{
    CancelToken, NoTls, Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};

use crate::connect::{Address, Peer, tls_over::TlsOver, unnamed::PlainTls};

/// Asks the server to cancel the statement of a connection.
pub(crate) type CancelRequest = Arc<dyn Fn(CancelToken, Option<Peer>) -> CancelFuture + Send + Sync>;

/// A failure is of no account: the request is repeated until the statement has ended.
type CancelFuture = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

pub(crate) fn cancel_with<F, Fut>(cancel: F) -> CancelRequest
where
    F: Fn(CancelToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    Arc::new(move |token, _| Box::pin(cancel(token)))
}

/// Requests over TLS if the connection has TLS, and without it otherwise.
pub(crate) fn cancel_with_tls<T>(tls: T) -> CancelRequest
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |token, peer| {
        let tls = TlsOver { tls: tls.clone(), wrap: AwaitClose };
        Box::pin(async move {
            match peer {
                Some(peer) if peer.is_encrypted => token.cancel_query(tls).await,
                peer => request_without_tls(&token, peer).await,
            }
        })
    })
}

async fn request_without_tls(token: &CancelToken, peer: Option<Peer>) -> Result<(), tokio_postgres::Error> {
    let Some(peer) = peer else {
        return token.cancel_query(NoTls).await;
    };
    match peer.address.open().await {
        Ok(stream) if peer.has_plain_tls => token.cancel_query_raw(AwaitClose(stream), PlainTls).await,
        Ok(stream) => token.cancel_query_raw(AwaitClose(stream), NoTls).await,
        // The server has gone, and so has the statement.
        Err(_) => Ok(()),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Address {
    async fn open(self) -> io::Result<Pin<Box<dyn Stream>>> {
        Ok(match self {
            Self::Tcp(addr, port) => Box::pin(TcpStream::connect((addr, port)).await?),
            Self::Unix(dir, port) => open_unix(Self::unix_socket(&dir, port)).await?,
        })
    }
}

#[cfg(unix)]
async fn open_unix(socket: PathBuf) -> io::Result<Pin<Box<dyn Stream>>> {
    Ok(Box::pin(UnixStream::connect(socket).await?))
}

#[cfg(not(unix))]
async fn open_unix(_: PathBuf) -> io::Result<Pin<Box<dyn Stream>>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A stream whose shutdown waits until the other side closes instead.
struct AwaitClose<T>(T);

impl<S: AsyncRead + Unpin> AsyncRead for AwaitClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AwaitClose<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 64];
            let mut buf = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf));
            // An error closes it as well.
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: TlsStream + Unpin> TlsStream for AwaitClose<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}
