//! The store in a PostgreSQL database.

use std::{
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use evenkeel::{
    postgres::{
        Database, Error, Tx, TxOptions,
        tokio_postgres::{Client, Config, NoTls},
    },
    task::Stop,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Entry, Left, POLICY, Page, StoreError, Totals, Trouble,
    lease::{self, Run},
    location::{SCHEMA, chain, sets_search_path},
    reason, sql,
};
use crate::{
    api::Fetched,
    model::{Call, Document},
    stats::{Failure, Stats},
};

/// How long a connection may take: in this time it is tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// A batch is stored while a page is.
const CONNECTIONS: usize = 2;

/// Ends the connections of this name.
const KILL: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";

/// The time by the clock of the server, in seconds.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) AS BIGINT)";

/// A transaction that lasts as long as the run: it changes nothing, and holds a lock that ends with it. A server
/// gives the lock of a client that vanished away after half a minute.
const BEGIN_LOCK: &str = "
    BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";
/// The table stands for the store: there may be others in the database. The number is that of this program.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(1751216758, 'harvest_lease'::regclass::oid::int4)";

/// `IF NOT EXISTS` does not wait for somebody else who is making the same table, and fails.
const PREPARE_LOCK: &str = "SELECT pg_advisory_xact_lock(1751216758, 0)";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    config: Box<Config>,
    db: Database,
    stats: Arc<Stats>,
    /// What the server knows this run's connections by.
    name: String,
    run: Run,
    lock: Arc<OnceLock<Lock>>,
}

/// The session whose lock is this run's.
#[derive(Debug)]
struct Lock {
    client: Client,
    _connection: JoinSet<()>,
}

impl Postgres {
    /// Connects, and makes the tables unless they are there.
    pub(super) async fn open(config: &Config, stats: Arc<Stats>) -> Result<Self, StoreError> {
        let name = format!("harvest {}", process::id());
        let db = connect(config, &name, CONNECTIONS).await?;
        let (encoding,): (String,) = db.fetch_one("SHOW server_encoding", ()).await?;
        if encoding != "UTF8" {
            let reason = format!("its encoding is {encoding}, which has not every character; it takes UTF8");
            return Err(StoreError::lasting(reason));
        }
        let make_schema = !sets_search_path(config);
        db.transaction(TxOptions::new(), async |tx| prepare(&tx, make_schema).await).await?;
        let config = Box::new(config.clone());
        Ok(Self { config, db, stats, name, run: Run::this(), lock: Arc::default() })
    }

    pub(super) async fn begin(&self, source: &str, first: &str) -> Result<Left, StoreError> {
        self.lock().await?;
        let run = &self.run;
        let left = self.db.transaction(TxOptions::new(), async |tx| begin(&tx, run, source, first).await);
        Ok(left.await?)
    }

    /// Takes the lock, for as long as this process lives.
    async fn lock(&self) -> Result<(), StoreError> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        let config = configured(&self.config, &format!("{} lease", self.name));
        let connected = POLICY.run(|| Lock::connect(&config)).when(|error| error.passes).await;
        let lock = connected.map_err(|gave_up| StoreError::lasting(reason(&gave_up)))?;
        let deadline = Instant::now() + lease::PATIENCE;
        loop {
            if lock.client.query_one(LOCK, &[]).await.map_err(Error::Statement)?.get(0) {
                let _ = self.lock.set(lock);
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(lease::in_use(
                    self.db.fetch_opt(&lease::with_clock(sql::HOLDER, NOW), ()).await?,
                ));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stores an entry, all or nothing.
    pub(super) async fn write(&self, entry: Arc<Entry>) -> Result<Totals, StoreError> {
        let written = self.db.transaction(TxOptions::new(), async |tx| {
            // Who takes the store over waits for this transaction, and the next one finds another token.
            let lease = format!("{} FOR SHARE", sql::LEASE);
            let (token, holder): (String, String) = tx.fetch_one(&lease, ()).await?;
            if token != self.run.token {
                return Ok(Err(holder));
            }
            match &*entry {
                Entry::Page(page) => self.turn(&tx, page).await?,
                Entry::Batch(batch) => self.save(&tx, batch).await?,
                Entry::End(failure) => end(&tx, failure).await?,
            }
            let totals: (i64, i64, i64, i64) = tx.fetch_one(sql::TOTALS, ()).await?;
            Ok::<_, Error>(Ok(Totals::new(totals.into())))
        });
        written.await?.map_err(|holder| lease::taken(&holder))
    }

    pub(super) async fn totals(&self) -> Result<Totals, StoreError> {
        // A transaction that nobody waits for any more may be about to change them: this waits for it.
        let sql = format!("{} FOR UPDATE", sql::TOTALS);
        Ok(Totals::new(self.db.fetch_one::<(i64, i64, i64, i64)>(&sql, ()).await?.into()))
    }

    /// Ends the run's connections now and then, or locks its tables, as an administrator might.
    pub(super) async fn disturb(&self, mut trouble: Trouble, end: &Stop) -> Result<(), StoreError> {
        let other = connect(&self.config, "harvest chaos", 1).await?;
        while trouble.pause(end).await {
            if trouble.draw(2) == 0 {
                other.fetch_one::<(i64,)>(KILL, (&self.name,)).await?;
            } else {
                let time = trouble.hold();
                let lock = async |tx: Tx| {
                    tx.batch_execute("LOCK TABLE harvest_users IN EXCLUSIVE MODE").await?;
                    sleep(time).await;
                    Ok::<_, Error>(())
                };
                other.transaction(TxOptions::new(), lock).await?;
            }
        }
        Ok(())
    }

    async fn turn(&self, tx: &Tx, page: &Page) -> Result<(), Error> {
        self.leased();
        let users = page.users.iter();
        let users: Vec<_> = users.map(|user| (user.id, &*user.name, &*user.email, user.active)).collect();
        let listed = tx.execute_many(sql::LIST_USER, &users).await? as i64;
        failed(tx, page.failures.iter()).await?;
        tx.execute(sql::TURN, (&page.next, listed, &page.this)).await.map(drop)
    }

    async fn save(&self, tx: &Tx, batch: &[Fetched]) -> Result<(), Error> {
        self.leased();
        let (mut orders_read, mut orders, mut prefs_read) = (Vec::new(), Vec::new(), Vec::new());
        for Fetched { call: Call { user, .. }, document, .. } in batch {
            match document {
                Document::Orders(read) => {
                    orders_read.push((*user,));
                    orders.extend(read.iter().map(|order| (order.id, *user, order.cents, &*order.currency)));
                }
                Document::Prefs(prefs) => {
                    let prefs = prefs.as_ref();
                    let theme = prefs.map(|prefs| prefs.theme.as_str());
                    let locale = prefs.map(|prefs| prefs.locale.as_str());
                    prefs_read.push((theme, locale, prefs.map(|prefs| prefs.newsletter), *user));
                }
            }
        }
        tx.execute_many(sql::READ_ORDER, &orders).await?;
        tx.execute_many(sql::ORDERS_READ, &orders_read).await?;
        tx.execute_many(sql::PREFS_READ, &prefs_read).await?;
        failed(tx, batch.iter().flat_map(|fetched| &fetched.failures)).await?;
        let users = tx.execute(sql::COMPLETE_USERS, ()).await? as i64;
        let (counted,): (i64,) = tx.fetch_one(sql::COUNTED_ORDERS, ()).await?;
        let orders = tx.execute(sql::COMPLETE_ORDERS, ()).await? as i64 - counted;
        for statement in sql::CLEAR {
            tx.execute(statement, ()).await?;
        }
        tx.execute(sql::COUNT, (users, orders)).await.map(drop)
    }

    fn leased(&self) {
        self.stats.leased(&self.db.stats(), &self.db.holders());
    }
}

impl Lock {
    async fn connect(config: &Config) -> Result<Self, StoreError> {
        let passing = |reason| StoreError { reason, passes: true };
        let connecting = timeout(CONNECT, config.connect(NoTls)).await;
        let connected = connecting.map_err(|_| passing("no connection came about in time".into()))?;
        let (client, connection) = connected.map_err(|error| passing(chain(&error)))?;
        let mut task = JoinSet::new();
        // Where it breaks, the lock is lost, and the next write finds out whether another run has taken it.
        task.spawn(async { drop(connection.await) });
        client.batch_execute(BEGIN_LOCK).await.map_err(Error::Statement)?;
        Ok(Self { client, _connection: task })
    }
}

/// Makes the tables, unless they are there. Of two that find none at the same moment, one makes them.
async fn prepare(tx: &Tx, make_schema: bool) -> Result<(), Error> {
    tx.execute(PREPARE_LOCK, ()).await?;
    let (schema,): (Option<String>,) = tx.fetch_one("SELECT current_schema()", ()).await?;
    if schema.is_none() && make_schema {
        tx.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    }
    tx.batch_execute(sql::SCHEMA).await?;
    for check in sql::CHECKS {
        tx.execute(check, ()).await?;
    }
    Ok(())
}

/// The address with the tables' schema and the connection's name.
fn configured(config: &Config, name: &str) -> Config {
    let mut config = config.clone();
    if !sets_search_path(&config) {
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{options} -c search_path={SCHEMA}"));
    }
    config.application_name(name);
    config
}

async fn connect(config: &Config, name: &str, connections: usize) -> Result<Database, Error> {
    let database = Database::builder(configured(config, name)).max(connections);
    database.connect_timeout(CONNECT).acquire_timeout(CONNECT).connect().await
}

async fn begin(tx: &Tx, run: &Run, source: &str, first: &str) -> Result<Left, Error> {
    type Pass = (String, Option<String>, i64, i64, i64, i64, i64);
    tx.execute(&lease::with_clock(sql::TAKE_LEASE, NOW), (&run.token, &run.name)).await?;
    match tx.fetch_opt::<Pass>(sql::PASS, ()).await? {
        Some((of, next, pages, listed, users, orders, open))
            if of == source && (next.is_some() || open > 0) =>
        {
            let calls = tx.fetch_all::<(i64, bool, bool)>(sql::LEFT, ()).await?;
            let calls = calls.into_iter().flat_map(|(id, orders, prefs)| Left::of_user(id, orders, prefs));
            let failures = tx.fetch_all::<(String, String)>(sql::FAILURES, ()).await?;
            let failures = failures.into_iter().map(|(url, reason)| Failure { url, reason }).collect();
            let totals = Totals::new([pages, listed, users, orders]);
            Ok(Left { next, calls: calls.collect(), totals, failures })
        }
        _ => {
            for statement in sql::FORGET {
                tx.execute(statement, ()).await?;
            }
            tx.execute(sql::BEGIN_PASS, (source, first)).await?;
            Ok(Left::all(first))
        }
    }
}

async fn failed(tx: &Tx, failures: impl Iterator<Item = &Failure>) -> Result<(), Error> {
    let rows: Vec<_> = failures.map(|Failure { url, reason }| (url.as_str(), reason.as_str())).collect();
    tx.execute_many(sql::FAILED, &rows).await.map(drop)
}

async fn end(tx: &Tx, failure: &Failure) -> Result<(), Error> {
    failed(tx, [failure].into_iter()).await?;
    tx.execute(sql::END, ()).await.map(drop)
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // Every entry can be stored again, so it does not matter whether a commit has come about.
        let passes = error.is_connection_lost()
            || error.is_commit_unknown()
            || error.is_conflict()
            || matches!(error, Error::Get(_));
        Self { reason: chain(&error), passes }
    }
}
