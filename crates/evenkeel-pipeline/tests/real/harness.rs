//! A schema for each test, and the loop of a worker.

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

use evenkeel_pipeline::{
    Ack as _, Delivery, Demand, PgAck, PgQueue, PgReceipt, PgSource, Settle, SettleOutcome, Source as _,
};
use evenkeel_postgres::{Database, tokio_postgres::Config};
use tokio::time::{sleep, timeout};

/// The time limit of a test: one that hangs fails.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) type PgDelivery = Delivery<Vec<u8>, PgReceipt>;

/// The schema of a test.
pub(crate) struct TestSchema {
    pub(crate) name: String,
    pub(crate) url: String,
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

/// The same with another time limit.
pub(crate) fn run_within<F, Fut>(limit: Duration, test: F)
where
    F: Fn(Arc<TestSchema>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for url in urls() {
        run_at(&url, limit, &|schema| Box::pin(test(schema)));
    }
}

/// The same in the thread of the test, whose future need not be sent to another one.
pub(crate) fn run_here(test: impl AsyncFn(&TestSchema)) {
    for url in urls() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let test: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(async {
            let schema = TestSchema::at(&url).await;
            timeout(LIMIT, test(&schema)).await.expect("the test hangs");
            schema.drop_all().await;
        });
        runtime.block_on(test);
    }
}

/// The servers that are there; a line tells of the others.
fn urls() -> Vec<String> {
    let url = |name| match env::var(name).ok().filter(|url| !url.is_empty()) {
        Some(url) => Some(url),
        None => {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: no PostgreSQL server at {name} (cargo xtask servers up)"
            );
            None
        }
    };
    ["EVENKEEL_TEST_POSTGRES", "EVENKEEL_TEST_POSTGRES18"].into_iter().filter_map(url).collect()
}

/// In a box: what runs it is compiled once, and not for each test.
type Test<'a> = &'a dyn Fn(Arc<TestSchema>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn run_at(url: &str, limit: Duration, test: Test<'_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let schema = Arc::new(TestSchema::at(url).await);
        let outcome = tokio::spawn(timeout(limit, test(Arc::clone(&schema)))).await;
        schema.drop_all().await;
        match outcome {
            Ok(ended) => ended.expect("the test hangs"),
            Err(error) => resume_unwind(error.into_panic()),
        }
    });
}

impl TestSchema {
    pub(crate) async fn at(url: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("queue_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let mut config: Config = url.parse().unwrap();
        config.application_name(&name);
        let admin = Database::builder(config.clone()).max(10).connect().await.unwrap();
        Self { name, url: url.to_owned(), config, admin }
    }

    pub(crate) async fn drop_all(&self) {
        self.admin.batch_execute(&format!("drop schema if exists {} cascade", self.name)).await.unwrap();
    }

    /// Returns a queue that is set up.
    pub(crate) async fn queue(&self, name: &str) -> PgQueue {
        let queue = self.queue_of(&self.admin, name);
        queue.set_up().await.unwrap();
        queue
    }

    pub(crate) fn queue_of(&self, db: &Database, name: &str) -> PgQueue {
        PgQueue::new(db, name).schema(&self.name)
    }

    pub(crate) async fn connect(&self) -> Database {
        Database::builder(self.config.clone()).max(4).connect().await.unwrap()
    }

    /// Returns a number that a statement selects; `{s}` stands for the schema.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.admin.fetch_scalar(&sql.replace("{s}", &self.name), ()).await.unwrap()
    }

    /// Returns a database of its own on the server, which [`drop_own`](Self::drop_own) removes.
    pub(crate) async fn own_database(&self) -> Database {
        self.admin.execute(&format!("create database {}", self.name), ()).await.unwrap();
        let mut config = self.config.clone();
        config.dbname(&self.name);
        Database::builder(config).max(4).connect().await.unwrap()
    }

    pub(crate) async fn drop_own(&self, db: Database) {
        let closed = db.close(Duration::from_secs(5)).await;
        assert!(closed.stragglers.is_empty());
        self.admin.execute(&format!("drop database {} with (force)", self.name), ()).await.unwrap();
    }

    pub(crate) async fn jobs(&self) -> i64 {
        self.number("select count(*) from {s}.job").await
    }
}

/// Asks for a number of jobs.
pub(crate) const fn items(items: usize) -> Demand {
    Demand { items, bytes: usize::MAX }
}

/// Pulls jobs within half a minute.
pub(crate) async fn pull(source: &mut PgSource, most: usize) -> Vec<PgDelivery> {
    timeout(Duration::from_secs(30), source.pull(items(most))).await.expect("jobs come").unwrap()
}

/// Pulls one job.
pub(crate) async fn one(source: &mut PgSource) -> PgDelivery {
    let mut jobs = pull(source, 1).await;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

/// Makes sure that a pull waits.
pub(crate) async fn none(source: &mut PgSource) {
    let pulled = timeout(Duration::from_millis(300), source.pull(items(100))).await;
    assert!(pulled.is_err(), "{pulled:?}");
}

/// Settles one job.
pub(crate) async fn settle(ack: &PgAck, receipt: PgReceipt, settle: Settle) -> SettleOutcome {
    ack.settle(&[(receipt, settle)]).await.unwrap()[0]
}

pub(crate) fn text(delivery: &PgDelivery) -> String {
    String::from_utf8(delivery.item.clone()).unwrap()
}

pub(crate) fn texts(deliveries: &[PgDelivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

/// Waits until the condition holds.
pub(crate) async fn until<Fut: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> Fut) {
    let waited = timeout(LIMIT / 2, async {
        while !so().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never happened that {what}");
}
