//! Connects with rustls.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use evenkeel_pool::BoxError;
use tokio::task::spawn_blocking;
use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::{
    TlsOptions,
    client_config::{SystemRoots, client_config},
    error::TlsError,
};

/// A connector that does as the options say, of which each connection reads the files.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Settings>);

struct Settings {
    options: TlsOptions,
    /// Whether the server may not know before the handshake that it is asked for PostgreSQL.
    is_direct: bool,
    system: SystemRoots,
}

impl Connector {
    pub(crate) fn new(options: TlsOptions, is_direct: bool) -> Self {
        Self(Arc::new(Settings { options, is_direct, system: SystemRoots::new() }))
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake { settings: Arc::clone(&self.0), host: host.to_owned() })
    }
}

/// A connector for one host.
pub(crate) struct Handshake {
    settings: Arc<Settings>,
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, BoxError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let Self { settings, host } = self;
        Box::pin(async move {
            let is_direct = settings.is_direct;
            let mut config =
                spawn_blocking(move || client_config(&settings.options, &settings.system)).await??;
            if is_direct {
                config.alpn_protocols = vec![b"postgresql".to_vec()];
            }
            let mut connector = MakeRustlsConnect::new(config);
            let handshake = MakeTlsConnect::<Socket>::make_tls_connect(&mut connector, &host)
                .map_err(|error| TlsError::with_source(format!("`{host}` is no name of a host"), error))?;
            handshake.connect(socket).await.map_err(TlsError::of_handshake)
        })
    }
}
