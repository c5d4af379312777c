//! Implementations on real servers.

use std::sync::Arc;

use evenkeel::postgres::Database;
use evenkeel_tck::{Adapter, pipeline::Settings};

use super::{
    async_nats::Loops,
    evenkeel::{jetstream::JetStreams, postgres::Postgres},
    servers::{Cluster, Nats},
};
use crate::real::ask;

/// An adapter, and the name and the version of its server.
type Opened = (Box<dyn Adapter<Settings>>, String);

/// An implementation on a server.
pub(crate) struct RealPeer {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) docs: &'static str,
    /// The variable that names a server, whose programs the servers of the rules are started from.
    pub(crate) server: &'static str,
    /// Opens the adapter, and tells the name and the version of its server.
    pub(crate) open: fn(url: &str) -> Result<Opened, String>,
    /// Rules that it fails, and why.
    pub(crate) fails: &'static [(&'static str, &'static str)],
}

const OURS: RealPeer = RealPeer {
    name: "evenkeel",
    package: "evenkeel-pipeline",
    docs: "https://docs.rs/evenkeel-pipeline",
    server: "EVENKEEL_TEST_POSTGRES",
    open: |url| {
        let (server, version) = ask(async {
            let version = "select current_setting('server_version_num')::int / 10000";
            let version = Database::connect(url)
                .await
                .map_err(|error| error.to_string())?
                .fetch_scalar(version, ())
                .await;
            let version: i32 = version.map_err(|error| error.to_string())?;
            Ok::<_, String>((Cluster::like(url).await?, version))
        })??;
        Ok((Box::new(Postgres { server: Arc::new(server) }), format!("PostgreSQL {version}")))
    },
    fails: &[],
};

const OURS_ON_NATS: RealPeer = RealPeer {
    server: "EVENKEEL_TEST_NATS",
    open: |url| {
        let (server, version) = nats(url)?;
        Ok((Box::new(JetStreams { server }), version))
    },
    ..OURS
};

/// The reasons of a stream of messages that knows nothing of the work on them.
const ASKS_AHEAD: &str = "the stream of messages asks for the next batch while the program works on the last one, and keeps it in a buffer";
const NO_PROGRESS: &str = "no lease is extended but by a program that sends `AckKind::Progress` itself";
const NO_LEASES: &str =
    "nothing tells the work on a message that its ack wait has passed, or that it was delivered again";

const ASYNC_NATS: RealPeer = RealPeer {
    name: "async-nats",
    package: "async-nats",
    docs: "https://docs.rs/async-nats/0.51.0/async_nats/jetstream/consumer/pull/index.html",
    server: "EVENKEEL_TEST_NATS",
    open: |url| {
        let (server, version) = nats(url)?;
        Ok((Box::new(Loops { server }), version))
    },
    fails: &[
        ("PIPELINE-11", ASKS_AHEAD),
        ("PIPELINE-13", ASKS_AHEAD),
        ("PIPELINE-24", NO_PROGRESS),
        ("PIPELINE-32", NO_LEASES),
        ("PIPELINE-33", NO_LEASES),
        ("PIPELINE-34", NO_LEASES),
        ("PIPELINE-101", NO_LEASES),
    ],
};

pub(crate) const IN_REAL_TIME: [RealPeer; 6] = [
    OURS,
    RealPeer { server: "EVENKEEL_TEST_POSTGRES18", ..OURS },
    OURS_ON_NATS,
    RealPeer { server: "EVENKEEL_TEST_NATS214", ..OURS_ON_NATS },
    ASYNC_NATS,
    RealPeer { server: "EVENKEEL_TEST_NATS214", ..ASYNC_NATS },
];

fn nats(url: &str) -> Result<(Arc<Nats>, String), String> {
    let client = ask(async { ::async_nats::connect(url).await.map(|client| client.server_info().version) })?;
    let version = client.map_err(|error| error.to_string())?;
    let server = Nats::like(url).map_err(|error| error.to_string())?;
    let version: Vec<&str> = version.split('.').take(2).collect();
    Ok((Arc::new(server), format!("NATS {}", version.join("."))))
}
