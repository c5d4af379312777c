//! A schema for each test.

use std::env;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use evenkeel_postgres::{Builder, Database, Error, tokio_postgres::Config};
use tokio::time::{sleep, timeout};

/// No test takes that long; one that hangs fails.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a test works: its schema is the search path of all its connections, and its name that of the application.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) admin: Database,
}

/// Runs a test in a place of its own on each server that there is.
pub(crate) fn run<F, Fut>(test: F)
where
    F: Fn(Arc<Place>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for name in ["EVENKEEL_TEST_POSTGRES", "EVENKEEL_TEST_POSTGRES18"] {
        match server(name) {
            Some(url) => run_at(&url, &test),
            None => skip("PostgreSQL server", name),
        }
    }
}

/// What the environment names, if it does.
pub(crate) fn server(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn skip(what: &str, name: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {what} at {name} (cargo xtask servers up)");
}

fn run_at<F, Fut>(url: &str, test: &F)
where
    F: Fn(Arc<Place>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let config: Config = url.parse().unwrap();
        let admin = Database::builder(config.clone()).max(1).connect().await.unwrap();
        admin.batch_execute(&format!("create schema {name}")).await.unwrap();
        let place = Arc::new(Place { config: configured(config, &name, ""), name, admin });

        let outcome = tokio::spawn(timeout(LIMIT, test(Arc::clone(&place)))).await;

        let drop = format!("drop schema {} cascade", place.name);
        place.admin.batch_execute(&drop).await.unwrap();
        match outcome {
            Ok(ended) => ended.expect("the test hangs"),
            Err(error) => resume_unwind(error.into_panic()),
        }
    });
}

fn configured(mut config: Config, name: &str, options: &str) -> Config {
    config.application_name(name).options(format!("-c search_path={name} {options}"));
    config
}

impl Place {
    pub(crate) fn builder(&self) -> Builder {
        Database::builder(self.config.clone())
    }

    /// A database of at most so many connections.
    pub(crate) async fn db(&self, max: usize) -> Database {
        self.builder().max(max).connect().await.unwrap()
    }

    /// A database whose connections have other settings.
    pub(crate) async fn db_with(&self, max: usize, options: &str) -> Database {
        let config = configured(self.config.clone(), &self.name, options);
        Database::builder(config).max(max).connect().await.unwrap()
    }

    /// How many backends of this test are in a state like this.
    pub(crate) async fn backends(&self, state: &str) -> i64 {
        let sql = "select count(*) from pg_stat_activity where application_name = $1 and state like $2";
        let (count,): (i64,) = self.admin.fetch_one(sql, (&self.name, state)).await.unwrap();
        count
    }

    /// Waits until so many backends of this test are in a state like this.
    pub(crate) async fn until_backends(&self, state: &str, count: i64) {
        until(&format!("{count} backends are {state}"), async || self.backends(state).await == count).await;
    }

    /// Waits until the server is in the middle of a `pg_sleep` of this test.
    pub(crate) async fn until_asleep(&self) {
        let sql =
            "select count(*) from pg_stat_activity where application_name = $1 and wait_event = 'PgSleep'";
        let asleep = async || self.admin.fetch_one::<(i64,)>(sql, (&self.name,)).await.unwrap().0 > 0;
        until("it sleeps", asleep).await;
    }

    /// Ends this backend.
    pub(crate) async fn kill(&self, pid: i32) {
        let (killed,): (bool,) =
            self.admin.fetch_one("select pg_terminate_backend($1)", (pid,)).await.unwrap();
        assert!(killed);
    }
}

/// Waits until it is so.
pub(crate) async fn until<Fut: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> Fut) {
    let waited = timeout(LIMIT / 2, async {
        while !so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never happened that {what}");
}

/// The process of the connection that the next call would get.
pub(crate) async fn pid(db: &Database) -> i32 {
    let (pid,): (i32,) = db.fetch_one("select pg_backend_pid()", ()).await.unwrap();
    pid
}

/// The one number that the statement gives.
pub(crate) async fn number(db: &Database, sql: &str) -> i64 {
    let (number,): (i64,) = db.fetch_one(sql, ()).await.unwrap();
    number
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().expect("the server said something").code().to_owned()
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
