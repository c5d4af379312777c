//! Runs the statements of `sql.rs` in SQLite.

use std::collections::HashMap;

use rusqlite::{
    Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior, params, params_from_iter,
    types::ToSqlOutput,
};

use crate::{
    outcome::Outcome,
    scope::Role,
    store::{Batch, Record, Statement, Stored, Value, sql},
};

/// The memory of the connection for pages of the database, in KiB.
const CACHE: i64 = 6 * 1024;

const SEEN: &str = "SELECT id, seen FROM urls WHERE url = $1";
const ADD_LINK: &str = "INSERT OR IGNORE INTO links (page, target, fragment) VALUES ($1, $2, $3)";

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Int(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}

/// Locks the database, and creates the tables unless they exist.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    // The first write takes the lock, and it is kept: one run at a time, and no lock is taken for each transaction.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In that mode a crash of this program loses nothing. A loss of power may lose the last few batches.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.set_prepared_statement_cache_capacity(64);
    let schema = sql::SCHEMA
        .replace("{id}", "INTEGER PRIMARY KEY AUTOINCREMENT")
        .replace("{blob}", "BLOB")
        .replace("{rowless}", "WITHOUT ROWID");
    let transaction = immediate(connection)?;
    transaction.execute_batch(&schema)?;
    // A write, for the lock.
    transaction.execute("UPDATE crawl SET id = id", [])?;
    transaction.pragma_update(None, "user_version", 1)?;
    transaction.commit()
}

fn immediate(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

pub(super) fn fetch<R: Record>(
    connection: &Connection,
    sql: &str,
    values: &[Value],
) -> rusqlite::Result<Vec<R>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params_from_iter(values), |row| R::try_from(row))?.collect()
}

pub(super) fn transaction(connection: &mut Connection, all: &[Statement]) -> rusqlite::Result<()> {
    let transaction = immediate(connection)?;
    for (sql, values) in all {
        transaction.prepare_cached(sql)?.execute(params_from_iter(values))?;
    }
    transaction.commit()
}

/// Stores the batch, and returns the number of URLs that were added to the frontier.
pub(super) fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<i64> {
    let transaction = immediate(connection)?;
    let mut queued = 0;
    for stored in &batch.results {
        queued += write_one(&transaction, batch, stored)?;
    }
    transaction.commit()?;
    Ok(queued)
}

fn write_one(transaction: &Transaction<'_>, batch: &Batch, stored: &Stored) -> rusqlite::Result<i64> {
    let (id, depth) = (stored.entry.id, stored.depth_of_targets());
    if transaction.prepare_cached(sql::LEAVE_FRONTIER)?.execute([stored.entry.position])? == 0 {
        return Ok(0);
    }
    let mut queued = 0;
    let Some(columns) = stored.columns() else {
        for (_, url) in
            fetch::<(i64, String)>(transaction, sql::UNSEEN_TARGETS, &[id.into(), batch.pass.into()])?
        {
            queued += see(transaction, batch, &url, depth)?.1;
        }
        return Ok(queued);
    };
    // Nearly all pages are read for the first time.
    if batch.pass > 1 {
        transaction.prepare_cached(sql::DELETE_LINKS)?.execute([id])?;
        transaction.prepare_cached(sql::DELETE_ANCHORS)?.execute([id])?;
    }
    let mut ids: HashMap<&str, i64> = HashMap::new();
    let mut add = transaction.prepare_cached(ADD_LINK)?;
    for link in stored.links() {
        let target = match ids.get(&*link.url) {
            Some(id) => *id,
            None => {
                let (target, added) = see(transaction, batch, &link.url, depth)?;
                queued += added;
                ids.insert(&link.url, target);
                target
            }
        };
        add.execute(params![id, target, link.fragment])?;
    }
    if let Outcome::Loaded(loaded) = &stored.outcome
        && let Some(document) = &loaded.document
    {
        transaction.prepare_cached(sql::ADD_ANCHORS)?.execute(params![id, document.anchors.to_bytes()])?;
    }
    transaction.prepare_cached(sql::OUTCOME)?.execute(params![
        columns.outcome,
        columns.detail,
        columns.read_as,
        columns.etag,
        columns.modified,
        columns.links,
        columns.bytes,
        id,
    ])?;
    Ok(queued)
}

/// Marks a URL as seen in this pass, and returns its number, and how many were added to the frontier.
fn see(transaction: &Transaction<'_>, batch: &Batch, url: &str, depth: i64) -> rusqlite::Result<(i64, i64)> {
    let known: Option<(i64, i64)> =
        transaction.prepare_cached(SEEN)?.query_row([url], |row| row.try_into()).optional()?;
    if let Some((id, seen)) = known
        && seen == batch.pass
    {
        return Ok((id, 0));
    }
    let (host, role) = batch.place(url, depth);
    transaction.prepare_cached(sql::SEE)?.execute(params![url, host, role as i64, depth, batch.pass])?;
    let id = known.map_or_else(|| transaction.last_insert_rowid(), |(id, _)| id);
    if role == Role::External {
        return Ok((id, 0));
    }
    transaction.prepare_cached(sql::QUEUE)?.execute([url])?;
    Ok((id, 1))
}
