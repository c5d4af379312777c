//! The store in a PostgreSQL database.

#[cfg(feature = "queue")]
mod join;
#[cfg(feature = "queue")]
mod rows;

use std::{
    collections::HashSet,
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "queue")]
use evenkeel::pipeline::PgQueue;
use evenkeel::{
    postgres::{
        Database, Error, Tx, TxOptions,
        tokio_postgres::{Client, Config, error::SqlState},
    },
    task::Stop,
};
use evenkeel_base::error_chain;
#[cfg(feature = "queue")]
pub(crate) use join::Joined;
#[cfg(feature = "queue")]
pub(crate) use rows::{OrderRow, Rows, UserRow};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Checkpoint, Connect, Disturbances, Entry, Page, State, StoreError, Totals, Written,
    lease::{self, Run},
    location::{SCHEMA, sets_search_path},
    repeat, sql,
};
use crate::{
    api::Fetched,
    model::{Call, Document},
    queue::Job,
    stats::{Failure, Stats},
};

/// The timeout of a connection, within which connecting is retried.
const CONNECT: Duration = Duration::from_secs(5);

/// One connection for a batch, and one for a page at the same time.
const CONNECTIONS: usize = 2;

/// The time after which the server ends a transaction whose process does nothing: it may be stopped, and others wait.
const IDLE: &str = "-c idle_in_transaction_session_timeout=5s";

/// Ends the connections with this application name.
const KILL: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";

/// The clock of the server, in seconds.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) AS BIGINT)";

/// Begins a transaction that lasts as long as the run. It changes nothing, and holds the lock. The server releases the
/// lock of a client that has vanished after half a minute.
const BEGIN_LOCK: &str = "
    BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";
/// The key of the lock: the number of this program, and the table, since a database may have several stores.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(1751216758, 'harvest_lease'::regclass::oid::int4)";

/// Reads which of these users are not complete.
const OPEN_OF: &str = "SELECT id, orders_read, prefs_read FROM harvest_users WHERE id = ANY($1) ORDER BY id";

/// Without this lock `IF NOT EXISTS` fails while another run creates the same table.
const PREPARE_LOCK: &str = "SELECT pg_advisory_xact_lock(1751216758, 0)";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    config: Box<Config>,
    connect: Arc<dyn Connect>,
    db: Database,
    stats: Arc<Stats>,
    /// The application name of the connections.
    name: String,
    run: Run,
    /// The token of the harvest that this process shares with others.
    harvest: Arc<OnceLock<String>>,
    lock: Arc<Mutex<Option<Lock>>>,
    /// The queue in which the jobs of a page are enqueued with it.
    #[cfg(feature = "queue")]
    jobs: Arc<OnceLock<PgQueue>>,
}

/// The session that holds the lock of this run.
#[derive(Debug)]
struct Lock {
    client: Client,
    _connection: JoinSet<()>,
}

impl Postgres {
    /// Connects, and creates the tables unless they exist.
    pub(super) async fn open(
        config: &Config,
        connect: Arc<dyn Connect>,
        stats: Arc<Stats>,
    ) -> Result<Self, StoreError> {
        let name = format!("harvest {}", process::id());
        let db = database(&*connect, config, &name, CONNECTIONS).await?;
        let make_schema = !sets_search_path(config);
        // The server may end the first connection, as any other.
        let prepared = repeat(&stats, || prepare(&db, make_schema)).await;
        prepared.map_err(|error| StoreError::permanent(error.reason))?;
        let config = Box::new(config.clone());
        Ok(Self {
            config,
            connect,
            db,
            stats,
            name,
            run: Run::this(),
            harvest: Arc::default(),
            lock: Arc::default(),
            #[cfg(feature = "queue")]
            jobs: Arc::default(),
        })
    }

    pub(super) async fn begin(&self, source: &str, first: &str) -> Result<Checkpoint, StoreError> {
        self.lock().await?;
        let run = &self.run;
        let checkpoint =
            self.db.transaction(TxOptions::new(), async |tx| begin(&tx, run, source, first).await);
        Ok(checkpoint.await?)
    }

    /// Takes the lock, until the process ends.
    async fn lock(&self) -> Result<(), StoreError> {
        self.lock_by(LOCK).await
    }

    async fn lock_by(&self, statement: &str) -> Result<(), StoreError> {
        let mut held = self.lock.lock().await;
        if held.as_ref().is_some_and(|lock| !lock.client.is_closed()) {
            return Ok(());
        }
        let config = configured(&self.config, &format!("{} lease", self.name));
        let connected = repeat(&self.stats, || Lock::connect(&*self.connect, &config)).await;
        let lock = connected.map_err(|error| StoreError::permanent(error.reason))?;
        let deadline = Instant::now() + lease::LOCK_TIMEOUT;
        loop {
            if lock.client.query_one(statement, &[]).await.map_err(Error::Statement)?.get(0) {
                *held = Some(lock);
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

    /// Stores an entry in one transaction.
    pub(super) async fn write(&self, entry: Arc<Entry>, has_jobs: bool) -> Result<Written, StoreError> {
        let written = self.db.transaction(TxOptions::new(), async |tx| {
            // A run that takes the store over waits for this transaction; the next one finds its token. The other transactions
            // of this run wait as well: a page that lists a user who is just being completed would list it once more.
            let lease = format!("{} FOR UPDATE", sql::LEASE);
            let (token, holder): (String, String) = tx.fetch_one(&lease, ()).await?;
            if token != *self.token() {
                return Ok(Err(holder));
            }
            let mut written = Written::default();
            match &*entry {
                Entry::Page(page) => {
                    self.save_page(&tx, page).await?;
                    if has_jobs {
                        (written.jobs, written.is_circle) = jobs(&tx, page).await?;
                        #[cfg(feature = "queue")]
                        if self.jobs.get().is_some() {
                            self.enqueue(&tx, self.token(), std::mem::take(&mut written.jobs)).await?;
                        }
                    }
                }
                Entry::Batch(batch) => written.users = self.save_batch(&tx, batch).await?,
                Entry::End { page, failure } => end(&tx, page.as_deref(), failure).await?,
            }
            written.state = state(tx.fetch_one(sql::STATE, ()).await?);
            Ok(Ok(written))
        });
        written.await?.map_err(|holder| lease::taken(&holder))
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        Ok(state(self.db.fetch_one(sql::STATE, ()).await?))
    }

    /// Waits for a transaction of this run whose future was dropped and that may still commit.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        // It is a statement of its own: one that reads other tables, too, would read them as they were before the wait.
        self.db.fetch_opt::<(String,)>("SELECT source FROM harvest_pass FOR UPDATE", ()).await?;
        Ok(())
    }

    pub(super) async fn missing(&self, users: Vec<i64>) -> Result<Vec<Call>, StoreError> {
        let open = self.db.fetch_all::<(i64, bool, bool)>(OPEN_OF, (users,)).await?;
        Ok(open.into_iter().flat_map(|(id, orders, prefs)| Checkpoint::of_user(id, orders, prefs)).collect())
    }

    pub(super) async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let left =
            self.db.transaction(TxOptions::new(), async |tx| match tx.fetch_opt(sql::PASS, ()).await? {
                Some(pass) => checkpoint(&tx, pass).await,
                None => Ok(Checkpoint::default()),
            });
        Ok(left.await?.jobs())
    }

    pub(super) async fn failures(&self) -> Result<Vec<Failure>, StoreError> {
        let failures = self.db.fetch_all::<(String, String)>(sql::FAILURES, ()).await?;
        Ok(failures.into_iter().map(|(url, reason)| Failure { url, reason }).collect())
    }

    /// The token of this run, or of the harvest that it shares.
    fn token(&self) -> &str {
        self.harvest.get().unwrap_or(&self.run.token)
    }

    /// Sometimes ends the connections of the run, or locks its tables, as an administrator might.
    pub(super) async fn disturb(&self, mut disturbances: Disturbances, end: &Stop) -> Result<(), StoreError> {
        let other = self.database("harvest chaos", 1).await?;
        while disturbances.pause(end).await {
            if disturbances.draw(2) == 0 {
                other.fetch_one::<(i64,)>(KILL, (&self.name,)).await?;
            } else {
                let time = disturbances.hold();
                let lock = async |tx: Tx| -> Result<(), Error> {
                    tx.batch_execute("LOCK TABLE harvest_users IN EXCLUSIVE MODE").await?;
                    sleep(time).await;
                    Ok(())
                };
                other.transaction(TxOptions::new(), lock).await?;
            }
        }
        Ok(())
    }

    async fn save_page(&self, tx: &Tx, page: &Page) -> Result<(), Error> {
        self.leased();
        let (is_next,): (Option<bool>,) = tx.fetch_one(sql::IS_NEXT, (&page.this,)).await?;
        if is_next != Some(true) {
            return Ok(());
        }
        tx.execute(sql::PAGE_READ, (&page.this,)).await?;
        let users = page.users.iter();
        let users: Vec<_> = users.map(|user| (user.id, &*user.name, &*user.email, user.active)).collect();
        let listed = tx.execute_many(sql::LIST_USER, &users).await? as i64;
        failed(tx, page.failures.iter()).await?;
        tx.execute(sql::NEXT_PAGE, (&page.next, listed, &page.this)).await.map(drop)
    }

    /// Stores the documents that are missing, and returns the number of users that they complete.
    async fn save_batch(&self, tx: &Tx, batch: &[Fetched]) -> Result<u64, Error> {
        self.leased();
        let users: Vec<i64> = batch.iter().map(|fetched| fetched.call.user).collect();
        let open = tx.fetch_all::<(i64, bool, bool)>(OPEN_OF, (users,)).await?;
        let missing = open.into_iter().flat_map(|(id, orders, prefs)| Checkpoint::of_user(id, orders, prefs));
        let mut missing: HashSet<Call> = missing.collect();
        // The first of several attempts that store a document is the one that counts.
        let batch: Vec<&Fetched> = batch.iter().filter(|fetched| missing.remove(&fetched.call)).collect();
        let (mut orders_read, mut orders, mut prefs_read) = (Vec::new(), Vec::new(), Vec::new());
        for Fetched { call: Call { user, .. }, document, .. } in &batch {
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
        let users = tx.execute(sql::COMPLETE_USERS, ()).await?;
        let (counted,): (i64,) = tx.fetch_one(sql::COUNTED_ORDERS, ()).await?;
        let orders = tx.execute(sql::COMPLETE_ORDERS, ()).await? as i64 - counted;
        for statement in sql::CLEAR {
            tx.execute(statement, ()).await?;
        }
        tx.execute(sql::COUNT, (users as i64, orders)).await?;
        Ok(users)
    }

    pub(super) fn connections(&self) -> usize {
        self.db.snapshot().in_use
    }

    /// Connects once more, to the same schema.
    async fn database(&self, name: &str, connections: usize) -> Result<Database, Error> {
        database(&*self.connect, &self.config, name, connections).await
    }

    fn leased(&self) {
        self.stats.leased(&self.db.snapshot(), &self.db.holders());
    }
}

impl Lock {
    async fn connect(connect: &dyn Connect, config: &Config) -> Result<Self, StoreError> {
        let transient = |reason| StoreError { reason, is_transient: true };
        let connecting = timeout(CONNECT, connect.connect(config.clone())).await;
        let connected = connecting.map_err(|_| transient("no connection came about in time".into()))?;
        let (client, connection) = connected.map_err(|error| transient(error_chain(&error)))?;
        let mut task = JoinSet::new();
        // If the link breaks, the lock is lost, and the next write finds out whether another run has taken it.
        task.spawn(connection);
        client.batch_execute(BEGIN_LOCK).await.map_err(Error::Statement)?;
        Ok(Self { client, _connection: task })
    }
}

/// Looks at the encoding, and creates the tables unless they exist.
async fn prepare(db: &Database, make_schema: bool) -> Result<(), StoreError> {
    let (encoding,): (String,) = db.fetch_one("SHOW server_encoding", ()).await?;
    if encoding != "UTF8" {
        let reason = format!("its encoding is {encoding}, which has not every character; it takes UTF8");
        return Err(StoreError::permanent(reason));
    }
    Ok(db.transaction(TxOptions::new(), async |tx| create_tables(&tx, make_schema).await).await?)
}

/// Creates the tables unless they exist. Of two runs at the same moment, one creates them.
async fn create_tables(tx: &Tx, make_schema: bool) -> Result<(), Error> {
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

/// Adds the schema of the tables and the application name to the address.
fn configured(config: &Config, name: &str) -> Config {
    let mut config = config.clone();
    if !sets_search_path(&config) {
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{options} -c search_path={SCHEMA}"));
    }
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{options} {IDLE}"));
    config.application_name(name);
    config
}

async fn database(
    connect: &dyn Connect,
    config: &Config,
    name: &str,
    connections: usize,
) -> Result<Database, Error> {
    // The server has it under this name, too.
    let database = connect.database(configured(config, name)).named(name.to_owned()).max(connections);
    database.connect_timeout(CONNECT).acquire_timeout(CONNECT).connect().await
}

/// Returns the work that a page leads to, without what is done already, and whether its next page was read before.
async fn jobs(tx: &Tx, page: &Page) -> Result<(Vec<Job>, bool), Error> {
    let (cursor, is_read): (Option<String>, bool) = tx.fetch_one(sql::CURSOR, ()).await?;
    let is_next = cursor.is_some() && cursor == page.next;
    let next = cursor.filter(|_| is_next && !is_read).map(Job::Page);
    let ids: Vec<i64> = page.users.iter().map(|user| user.id).collect();
    let open = tx.fetch_all::<(i64, bool, bool)>(OPEN_OF, (ids,)).await?;
    let calls = open.into_iter().flat_map(|(id, orders, prefs)| Checkpoint::of_user(id, orders, prefs));
    Ok((next.into_iter().chain(calls.map(Job::Document)).collect(), is_next && is_read))
}

type Columns = (i64, i64, i64, i64, bool);

fn state((pages, listed, users, orders, is_complete): Columns) -> State {
    State { totals: Totals::new([pages, listed, users, orders]), is_complete }
}

/// The last pass: its source, its cursor, its counts, and its open users.
type Pass = (String, Option<String>, i64, i64, i64, i64, i64);

async fn begin(tx: &Tx, run: &Run, source: &str, first: &str) -> Result<Checkpoint, Error> {
    tx.execute(&lease::with_clock(sql::TAKE_LEASE, NOW), (&run.token, &run.name)).await?;
    match tx.fetch_opt::<Pass>(sql::PASS, ()).await? {
        Some(pass) if is_unfinished(&pass, source) => checkpoint(tx, pass).await,
        _ => begin_pass(tx, source, first).await,
    }
}

fn is_unfinished((of, next, .., open): &Pass, source: &str) -> bool {
    of == source && (next.is_some() || *open > 0)
}

async fn begin_pass(tx: &Tx, source: &str, first: &str) -> Result<Checkpoint, Error> {
    for statement in sql::FORGET {
        tx.execute(statement, ()).await?;
    }
    tx.execute(sql::BEGIN_PASS, (source, first)).await?;
    Ok(Checkpoint::start(first))
}

/// Reads the point at which a pass is continued.
async fn checkpoint(tx: &Tx, pass: Pass) -> Result<Checkpoint, Error> {
    let (_, next, pages, listed, users, orders, _) = pass;
    let calls = tx.fetch_all::<(i64, bool, bool)>(sql::OPEN_USERS, ()).await?;
    let calls = calls.into_iter().flat_map(|(id, orders, prefs)| Checkpoint::of_user(id, orders, prefs));
    let failures = tx.fetch_all::<(String, String)>(sql::FAILURES, ()).await?;
    let failures = failures.into_iter().map(|(url, reason)| Failure { url, reason }).collect();
    let totals = Totals::new([pages, listed, users, orders]);
    Ok(Checkpoint { next, calls: calls.collect(), totals, failures })
}

async fn failed(tx: &Tx, failures: impl Iterator<Item = &Failure>) -> Result<(), Error> {
    let rows: Vec<_> = failures.map(|Failure { url, reason }| (url.as_str(), reason.as_str())).collect();
    tx.execute_many(sql::FAILED, &rows).await.map(drop)
}

async fn end(tx: &Tx, page: Option<&str>, failure: &Failure) -> Result<(), Error> {
    if tx.execute(sql::END, (page,)).await? > 0 {
        failed(tx, [failure].into_iter()).await?;
    }
    Ok(())
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // Every entry can be stored again, so a commit with an unknown outcome can be repeated. A server that allows no writes
        // is about to become the primary, or another one is.
        let is_transient = error.is_connection_lost()
            || error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
            || error.is_commit_unknown()
            || error.is_conflict()
            || matches!(error, Error::Get(_));
        Self { reason: error_chain(&error), is_transient }
    }
}
