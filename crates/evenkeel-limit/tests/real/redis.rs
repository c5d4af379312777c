//! A key for each test.

use std::{
    env,
    io::Write as _,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use redis::{
    Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::server::Server;

fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Runs a test with the URL of the server, if there is one.
pub(crate) fn run<Fut: Future<Output = ()>>(test: impl FnOnce(String) -> Fut) {
    let Ok(url) = env::var("EVENKEEL_TEST_REDIS") else {
        return skip("no Redis server (cargo xtask servers up)");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(url));
}

/// Runs a test with a server of its own, if it can be started.
pub(crate) fn run_alone<Fut: Future<Output = ()>>(test: impl FnOnce(Server) -> Fut) {
    run(async |url| match Server::start(&url).await {
        Some(server) => test(server).await,
        None => skip("no redis-server that can be started here"),
    });
}

pub(crate) fn connect(url: &str) -> ConnectionManager {
    let config = ConnectionManagerConfig::new()
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(50));
    ConnectionManager::new_lazy_with_config(Client::open(url).unwrap(), config).unwrap()
}

/// A key that nobody has used.
pub(crate) fn key() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("evenkeel:test:{}:{}", process::id(), COUNT.fetch_add(1, Relaxed))
}
