//! A database of PostgreSQL for each rule.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::postgres::Database;
use evenkeel_tck::{AdapterError, BoxFuture, pipeline::Settings};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::servers::{Cluster, Restart as _, Signal, clock, config, streams::until_up};

/// The schema in whose name the clock is hidden.
const RULE: &str = "rule";

/// Creates the tables of a queue.
type SetUp = fn(PgPool) -> BoxFuture<'static, ()>;

pub(crate) struct Rule {
    pub(crate) server: Arc<Cluster>,
    pub(crate) name: String,
    pub(crate) settings: Settings,
    set_up: SetUp,
    /// On a way that is never cut.
    admin: OnceCell<(Database, PgPool)>,
}

pub(crate) fn refused(error: io::Error) -> AdapterError {
    AdapterError::Refused(error.to_string())
}

impl Rule {
    pub(crate) fn new(
        server: &Arc<Cluster>,
        settings: &Settings,
        set_up: SetUp,
    ) -> Result<Self, AdapterError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = match settings.stops {
            true => Arc::new(server.another().map_err(refused)?),
            false => Arc::clone(server),
        };
        let name = format!("rule_{}", COUNT.fetch_add(1, Relaxed));
        Ok(Self { server, name, settings: settings.clone(), set_up, admin: OnceCell::new() })
    }

    /// The database, with the tables of its queue.
    pub(crate) async fn admin(&self) -> &(Database, PgPool) {
        let create = || async {
            let port = self.server.port();
            let server = until_up(|| Database::builder(config(port)).max(1).connect()).await;
            let create = format!("create database {}", self.name);
            until_up(|| server.batch_execute(&create)).await;
            let mut config = config(port);
            config.dbname(&self.name);
            let db = until_up(|| Database::builder(config.clone()).max(1).connect()).await;
            if self.settings.sets_clock {
                let hidden = clock::hidden(RULE);
                until_up(|| db.batch_execute(&hidden)).await;
            }
            let pool = until_up(|| self.pool(port, 2)).await;
            (self.set_up)(pool.clone()).await;
            (db, pool)
        };
        self.admin.get_or_init(create).await
    }

    /// Connections to the database over a port.
    pub(crate) async fn pool(&self, port: u16, max: u32) -> Result<PgPool, sqlx::Error> {
        let mut options =
            PgConnectOptions::new().host("127.0.0.1").port(port).username("postgres").database(&self.name);
        if self.settings.sets_clock {
            options = options.options([("search_path", format!("{RULE}_clock,public,pg_catalog"))]);
        }
        // A pool is patient by default, longer than a rule.
        let patience = Duration::from_secs(5);
        PgPoolOptions::new().max_connections(max).acquire_timeout(patience).connect_with(options).await
    }

    /// The number that a statement selects; none without its table.
    pub(crate) async fn count(&self, sql: &str) -> usize {
        let (db, _) = self.admin().await;
        let count = || async {
            match db.fetch_scalar::<i64>(sql, ()).await {
                Err(error) if error.code().is_some_and(|code| code.code().starts_with("42")) => Ok(0),
                counted => counted,
            }
        };
        until_up(count).await as usize
    }

    /// The sessions that listen for jobs.
    pub(crate) async fn listeners(&self) -> usize {
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
        self.count(sql).await
    }

    /// Waits until a worker listens beside so many, for a time: it takes what a server needs, and no time of the rule.
    pub(crate) async fn until_one_more_listens(&self, before: usize) {
        let wait = async {
            while self.listeners().await <= before {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(Duration::from_secs(5), wait).await;
    }

    pub(crate) async fn set_clock(&self, by: f64) {
        let (db, _) = self.admin().await;
        let set = clock::set(RULE);
        until_up(|| db.execute(&set, (by,))).await;
    }

    /// Deletes a schema.
    pub(crate) async fn delete(&self, schema: &str) {
        let (db, _) = self.admin().await;
        let sql = format!("drop schema {schema} cascade");
        until_up(|| db.batch_execute(&sql)).await;
    }

    pub(crate) fn stop(&self, signal: Signal, downtime: Duration) {
        self.server.restart(signal, downtime);
    }
}
