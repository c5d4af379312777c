//! A database over the server in memory of the test kit, which has tables, portals and `COPY`.

use evenkeel_postgres::{
    Builder, Database,
    deadpool_postgres::{Manager, ManagerConfig},
    tokio_postgres::Config,
};
use evenkeel_testkit::net::MemNet;
use evenkeel_testkit_pg::Server;

pub(crate) fn server() -> Server {
    Server::mem(&MemNet::new(), "db.test").unwrap()
}

/// A database of one connection at most.
pub(crate) fn builder(server: &Server) -> Builder {
    let mut config = Config::new();
    config.user("app");
    let connector = server.connector();
    Database::over(Manager::from_connect(config, server.connector(), ManagerConfig::default()))
        .max(1)
        .cancel_with(move |token| {
            let connector = connector.clone();
            async move { connector.cancel(&token).await }
        })
}

/// An error and its causes, each of which is told once.
pub(crate) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let chain: Vec<_> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    for index in 1..chain.len() {
        let (text, rest) = (&chain[index], chain[index..].join(": "));
        let repeats = |above: &String| above.ends_with(text) || above.ends_with(&rest);
        assert!(!chain[..index].iter().any(repeats), "{chain:#?}");
    }
    chain
}
