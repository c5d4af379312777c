//! Requests to cancel.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, NoTls, Socket};

use crate::connect::hosts::{Address, Peer};

/// Asks the server on the other side to cancel what a connection is busy with.
pub(crate) type Cancel = Arc<dyn Fn(CancelToken, Option<Peer>) -> Cancelling + Send + Sync>;

/// A failure is not told: the request is repeated until the statement has ended.
type Cancelling = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn cancel_with<F, Fut>(cancel: F) -> Cancel
where
    F: Fn(CancelToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    Arc::new(move |token, _| {
        let cancelling = cancel(token);
        Box::pin(async { drop(cancelling.await) })
    })
}

pub(crate) fn cancel_without_tls() -> Cancel {
    Arc::new(|token, peer| Box::pin(async move { drop(plainly(&token, peer).await) }))
}

/// Over TLS for a connection with TLS, and else without.
pub(crate) fn cancel_over<T>(tls: T) -> Cancel
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |token, peer| {
        let tls = UntilClosed(tls.clone());
        Box::pin(async move {
            let _ = match peer {
                Some(peer) if peer.is_encrypted => token.cancel_query(tls).await,
                peer => plainly(&token, peer).await,
            };
        })
    })
}

async fn plainly(token: &CancelToken, peer: Option<Peer>) -> Result<(), tokio_postgres::Error> {
    let Some(peer) = peer else {
        return token.cancel_query(NoTls).await;
    };
    match peer.address.open().await {
        Ok(stream) => token.cancel_query_raw(UntilClosed(stream), NoTls).await,
        // The server is gone, and the statement with it.
        Err(_) => Ok(()),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Address {
    async fn open(self) -> io::Result<Pin<Box<dyn Stream>>> {
        Ok(match self {
            Self::Tcp(addr, port) => Box::pin(TcpStream::connect((addr, port)).await?),
            Self::Unix(dir, port) => open_unix(dir, port).await?,
        })
    }
}

#[cfg(unix)]
async fn open_unix(dir: PathBuf, port: u16) -> io::Result<Pin<Box<dyn Stream>>> {
    Ok(Box::pin(UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).await?))
}

#[cfg(not(unix))]
async fn open_unix(_: PathBuf, _: u16) -> io::Result<Pin<Box<dyn Stream>>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Shuts nothing down, but waits until the other side closes: a pooler drops a request whose sender is gone before it
/// was passed on.
struct UntilClosed<T>(T);

impl<S: AsyncRead + Unpin> AsyncRead for UntilClosed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for UntilClosed<S> {
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
            // How it was closed does not matter.
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: TlsStream + Unpin> TlsStream for UntilClosed<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}

impl<T> MakeTlsConnect<Socket> for UntilClosed<T>
where
    T: MakeTlsConnect<Socket>,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
{
    type Stream = UntilClosed<T::Stream>;
    type TlsConnect = UntilClosed<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        self.0.make_tls_connect(domain).map(UntilClosed)
    }
}

impl<T> TlsConnect<Socket> for UntilClosed<T>
where
    T: TlsConnect<Socket, Future: Send + 'static>,
{
    type Stream = UntilClosed<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let connecting = self.0.connect(stream);
        Box::pin(async { connecting.await.map(UntilClosed) })
    }
}
