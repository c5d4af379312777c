//! Connections to the servers of the tests, and a key for each test.

use std::{
    env,
    io::Write as _,
    pin::Pin,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use evenkeel_limit::distributed::{Distributed, RedisStore};
use redis::{
    Client,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use tokio::time::{sleep, timeout};

use crate::server::Server;

pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

const SERVERS: [(&str, &str); 2] = [("Redis", "EVENKEEL_TEST_REDIS"), ("Valkey", "EVENKEEL_TEST_VALKEY")];

/// Runs a test with the URL of each available server, one after the other.
pub(crate) fn run<Fut: Future<Output = ()>>(test: impl Fn(String) -> Fut) {
    for (name, variable) in SERVERS {
        let Ok(url) = env::var(variable) else {
            skip(&format!("no {name} server (cargo xtask servers up)"));
            continue;
        };
        let _ = writeln!(std::io::stderr(), "with {name}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The runtime's code is compiled once, and not for each test.
        let test: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(test(url));
        runtime.block_on(test);
    }
}

/// Runs a test with a server of its own of each kind that can be started.
pub(crate) fn run_alone<Fut: Future<Output = ()>>(test: impl Fn(Server) -> Fut) {
    run_alone_with(&[], test);
}

/// The same, with settings as in the server's configuration file: `["--timeout", "1"]`.
pub(crate) fn run_alone_with<Fut: Future<Output = ()>>(settings: &[&str], test: impl Fn(Server) -> Fut) {
    run(async |url| match Server::start(&url, settings).await {
        Some(server) => test(server).await,
        None => skip("its program cannot be started here"),
    });
}

pub(crate) fn store(url: &str) -> RedisStore {
    RedisStore::new(Client::open(url).unwrap())
}

pub(crate) fn connect(url: &str) -> ConnectionManager {
    let config = ConnectionManagerConfig::new()
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(50));
    ConnectionManager::new_lazy_with_config(Client::open(url).unwrap(), config).unwrap()
}

/// Returns a key that was never used.
pub(crate) fn key() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("evenkeel:test:{}:{}", process::id(), COUNT.fetch_add(1, Relaxed))
}

/// Waits until permits come from the server again, for five seconds at most.
pub(crate) async fn comes_back(quota: &Distributed) {
    let comes = async {
        loop {
            let granted = quota.acquire().await;
            if granted.is_ok() && !quota.snapshot().store_down {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), comes).await.unwrap_or_else(|_| panic!("{:?}", quota.snapshot()));
}
