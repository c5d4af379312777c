//! The database behind the server: SQLite in memory, which runs the same SQL, with the locks that a run takes in PostgreSQL.
//!
//! # How it works
//!
//! There is one connection, and one transaction at a time has it: from the first statement of the transaction to its end. So
//! all transactions are one after the other, as those of a run are anyway, by their `FOR UPDATE`. Conflicts and deadlocks,
//! which PostgreSQL has beside that, are faults of the script.
//!
//! The types of columns are those of the tables. SQLite has none for parameters and expressions: they are listed with the
//! statements.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use evenkeel_testkit_pg::{AnswerFuture, Description, Reply, Tables, Type, Value};
use rusqlite::{Connection, params_from_iter, types::Value as SqlValue};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_postgres::types::{FromSql as _, ToSql};

use super::{
    plan::Plan,
    site::{Document, OrderRow, UserRow},
    statements::{Columns, KnownStatement},
};
use crate::{Random, Trace, checks::lock, note};

/// The rows that a harvest is for, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) users: Vec<UserRow>,
    pub(super) orders: Vec<OrderRow>,
}

/// How far the last pass has come, as the database counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) pages: u64,
    pub(super) listed: u64,
    pub(super) users: u64,
    pub(super) orders: u64,
    /// There is no page to be read, and no user without all documents.
    pub(super) is_complete: bool,
}

/// The database. A handle: clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Database(Arc<State>);

#[derive(Debug)]
struct State {
    seed: u64,
    plan: Plan,
    start: Instant,
    sqlite: Mutex<Connection>,
    turns: Arc<Semaphore>,
    /// The session whose transaction has its turn.
    turn: Mutex<Option<(i32, OwnedSemaphorePermit)>>,
    /// The session that has the lock of a run.
    run: Mutex<Option<i32>>,
    /// The statements so far, by their texts: a run has the same ones again and again.
    known: Mutex<HashMap<String, Arc<KnownStatement>>>,
    has_schema: AtomicBool,
    is_read_only: AtomicBool,
    /// The seconds by which its clock is wrong.
    clock: AtomicI64,
    statements: AtomicU64,
    /// The passes that have begun: a run after a complete one reads everything again.
    passes: AtomicU64,
    /// The rows at the start of the last one.
    rows_before: Mutex<Rows>,
    trace: Trace,
    /// The error of a statement that this database cannot run.
    broken: Mutex<Option<String>>,
}

impl Database {
    pub(super) fn new(seed: u64, plan: Plan, trace: &Trace) -> Result<Self, String> {
        let sqlite = Connection::open_in_memory().map_err(|error| error.to_string())?;
        sqlite.execute_batch("PRAGMA foreign_keys = ON").map_err(|error| error.to_string())?;
        sqlite.set_prepared_statement_cache_capacity(64);
        Ok(Self(Arc::new(State {
            seed,
            plan,
            start: Instant::now(),
            sqlite: Mutex::new(sqlite),
            turns: Arc::new(Semaphore::new(1)),
            turn: Mutex::default(),
            run: Mutex::default(),
            known: Mutex::default(),
            has_schema: AtomicBool::new(false),
            is_read_only: AtomicBool::new(false),
            clock: AtomicI64::new(0),
            statements: AtomicU64::new(0),
            passes: AtomicU64::new(0),
            rows_before: Mutex::default(),
            trace: trace.clone(),
            broken: Mutex::default(),
        })))
    }

    pub(super) fn set_read_only(&self, is_read_only: bool) {
        self.0.is_read_only.store(is_read_only, Relaxed);
    }

    pub(super) fn jump(&self, seconds: i64) {
        self.0.clock.fetch_add(seconds, Relaxed);
    }

    /// Returns the number of passes that have begun.
    pub(super) fn passes(&self) -> u64 {
        self.0.passes.load(Relaxed)
    }

    /// Returns whether a transaction has not ended.
    pub(super) fn is_busy(&self) -> bool {
        lock(&self.0.turn).is_some()
    }

    /// Returns the error of a statement that this database cannot run.
    pub(super) fn broken(&self) -> Option<String> {
        lock(&self.0.broken).clone()
    }

    /// Reads rows.
    pub(super) fn read<T>(
        &self,
        sql: &str,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let sqlite = lock(&self.0.sqlite);
        let Ok(mut statement) = sqlite.prepare_cached(sql) else {
            // Before the first run there are no tables.
            return Vec::new();
        };
        statement.query_map([], row).and_then(Iterator::collect).unwrap_or_default()
    }

    /// Returns the documents that are stored.
    pub(super) fn stored(&self) -> BTreeSet<Document> {
        let mut stored = BTreeSet::new();
        for id in self.read("SELECT id FROM harvest_done", |row| row.get::<_, i64>(0)) {
            stored.extend([Document::Orders(id as u64), Document::Prefs(id as u64)]);
        }
        let open = self.read("SELECT id, orders_read, prefs_read FROM harvest_users", |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
        });
        for (id, orders, prefs) in open {
            stored.extend(orders.then_some(Document::Orders(id)));
            stored.extend(prefs.then_some(Document::Prefs(id)));
        }
        let pages = self.read("SELECT url FROM harvest_pages", |row| row.get::<_, String>(0));
        for page in pages {
            // The first page is stored as a link to itself.
            let page = if page.is_empty() { "users.json" } else { &page };
            stored.extend(Document::at(&format!("/{page}")));
        }
        stored
    }

    pub(super) fn rows(&self) -> Rows {
        let users = "SELECT id, name, email, active, theme, locale, newsletter FROM users ORDER BY id";
        let orders = "SELECT id, user_id, cents, currency FROM orders ORDER BY id";
        Rows {
            users: self.read(users, |row| row.try_into()),
            orders: self.read(orders, |row| row.try_into()),
        }
    }

    /// Returns the rows at the start of the last pass.
    pub(super) fn rows_before(&self) -> Rows {
        lock(&self.0.rows_before).clone()
    }

    /// Returns how far the last pass has come, if one has begun.
    pub(super) fn pass(&self) -> Option<Pass> {
        let sql =
            "SELECT pages, listed, users, orders, next IS NULL AND NOT EXISTS (SELECT 1 FROM harvest_users)
            FROM harvest_pass";
        let passes = self.read(sql, |row| {
            let count = |index| row.get::<_, i64>(index).map(|count| count as u64);
            let (pages, listed, users, orders) = (count(0)?, count(1)?, count(2)?, count(3)?);
            Ok(Pass { pages, listed, users, orders, is_complete: row.get(4)? })
        });
        passes.into_iter().next()
    }

    /// Returns the failures by their URLs.
    pub(super) fn failures(&self) -> BTreeMap<String, String> {
        let rows = self.read("SELECT url, reason FROM harvest_failures", |row| row.try_into());
        rows.into_iter().collect()
    }
}

impl Tables for Database {
    fn describe(&self, sql: &str) -> Option<Description> {
        let known = self.0.known(sql)?;
        let columns = match &known.built_in {
            Some(columns) => columns.clone(),
            None => self.0.columns(&known).cloned(),
        };
        Some(Description { parameters: known.parameters.to_vec(), columns })
    }

    fn run<'a>(&'a self, session: i32, sql: &'a str, parameters: &'a [Value]) -> Option<AnswerFuture<'a>> {
        let known = self.0.known(sql)?;
        Some(Box::pin(async move {
            let sql = &*known.sql;
            let state = &self.0;
            let number = state.statements.fetch_add(1, Relaxed);
            let latency = Random::of(state.seed, &[5, number]).below(state.plan.statement + 1);
            if latency > 0 {
                sleep(std::time::Duration::from_micros(latency)).await;
            }
            note!(state.trace, "session {session}: {:.60}", sql);
            if let Some(columns) = &known.built_in {
                return state.run_built_in(session, sql, columns.as_deref().unwrap_or_default());
            }
            let has_turn = lock(&state.turn).as_ref().is_some_and(|(of, _)| *of == session);
            if !has_turn {
                let Ok(turn) = Arc::clone(&state.turns).acquire_owned().await else {
                    return Reply::fatal("57P01");
                };
                *lock(&state.turn) = Some((session, turn));
                state.control("BEGIN");
            }
            if sql.starts_with("INSERT INTO harvest_pass ") {
                state.passes.fetch_add(1, Relaxed);
                *lock(&state.rows_before) = self.rows();
            }
            state.run(&known, parameters)
        }))
    }

    fn end(&self, session: i32, is_committed: bool) {
        let state = &self.0;
        lock(&state.run).take_if(|of| *of == session);
        let turn = lock(&state.turn).take_if(|(of, _)| *of == session);
        if turn.is_some() {
            state.control(if is_committed { "COMMIT" } else { "ROLLBACK" });
        }
    }
}

impl State {
    fn control(&self, sql: &str) {
        if let Err(error) = lock(&self.sqlite).execute_batch(sql) {
            lock(&self.broken).get_or_insert(format!("{sql}: {error}"));
        }
    }

    fn known(&self, sql: &str) -> Option<Arc<KnownStatement>> {
        let mut statements = lock(&self.known);
        if let Some(known) = statements.get(sql) {
            return Some(Arc::clone(known));
        }
        let known = Arc::new(KnownStatement::new(sql)?);
        statements.insert(sql.to_owned(), Arc::clone(&known));
        Some(known)
    }

    /// Returns a statement for SQLite, with the time of the clock in it.
    fn in_sqlite<'a>(&self, known: &'a KnownStatement) -> Cow<'a, str> {
        known.in_sqlite(|| 2_000_000_000 + self.start.elapsed().as_secs() as i64 + self.clock.load(Relaxed))
    }

    /// Returns the names and types of the columns of a statement whose tables are there.
    fn columns<'a>(&self, known: &'a KnownStatement) -> Option<&'a Columns> {
        if known.columns.get().is_none() {
            let columns = self.prepared_columns(&self.in_sqlite(known))?;
            let _ = known.columns.set(Some(columns).filter(|columns| !columns.is_empty()));
        }
        known.columns.get()?.as_ref()
    }

    fn prepared_columns(&self, sql: &str) -> Option<Columns> {
        let sqlite = lock(&self.sqlite);
        let statement = sqlite.prepare_cached(sql).ok()?;
        let columns = statement.columns().into_iter().map(|column| {
            let ty = match column.decl_type() {
                Some("BIGINT") => Type::INT8,
                Some("INTEGER") => Type::INT4,
                Some("BOOLEAN") => Type::BOOL,
                Some("TEXT") => Type::TEXT,
                // An expression: a condition, a count, or a difference of times.
                _ if ["EXISTS", "IS NULL"].iter().any(|word| column.name().contains(word)) => Type::BOOL,
                _ => Type::INT8,
            };
            (column.name().to_owned(), ty)
        });
        Some(columns.collect())
    }

    fn run(&self, known: &KnownStatement, parameters: &[Value]) -> Reply {
        if known.is_write && self.is_read_only.load(Relaxed) {
            return Reply::error("25006").message("cannot execute it in a read-only transaction");
        }
        let sql = self.in_sqlite(known);
        let ran = match self.columns(known) {
            None => self.execute(&sql, parameters).map(|count| Reply::affected(count as u64)),
            Some(columns) => self.query(&sql, parameters, columns),
        };
        ran.unwrap_or_else(|error| {
            lock(&self.broken).get_or_insert(format!("{sql}: {error}"));
            Reply::error("XX000").message(&error.to_string())
        })
    }

    fn execute(&self, sql: &str, parameters: &[Value]) -> rusqlite::Result<usize> {
        let sqlite = lock(&self.sqlite);
        let mut statement = sqlite.prepare_cached(sql)?;
        statement.execute(params_from_iter(parameters.iter().map(decoded)))
    }

    fn query(&self, sql: &str, parameters: &[Value], columns: &[(String, Type)]) -> rusqlite::Result<Reply> {
        let named: Vec<(&str, Type)> = columns.iter().map(|(name, ty)| (&**name, ty.clone())).collect();
        let mut reply = Reply::columns(&named);
        let sqlite = lock(&self.sqlite);
        let mut statement = sqlite.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(parameters.iter().map(decoded)))?;
        while let Some(row) = rows.next()? {
            let cells = columns.iter().enumerate().map(|(index, (_, ty))| {
                let cell: Box<dyn ToSql + Sync> = match *ty {
                    Type::BOOL => Box::new(row.get::<_, Option<bool>>(index)?),
                    Type::TEXT => Box::new(row.get::<_, Option<String>>(index)?),
                    Type::INT4 => Box::new(row.get::<_, Option<i32>>(index)?),
                    _ => Box::new(row.get::<_, Option<i64>>(index)?),
                };
                Ok(cell)
            });
            let cells = cells.collect::<rusqlite::Result<Vec<_>>>()?;
            reply = reply.row(&cells.iter().map(|cell| &**cell).collect::<Vec<_>>());
        }
        Ok(reply)
    }

    fn run_built_in(&self, session: i32, sql: &str, columns: &[(String, Type)]) -> Reply {
        if sql.starts_with("CREATE SCHEMA") {
            self.has_schema.store(true, Relaxed);
            return Reply::affected(0);
        }
        let named: Vec<(&str, Type)> = columns.iter().map(|(name, ty)| (&**name, ty.clone())).collect();
        let reply = Reply::columns(&named);
        match &*columns[0].0 {
            "server_encoding" => reply.row(&[&"UTF8"]),
            "current_schema" => reply.row(&[&self.has_schema.load(Relaxed).then_some("harvest")]),
            "pg_try_advisory_xact_lock" => {
                let mut run = lock(&self.run);
                let is_free = run.is_none_or(|of| of == session);
                if is_free {
                    *run = Some(session);
                }
                reply.row(&[&is_free])
            }
            // The turn of a transaction serves as the other lock, and there is nothing to reset.
            _ => reply,
        }
    }
}

fn decoded((ty, value): &Value) -> SqlValue {
    let Some(value) = value else { return SqlValue::Null };
    let decoded = match *ty {
        Type::INT8 => i64::from_sql(ty, value).map(SqlValue::Integer),
        Type::BOOL => bool::from_sql(ty, value).map(|value| SqlValue::Integer(value.into())),
        Type::INT8_ARRAY => Vec::<i64>::from_sql(ty, value).map(|ids| SqlValue::Text(format!("{ids:?}"))),
        _ => String::from_sql(ty, value).map(SqlValue::Text),
    };
    // The client encodes by these types.
    decoded.unwrap_or(SqlValue::Null)
}
