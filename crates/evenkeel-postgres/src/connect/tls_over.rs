//! TLS, or its absence, with a stream of our own over its stream.

use std::pin::Pin;

use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect, TlsStream},
};

/// TLS whose streams a function wraps.
pub(crate) struct TlsOver<T, F> {
    pub(crate) tls: T,
    pub(crate) wrap: F,
}

impl<T, F, S> MakeTlsConnect<Socket> for TlsOver<T, F>
where
    T: MakeTlsConnect<Socket>,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send + 'static,
    F: FnOnce(T::Stream) -> S + Copy + Send + 'static,
    S: TlsStream + Unpin,
{
    type Stream = S;
    type TlsConnect = TlsOver<T::TlsConnect, F>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(TlsOver { tls: self.tls.make_tls_connect(domain)?, wrap: self.wrap })
    }
}

impl<T, F, S> TlsConnect<Socket> for TlsOver<T, F>
where
    T: TlsConnect<Socket, Future: Send + 'static>,
    F: FnOnce(T::Stream) -> S + Send + 'static,
    S: TlsStream + Unpin,
{
    type Stream = S;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S, T::Error>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let connect = self.tls.connect(stream);
        Box::pin(async { connect.await.map(self.wrap) })
    }
}
