//! Hosts of a test: ports that lead to a server.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use evenkeel_postgres::tokio_postgres::Config;
use tokio::{io::copy_bidirectional, net::TcpListener};

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
