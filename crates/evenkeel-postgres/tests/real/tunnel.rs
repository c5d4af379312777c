//! A link to the server that a test can cut.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
};

use evenkeel_postgres::{
    deadpool_postgres::{Connect, Manager, ManagerConfig},
    tokio_postgres::{Client, Config, Error, NoTls, config::Host},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};

/// The moment at which the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// When this text is sent, before it arrives.
    Before(&'static str),
    /// When the server has answered to this text, before the answer arrives.
    After(&'static str),
}

/// Forwards connections to the server.
#[derive(Clone, Default)]
pub(crate) struct Tunnel {
    cut: Arc<Mutex<Option<Cut>>>,
}

impl Tunnel {
    pub(crate) fn manager(&self, config: &Config) -> Manager {
        Manager::from_connect(config.clone(), self.clone(), ManagerConfig::default())
    }

    pub(crate) fn cut(&self, cut: Cut) {
        *self.cut.lock().unwrap() = Some(cut);
    }

    /// Whether to cut now, which happens once.
    fn is_cut(&self, sent: &[u8]) -> Option<Cut> {
        let mut cut = self.cut.lock().unwrap();
        let (Cut::Before(words) | Cut::After(words)) = (*cut)?;
        sent.windows(words.len()).any(|part| part == words.as_bytes()).then(|| cut.take()).flatten()
    }
}

pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection to the server without a `Database`.
pub(crate) async fn dial(config: &Config) -> io::Result<Box<dyn Wire>> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok(match &config.get_hosts()[0] {
        Host::Tcp(host) => Box::new(TcpStream::connect((host.as_str(), port)).await?),
        Host::Unix(dir) => Box::new(UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).await?),
    })
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Tunnel {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let server = dial(&config).await.expect("the server is there");
            let (ours, theirs) = duplex(64 * 1024);
            tokio::spawn(self.clone().carry(theirs, server));
            let (client, connection) = config.connect_raw(ours, NoTls).await?;
            Ok((client, tokio::spawn(async { drop(connection.await) })))
        })
    }
}

impl Tunnel {
    async fn carry(self, client: DuplexStream, server: Box<dyn Wire>) {
        let (mut client_out, mut client_in) = split(client);
        let (mut server_out, mut server_in) = split(server);
        let (cut, mut cuts) = tokio::sync::mpsc::channel::<()>(1);
        let there = async {
            let mut bytes = vec![0; 64 * 1024];
            loop {
                let length = client_out.read(&mut bytes).await?;
                if length == 0 {
                    return io::Result::Ok(());
                }
                let found = self.is_cut(&bytes[..length]);
                if let Some(Cut::Before(_)) = found {
                    return Ok(());
                }
                if found.is_some() {
                    // The task that forwards answers ends at the next one.
                    cut.send(()).await.expect("it still listens");
                }
                server_in.write_all(&bytes[..length]).await?;
                server_in.flush().await?;
            }
        };
        let back = async {
            let mut bytes = vec![0; 64 * 1024];
            loop {
                let length = server_out.read(&mut bytes).await?;
                if length == 0 || cuts.try_recv().is_ok() {
                    return io::Result::Ok(());
                }
                client_in.write_all(&bytes[..length]).await?;
            }
        };
        tokio::select! {
            _ = there => {}
            _ = back => {}
        }
    }
}
