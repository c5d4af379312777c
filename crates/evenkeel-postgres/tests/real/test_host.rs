//! Hosts of a test: ports that lead to a server.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use evenkeel_postgres::tokio_postgres::Config;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional, split},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::tunnel::dial;

/// A host of a test: its port, and the number of connections to it.
pub(crate) struct TestHost {
    pub(crate) port: u16,
    pub(crate) seen: Arc<AtomicUsize>,
}

/// Returns a host that leads to the server.
pub(crate) async fn good(config: &Config) -> TestHost {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let (config, count) = (config.clone(), Arc::clone(&seen));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            count.fetch_add(1, SeqCst);
            let mut server = dial(&config).await.unwrap();
            tokio::spawn(async move { drop(copy_bidirectional(&mut client, &mut server).await) });
        }
    });
    TestHost { port, seen }
}

/// The settings of a test, with these hosts.
pub(crate) fn at(schema: &Config, hosts: &[&TestHost]) -> Config {
    let mut config = Config::new();
    config.user(schema.get_user().unwrap()).dbname(schema.get_dbname().unwrap());
    schema.get_password().map(|password| config.password(password));
    schema.get_options().map(|options| config.options(options));
    schema.get_application_name().map(|name| config.application_name(name));
    for host in hosts {
        config.host("127.0.0.1").port(host.port);
    }
    config
}

/// Forwards to a server with a delay, and counts how often the client sends after it has read.
pub(crate) async fn counting(config: &Config) -> (TestHost, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = TestHost { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
    let turns = Arc::new(AtomicUsize::new(0));
    let (config, counted) = (config.clone(), Arc::clone(&turns));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (server, counted) = (dial(&config).await.unwrap(), Arc::clone(&counted));
            tokio::spawn(forward(client, server, counted));
        }
    });
    (host, turns)
}

async fn forward(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Send + 'static,
    turns: Arc<AtomicUsize>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = split(server);
    let has_read = Arc::new(AtomicBool::new(true));
    let reads = Arc::clone(&has_read);
    let answers = tokio::spawn(async move {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            sleep(Duration::from_millis(30)).await;
            reads.store(true, Relaxed);
            if to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
        turns.fetch_add(usize::from(has_read.swap(false, Relaxed)), Relaxed);
        if to_server.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    answers.abort();
}
