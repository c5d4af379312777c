//! Runs the statements of `sql.rs` in SQLite.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Params, Transaction, TransactionBehavior, params};

use super::{BUSY, NOW};
use crate::{
    api::Fetched,
    model::{Call, Document},
    queue::Job,
    stats::Failure,
    store::{
        Checkpoint, Entry, Page, State, Totals, Written,
        lease::{self, Run},
        sql,
    },
};

/// The error for a file that cannot be written.
pub(super) const READ_ONLY: &str = "the file is read-only";

/// Reads which documents of a user were read, if it is not complete.
const OPEN_USER: &str = "SELECT orders_read, prefs_read FROM harvest_users WHERE id = $1";

/// Creates the tables unless they exist, and checks that they can be written.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    if connection.is_readonly("main")? {
        let readonly = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(readonly, Some(READ_ONLY.into())));
    }
    // In WAL mode other programs can read while this one writes. The mode is stored in the file.
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In that mode a crash of this program loses nothing. A loss of power may lose the last few batches, rows and state
    // alike.
    connection.pragma_update(None, "synchronous", "normal")?;
    let transaction = immediate(connection)?;
    transaction.execute_batch(sql::SCHEMA)?;
    for check in sql::CHECKS {
        transaction.prepare(check)?;
    }
    transaction.commit()
}

fn immediate(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

pub(super) fn begin(
    connection: &mut Connection,
    run: &Run,
    source: &str,
    first: &str,
) -> rusqlite::Result<Checkpoint> {
    let transaction = immediate(connection)?;
    transaction.execute(&lease::with_clock(sql::TAKE_LEASE, NOW), [&run.token, &run.name])?;
    let of = transaction.query_row(sql::PASS, [], |row| {
        let (of, next): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((of, next.is_some() || row.get::<_, i64>(6)? > 0))
    });
    let checkpoint = match of.optional()? {
        Some((of, true)) if of == source => checkpoint(&transaction)?,
        _ => {
            for statement in sql::FORGET {
                transaction.execute(statement, [])?;
            }
            transaction.execute(sql::BEGIN_PASS, params![source, first])?;
            Checkpoint::start(first)
        }
    };
    transaction.commit()?;
    Ok(checkpoint)
}

/// Reads the point at which the pass is continued.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<Checkpoint> {
    let pass = connection.query_row(sql::PASS, [], |row| {
        Ok((row.get(1)?, Totals::new([row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])))
    });
    let (next, totals) = pass?;
    let calls = all(connection, sql::OPEN_USERS, |row| {
        Ok(Checkpoint::of_user(row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let calls = calls.into_iter().flatten().collect();
    Ok(Checkpoint { next, calls, totals, failures: failures(connection)? })
}

pub(super) fn failures(connection: &Connection) -> rusqlite::Result<Vec<Failure>> {
    all(connection, sql::FAILURES, |row| Ok(Failure { url: row.get(0)?, reason: row.get(1)? }))
}

fn all<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(query)?.query_map([], read)?.collect()
}

/// Stores an entry. The inner error is the name of the run that has taken the store over.
pub(super) fn write(
    connection: &mut Connection,
    token: &str,
    entry: &Entry,
    has_jobs: bool,
) -> rusqlite::Result<Result<Written, String>> {
    let transaction = immediate(connection)?;
    let (of, holder): (String, String) = transaction.query_row(sql::LEASE, [], |row| row.try_into())?;
    if of != token {
        return Ok(Err(holder));
    }
    let mut written = Written::default();
    match entry {
        Entry::Page(page) => {
            save_page(&transaction, page)?;
            if has_jobs {
                (written.jobs, written.is_circle) = jobs(&transaction, page)?;
            }
        }
        Entry::Batch(batch) => written.users = save_batch(&transaction, batch)?,
        Entry::End { page, failure } => {
            if execute(&transaction, sql::END, [page])? > 0 {
                failed(&transaction, failure)?;
            }
        }
    }
    written.state = state(&transaction)?;
    transaction.commit()?;
    Ok(Ok(written))
}

/// Returns the work that a page leads to, without what is done already, and whether its next page was read before.
fn jobs(transaction: &Transaction<'_>, page: &Page) -> rusqlite::Result<(Vec<Job>, bool)> {
    let cursor = transaction.query_row(sql::CURSOR, [], |row| row.try_into());
    let (cursor, is_read): (Option<String>, bool) = cursor?;
    let is_next = cursor.is_some() && cursor == page.next;
    let next = cursor.filter(|_| is_next && !is_read).map(Job::Page);
    let calls = missing(transaction, page.users.iter().map(|user| user.id).collect())?;
    Ok((next.into_iter().chain(calls.into_iter().map(Job::Document)).collect(), is_next && is_read))
}

/// Returns those of the documents of these users that are missing.
pub(super) fn missing(connection: &Connection, mut users: Vec<i64>) -> rusqlite::Result<Vec<Call>> {
    users.sort_unstable();
    users.dedup();
    let mut statement = connection.prepare_cached(OPEN_USER)?;
    let mut missing = Vec::new();
    for user in users {
        let open = statement.query_row([user], |row| Ok(Checkpoint::of_user(user, row.get(0)?, row.get(1)?)));
        missing.extend(open.optional()?.into_iter().flatten());
    }
    Ok(missing)
}

fn save_page(transaction: &Transaction<'_>, page: &Page) -> rusqlite::Result<()> {
    let is_next: Option<bool> = transaction.query_row(sql::IS_NEXT, [&page.this], |row| row.get(0))?;
    if is_next != Some(true) {
        return Ok(());
    }
    execute(transaction, sql::PAGE_READ, [&page.this])?;
    let mut listed = 0;
    for user in &page.users {
        listed += execute(transaction, sql::LIST_USER, params![user.id, user.name, user.email, user.active])?;
    }
    for failure in &page.failures {
        failed(transaction, failure)?;
    }
    execute(transaction, sql::NEXT_PAGE, params![page.next, listed as i64, page.this]).map(drop)
}

fn failed(transaction: &Transaction<'_>, failure: &Failure) -> rusqlite::Result<()> {
    execute(transaction, sql::FAILED, [&failure.url, &failure.reason]).map(drop)
}

/// Stores the documents that are missing, and returns the number of users that they complete.
fn save_batch(transaction: &Transaction<'_>, batch: &[Fetched]) -> rusqlite::Result<u64> {
    let missing = missing(transaction, batch.iter().map(|fetched| fetched.call.user).collect())?;
    let mut missing: HashSet<Call> = missing.into_iter().collect();
    // The first of several attempts that store a document is the one that counts.
    for Fetched { call, document, failures, .. } in
        batch.iter().filter(|fetched| missing.remove(&fetched.call))
    {
        match document {
            Document::Orders(orders) => {
                for order in orders {
                    let row = params![order.id, call.user, order.cents, order.currency];
                    execute(transaction, sql::READ_ORDER, row)?;
                }
                execute(transaction, sql::ORDERS_READ, [call.user])?;
            }
            Document::Prefs(prefs) => {
                let prefs = prefs.as_ref();
                let theme = prefs.map(|prefs| &prefs.theme);
                let locale = prefs.map(|prefs| &prefs.locale);
                let newsletter = prefs.map(|prefs| prefs.newsletter);
                execute(transaction, sql::PREFS_READ, params![theme, locale, newsletter, call.user])?;
            }
        }
        for failure in failures {
            failed(transaction, failure)?;
        }
    }
    let users = execute(transaction, sql::COMPLETE_USERS, [])?;
    let counted: i64 = transaction.query_row(sql::COUNTED_ORDERS, [], |row| row.get(0))?;
    let orders = execute(transaction, sql::COMPLETE_ORDERS, [])? as i64 - counted;
    for statement in sql::CLEAR {
        execute(transaction, statement, [])?;
    }
    execute(transaction, sql::COUNT, [users as i64, orders])?;
    Ok(users as u64)
}

fn execute(transaction: &Transaction<'_>, statement: &str, row: impl Params) -> rusqlite::Result<usize> {
    transaction.prepare_cached(statement)?.execute(row)
}

pub(super) fn state(connection: &Connection) -> rusqlite::Result<State> {
    connection.query_row(sql::STATE, [], |row| {
        let totals = Totals::new([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        Ok(State { totals, is_complete: row.get(4)? })
    })
}
