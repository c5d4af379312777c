//! A schema for each test.

use std::{
    env,
    io::Write as _,
    panic::resume_unwind,
    pin::Pin,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::{Builder, Database, Error, tokio_postgres::Config};
use tokio::time::{sleep, timeout};

/// The time limit of a test: one that hangs fails.
const LIMIT: Duration = Duration::from_secs(60);

/// The schema of a test: the search path of all its connections. Its name is also the application name.
pub(crate) struct TestSchema {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) admin: Database,
}

/// Runs a test in a schema of its own on each available server.
pub(crate) fn run<F, Fut>(test: F)
where
    F: Fn(Arc<TestSchema>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    run_within(LIMIT, test);
}

/// The same for a test that may take longer.
pub(crate) fn run_within<F, Fut>(limit: Duration, test: F)
where
    F: Fn(Arc<TestSchema>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for name in ["EVENKEEL_TEST_POSTGRES", "EVENKEEL_TEST_POSTGRES18"] {
        match server(name) {
            Some(url) => run_at(&url, limit, &|schema| Box::pin(test(schema))),
            None => skip("PostgreSQL server", name),
        }
    }
}

/// Returns the server that the environment names, if it names one.
pub(crate) fn server(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn skip(what: &str, name: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {what} at {name} (cargo xtask servers up)");
}

/// In a box: what runs it is compiled once, and not for each test.
type Test<'a> = &'a dyn Fn(Arc<TestSchema>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn run_at(url: &str, limit: Duration, test: Test<'_>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let config: Config = url.parse().unwrap();
        let admin = Database::builder(config.clone()).max(1).connect().await.unwrap();
        admin.batch_execute(&format!("create schema {name}")).await.unwrap();
        let schema = Arc::new(TestSchema { config: configured(config, &name, ""), name, admin });

        let outcome = tokio::spawn(timeout(limit, test(Arc::clone(&schema)))).await;

        let drop = format!("drop schema {} cascade", schema.name);
        schema.admin.batch_execute(&drop).await.unwrap();
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

impl TestSchema {
    pub(crate) fn builder(&self) -> Builder {
        Database::builder(self.config.clone())
    }

    /// A database with this maximum of connections.
    pub(crate) async fn db(&self, max: usize) -> Database {
        self.builder().max(max).connect().await.unwrap()
    }

    /// A database whose connections have other settings.
    pub(crate) async fn db_with(&self, max: usize, options: &str) -> Database {
        let config = configured(self.config.clone(), &self.name, options);
        Database::builder(config).max(max).connect().await.unwrap()
    }

    /// Returns the number of backends of this test in a state like this.
    pub(crate) async fn backends(&self, state: &str) -> i64 {
        let sql = "select count(*) from pg_stat_activity where application_name = $1 and state like $2";
        let (count,): (i64,) = self.admin.fetch_one(sql, (&self.name, state)).await.unwrap();
        count
    }

    /// Waits until this number of backends of this test are in a state like this.
    pub(crate) async fn until_backends(&self, state: &str, count: i64) {
        until(&format!("{count} backends are {state}"), async || self.backends(state).await == count).await;
    }

    /// Waits until the server runs a `pg_sleep` of this test.
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

/// Waits until the condition holds.
pub(crate) async fn until<Fut: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> Fut) {
    let waited = timeout(LIMIT / 2, async {
        while !so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never happened that {what}");
}

/// Returns the backend of the connection that the next call gets.
pub(crate) async fn pid(db: &Database) -> i32 {
    let (pid,): (i32,) = db.fetch_one("select pg_backend_pid()", ()).await.unwrap();
    pid
}

/// Returns the one number that the statement returns.
pub(crate) async fn number(db: &Database, sql: &str) -> i64 {
    let (number,): (i64,) = db.fetch_one(sql, ()).await.unwrap();
    number
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().expect("the server said something").code().to_owned()
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
