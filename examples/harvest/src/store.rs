//! The database: where it is, its tables, and how a batch of records gets into it.

use std::{env, fmt, fs, path::PathBuf, str::FromStr, sync::Arc};

use deadpool_sqlite::{Config, Manager, Runtime};
use evenkeel::pool::{Deadpool, GetError, Pool};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::{error::Fatal, model::Record, stats::Stats};

/// Made if they are not there; a database with other tables of these names is turned down at once.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, active INTEGER NOT NULL,
        theme TEXT, locale TEXT, newsletter INTEGER
    );
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id),
        cents INTEGER NOT NULL, currency TEXT NOT NULL
    );";

/// Preferences that could not be read this time stay as they are.
const UPSERT_USER: &str = "
    INSERT INTO users (id, name, email, active, theme, locale, newsletter) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, email = excluded.email, active = excluded.active,
        theme = coalesce(excluded.theme, theme), locale = coalesce(excluded.locale, locale),
        newsletter = coalesce(excluded.newsletter, newsletter)";

const UPSERT_ORDER: &str = "
    INSERT INTO orders (id, user_id, cents, currency) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, cents = excluded.cents, currency = excluded.currency";

/// The `sqlite:PATH` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location(PathBuf);

impl Location {
    /// A file in the first of the usual directories that can be made.
    pub(crate) fn default_of_user() -> Self {
        let dirs = usual_dirs(env::var_os("XDG_CACHE_HOME").map(Into::into), env::home_dir());
        let dir = dirs.into_iter().find(|dir| fs::create_dir_all(dir).is_ok()).unwrap_or_default();
        Self(dir.join("harvest.sqlite"))
    }
}

/// The user's cache directory; `target` for a user who has none.
fn usual_dirs(cache: Option<PathBuf>, home: Option<PathBuf>) -> Vec<PathBuf> {
    let caches = [cache, home.map(|home| home.join(".cache"))];
    let absolute = caches.into_iter().flatten().filter(|cache| cache.is_absolute());
    absolute.map(|cache| cache.join("evenkeel")).chain([PathBuf::from("target")]).collect()
}

impl FromStr for Location {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self(path.into())),
            _ => Err("a store is given as sqlite:PATH"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

/// The open database. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: Pool<Deadpool<Manager>>,
    stats: Arc<Stats>,
}

impl Store {
    /// Opens the database, or makes it.
    pub(crate) async fn open(location: &Location, stats: Arc<Stats>) -> Result<Self, Fatal> {
        let manager = Manager::from_config(&Config::new(&location.0), Runtime::Tokio1);
        // SQLite has one writer at a time: the pool is where the others wait in line.
        let pool = Pool::builder(Deadpool::new(manager)).max(1).build();
        let store = Self { pool: pool.map_err(|error| Fatal::Broken(error.to_string()))?, stats };
        let made = store.with_connection(prepare).await;
        made.map_err(|reason| Fatal::Input(format!("cannot use the store {location}: {reason}")))?;
        Ok(store)
    }

    /// Stores a batch, all or nothing.
    pub(crate) async fn save(&self, batch: Vec<Record>) -> Result<(), Fatal> {
        let stats = self.stats.clone();
        let saved = self.with_connection(move |connection| {
            let orders = save(connection, &batch)?;
            // Counted where nothing can come between: a transaction goes on when nobody waits for it any more.
            stats.with(|counts| {
                counts.users += batch.len() as u64;
                counts.orders += orders;
            });
            Ok(())
        });
        saved.await.map_err(|reason| Fatal::Broken(format!("cannot store a batch: {reason}")))
    }

    /// Runs `work` on a thread for blocking work.
    async fn with_connection<F>(&self, work: F) -> Result<(), String>
    where
        F: FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let lease = self.pool.get().await.map_err(|error| match error {
            GetError::Create(error) => error.to_string(),
            other => other.to_string(),
        })?;
        match lease.interact(work).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Makes the tables, unless they are there, and finds out whether they can be written to.
fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    // In WAL mode other programs can read while this one writes. It is a property of the file.
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    for statement in [UPSERT_USER, UPSERT_ORDER] {
        transaction.prepare(statement)?;
    }
    transaction.commit()
}

/// Stores a batch, all or nothing, and says how many orders it had.
fn save(connection: &mut Connection, batch: &[Record]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut orders = 0;
    {
        let mut upsert_user = transaction.prepare_cached(UPSERT_USER)?;
        let mut upsert_order = transaction.prepare_cached(UPSERT_ORDER)?;
        for record in batch {
            let (user, prefs) = (&record.user, record.prefs.as_ref());
            upsert_user.execute(params![
                user.id,
                user.name,
                user.email,
                user.active,
                prefs.map(|prefs| &prefs.theme),
                prefs.map(|prefs| &prefs.locale),
                prefs.map(|prefs| prefs.newsletter),
            ])?;
            for order in &record.orders {
                upsert_order.execute(params![order.id, user.id, order.cents, order.currency])?;
                orders += 1;
            }
        }
    }
    transaction.commit()?;
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Order, Prefs, User};

    fn record(id: i64, prefs: bool, cents: &[i64]) -> Record {
        let order = |(n, cents): (usize, &i64)| Order {
            id: id * 100 + n as i64,
            cents: *cents,
            currency: "EUR".into(),
        };
        let user =
            User { id, name: format!("User {id}"), email: format!("user{id}@example.test"), active: true };
        let prefs = prefs.then(|| Prefs { theme: "dark".into(), locale: "pl".into(), newsletter: false });
        Record { user, orders: cents.iter().enumerate().map(order).collect(), prefs }
    }

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        connection
    }

    fn one<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> T {
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_store_is_sqlite_and_a_path() {
        assert_eq!("sqlite:a b.db".parse(), Ok(Location("a b.db".into())));
        for bad in ["", "a.db", "sqlite:", "postgres:x", "SQLITE:x"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_default_store_is_in_the_cache_the_home_or_target() {
        let dirs =
            |cache: Option<&str>, home: Option<&str>| usual_dirs(cache.map(Into::into), home.map(Into::into));
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(dirs(Some("/c"), Some("/h")), paths(&["/c/evenkeel", "/h/.cache/evenkeel", "target"]));
        assert_eq!(dirs(None, None), paths(&["target"]));
        assert_eq!(dirs(Some("relative"), None), paths(&["target"]), "the XDG rule: ignore it");
    }

    #[test]
    fn a_second_time_changes_nothing_and_counts_the_same() {
        let mut connection = database();
        let batch = [record(1, true, &[5, -5]), record(2, false, &[i64::MAX])];
        for _ in 0..2 {
            assert_eq!(save(&mut connection, &batch).unwrap(), 3);
            assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM users"), 2);
            assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM orders"), 3);
        }
        assert_eq!(one::<i64>(&connection, "SELECT cents FROM orders WHERE user_id = 2"), i64::MAX);
    }

    #[test]
    fn what_changed_is_updated_and_what_is_missing_this_time_stays() {
        let mut connection = database();
        save(&mut connection, &[record(1, true, &[])]).unwrap();
        let mut changed = record(1, false, &[]);
        changed.user.name = "Zoë".into();
        changed.user.active = false;
        save(&mut connection, &[changed]).unwrap();
        assert_eq!(one::<String>(&connection, "SELECT name FROM users"), "Zoë");
        assert!(!one::<bool>(&connection, "SELECT active FROM users"));
        assert_eq!(one::<String>(&connection, "SELECT theme FROM users"), "dark");
    }

    #[test]
    fn preferences_that_were_never_read_are_null() {
        let mut connection = database();
        save(&mut connection, &[record(1, false, &[])]).unwrap();
        assert_eq!(one::<Option<bool>>(&connection, "SELECT newsletter FROM users"), None);
    }

    #[test]
    fn tables_of_others_are_turned_down() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (login TEXT)").unwrap();
        let error = prepare(&mut connection).unwrap_err();
        assert!(error.to_string().contains("users"), "{error}");
    }
}
