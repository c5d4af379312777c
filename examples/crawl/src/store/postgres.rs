//! The store in a PostgreSQL database.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel::postgres::{
    Database, Error, Tx, TxOptions,
    tokio_postgres::{Client, Config, NoTls, types::ToSql},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Batch, POLICY, Record, Statement, StoreError, Stored, Value,
    location::{SCHEMA, chain, sets_search_path},
    reason, sql,
};
use crate::outcome::Outcome;

/// The timeout of a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long to wait for the lock: the session of a run that was killed ends a little later.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// One connection writes, and one reads the frontier at the same time.
const CONNECTIONS: usize = 2;

/// Begins a transaction that lasts as long as the run. It changes nothing, and holds the lock. The server releases the
/// lock of a client that has vanished after half a minute.
const BEGIN_LOCK: &str = "
    BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";
/// The key of the lock: the number of this program, and the table, since a database may have several stores.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(1751216759, 'crawl'::regclass::oid::int4)";

/// Without this lock `IF NOT EXISTS` fails while another run creates the same table.
const PREPARE_LOCK: &str = "SELECT pg_advisory_xact_lock(1751216759, 0)";

/// Marks URLs as seen in this pass, and adds those that are new in it to the frontier. Texts, hosts, roles, depth,
/// pass.
const SEE: &str = "
    WITH fresh AS (
        INSERT INTO urls (url, host, role, depth, seen)
        SELECT url, host, role, $4, $5 FROM unnest($1::text[], $2::text[], $3::bigint[]) AS found (url, host, role)
        ON CONFLICT (url) DO UPDATE SET role = excluded.role, depth = excluded.depth, seen = excluded.seen
        WHERE urls.seen < excluded.seen
        RETURNING id, host, role
    )
    INSERT INTO frontier (url, host) SELECT id, host FROM fresh WHERE role <> 2 ORDER BY id";
const ADD_LINKS: &str = "
    INSERT INTO links (page, target, fragment)
    SELECT $1, urls.id, found.fragment FROM unnest($2::text[], $3::text[]) AS found (url, fragment)
    JOIN urls ON urls.url = found.url ON CONFLICT DO NOTHING";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    db: Database,
    _lock: Arc<Lock>,
}

/// The session that holds the lock of this run.
#[derive(Debug)]
struct Lock {
    client: Client,
    _connection: JoinSet<()>,
}

impl Postgres {
    /// Connects, creates the tables unless they exist, and locks them until the process ends.
    pub(super) async fn open(config: &Config) -> Result<Self, StoreError> {
        let configured = configured(config);
        let database = Database::builder(configured.clone()).named("store").max(CONNECTIONS);
        let db = database.connect_timeout(CONNECT).acquire_timeout(CONNECT).connect().await?;
        let make_schema = !sets_search_path(config);
        db.transaction(TxOptions::new(), async |tx| prepare(&tx, make_schema).await).await?;
        let lock = POLICY.run(|| Lock::connect(&configured)).when(|error| error.is_transient).await;
        let lock = lock.map_err(|gave_up| StoreError::permanent(reason(&gave_up)))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while !lock.client.query_one(LOCK, &[]).await.map_err(Error::Statement)?.get::<_, bool>(0) {
            if Instant::now() >= deadline {
                return Err(StoreError::permanent("it is in use by another run"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { db, _lock: Arc::new(lock) })
    }

    pub(super) async fn fetch<R: Record>(&self, sql: &str, values: &[Value]) -> Result<Vec<R>, StoreError> {
        Ok(self.db.fetch_all(sql, &parameters(values)[..]).await?)
    }

    pub(super) async fn transaction(&self, all: &[Statement]) -> Result<(), StoreError> {
        let done = self.db.transaction(TxOptions::new(), async |tx| {
            for (sql, values) in all {
                tx.execute(sql, &parameters(values)[..]).await?;
            }
            Ok(())
        });
        Ok(done.await?)
    }

    pub(super) async fn write(&self, batch: &Batch) -> Result<i64, StoreError> {
        let written = self.db.transaction(TxOptions::new(), async |tx| {
            let mut queued = 0;
            for stored in &batch.results {
                queued += write_one(&tx, batch, stored).await?;
            }
            Ok(queued)
        });
        Ok(written.await?)
    }
}

async fn write_one(tx: &Tx, batch: &Batch, stored: &Stored) -> Result<i64, Error> {
    let (id, depth) = (stored.entry.id, stored.depth_of_targets());
    if tx.execute(sql::LEAVE_FRONTIER, (stored.entry.position,)).await? == 0 {
        return Ok(0);
    }
    let Some(columns) = stored.columns() else {
        let targets: Vec<(i64, String)> = tx.fetch_all(sql::UNSEEN_TARGETS, (id, batch.pass)).await?;
        return see(tx, batch, targets.iter().map(|(_, url)| url.as_str()), depth).await;
    };
    tx.execute(sql::DELETE_LINKS, (id,)).await?;
    tx.execute(sql::DELETE_ANCHORS, (id,)).await?;
    let links = stored.links();
    let queued = see(tx, batch, links.iter().map(|link| link.url.as_str()), depth).await?;
    if !links.is_empty() {
        let urls: Vec<_> = links.iter().map(|link| link.url.as_str()).collect();
        let fragments: Vec<_> = links.iter().map(|link| link.fragment.as_str()).collect();
        tx.execute(ADD_LINKS, (id, urls, fragments)).await?;
    }
    if let Outcome::Loaded(loaded) = &stored.outcome
        && let Some(document) = &loaded.document
    {
        tx.execute(sql::ADD_ANCHORS, (id, document.anchors.to_bytes())).await?;
    }
    let columns = (
        columns.outcome,
        columns.detail,
        columns.read_as,
        columns.etag,
        columns.modified,
        columns.links,
        columns.bytes,
        id,
    );
    tx.execute(sql::OUTCOME, columns).await?;
    Ok(queued)
}

/// Marks URLs as seen in this pass, in their order, and returns how many were added to the frontier.
async fn see<'a>(
    tx: &Tx,
    batch: &Batch,
    urls: impl Iterator<Item = &'a str>,
    depth: i64,
) -> Result<i64, Error> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for url in urls {
        let position = first.len();
        first.entry(url).or_insert(position);
    }
    if first.is_empty() {
        return Ok(0);
    }
    let mut urls: Vec<_> = first.into_iter().collect();
    urls.sort_unstable_by_key(|(_, position)| *position);
    let urls: Vec<&str> = urls.into_iter().map(|(url, _)| url).collect();
    let places = urls.iter().map(|url| batch.place(url, depth));
    let (hosts, roles): (Vec<_>, Vec<_>) = places.map(|(host, role)| (host, role as i64)).unzip();
    Ok(tx.execute(SEE, (urls, hosts, roles, depth, batch.pass)).await? as i64)
}

impl Lock {
    async fn connect(config: &Config) -> Result<Self, StoreError> {
        let transient = |reason| StoreError { reason, is_transient: true };
        let connecting = timeout(CONNECT, config.connect(NoTls)).await;
        let connected = connecting.map_err(|_| transient("no connection came about in time".into()))?;
        let (client, connection) = connected.map_err(|error| transient(chain(&error)))?;
        let mut task = JoinSet::new();
        // If the link breaks, the lock is lost. Another run would store the same outcomes, and each only once.
        task.spawn(async { drop(connection.await) });
        client.batch_execute(BEGIN_LOCK).await.map_err(Error::Statement)?;
        Ok(Self { client, _connection: task })
    }
}

/// Creates the tables unless they exist.
async fn prepare(tx: &Tx, make_schema: bool) -> Result<(), Error> {
    tx.execute(PREPARE_LOCK, ()).await?;
    if make_schema {
        tx.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    }
    let schema = sql::SCHEMA
        .replace("{id}", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
        .replace("{blob}", "BYTEA")
        .replace("{rowless}", "");
    // Addresses are compared by their bytes, as in SQLite.
    tx.batch_execute(&schema.replace("TEXT", "TEXT COLLATE \"C\"")).await
}

/// Adds the schema of the tables and the application name to the address.
fn configured(config: &Config) -> Config {
    let mut config = config.clone();
    if !sets_search_path(&config) {
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{options} -c search_path={SCHEMA}"));
    }
    config.application_name("evenkeel-crawl");
    config
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| match value {
            Value::Int(number) => number as &(dyn ToSql + Sync),
            Value::Text(text) => text as &(dyn ToSql + Sync),
        })
        .collect()
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // Every batch can be stored again, so a commit with an unknown outcome can be repeated.
        let is_transient = error.is_connection_lost()
            || error.is_commit_unknown()
            || error.is_conflict()
            || matches!(error, Error::Get(_));
        Self { reason: chain(&error), is_transient }
    }
}
