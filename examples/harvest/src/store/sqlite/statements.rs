//! Runs the statements of `sql.rs` in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Params, Transaction, TransactionBehavior, params};

use super::{BUSY, NOW};
use crate::{
    api::Fetched,
    model::Document,
    stats::Failure,
    store::{
        Checkpoint, Entry, Page, Totals,
        lease::{self, Run},
        sql,
    },
};

/// The error for a file that cannot be written.
pub(super) const READ_ONLY: &str = "the file is read-only";

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
    let pass = transaction.query_row(sql::PASS, [], |row| {
        let (source, next): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let totals = Totals::new([row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]);
        Ok((source, next, totals, row.get::<_, i64>(6)?))
    });
    let checkpoint = match pass.optional()? {
        Some((of, next, totals, open)) if of == source && (next.is_some() || open > 0) => {
            let calls = all(&transaction, sql::OPEN_USERS, |row| {
                Ok(Checkpoint::of_user(row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            let failure = |row: &rusqlite::Row<'_>| Ok(Failure { url: row.get(0)?, reason: row.get(1)? });
            let failures = all(&transaction, sql::FAILURES, failure)?;
            Checkpoint { next, calls: calls.into_iter().flatten().collect(), totals, failures }
        }
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

fn all<T>(
    transaction: &Transaction<'_>,
    query: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    transaction.prepare(query)?.query_map([], read)?.collect()
}

/// The totals after a write, or the name of the run that has taken the store over.
pub(super) type Written = Result<Totals, String>;

pub(super) fn write(connection: &mut Connection, token: &str, entry: &Entry) -> rusqlite::Result<Written> {
    let transaction = immediate(connection)?;
    let (of, holder): (String, String) = transaction.query_row(sql::LEASE, [], |row| row.try_into())?;
    if of != token {
        return Ok(Err(holder));
    }
    match entry {
        Entry::Page(page) => save_page(&transaction, page)?,
        Entry::Batch(batch) => save_batch(&transaction, batch)?,
        Entry::End(failure) => {
            failed(&transaction, failure)?;
            execute(&transaction, sql::END, [])?;
        }
    }
    let totals = totals(&transaction)?;
    transaction.commit()?;
    Ok(Ok(totals))
}

fn save_page(transaction: &Transaction<'_>, page: &Page) -> rusqlite::Result<()> {
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

fn save_batch(transaction: &Transaction<'_>, batch: &[Fetched]) -> rusqlite::Result<()> {
    for Fetched { call, document, failures, .. } in batch {
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
    execute(transaction, sql::COUNT, [users as i64, orders]).map(drop)
}

fn execute(transaction: &Transaction<'_>, statement: &str, row: impl Params) -> rusqlite::Result<usize> {
    transaction.prepare_cached(statement)?.execute(row)
}

pub(super) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    connection.query_row(sql::TOTALS, [], |row| {
        Ok(Totals::new([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Call, Order, Prefs, User};

    fn user(id: i64, name: &str, active: bool) -> User {
        User { id, name: name.into(), email: format!("user{id}@example.test"), active }
    }

    fn orders(user: i64, cents: &[i64]) -> Fetched {
        let order = |(n, cents): (usize, &i64)| Order {
            id: user * 100 + n as i64,
            cents: *cents,
            currency: "EUR".into(),
        };
        let orders = cents.iter().enumerate().map(order).collect();
        Fetched::new(Call::both(user)[0], Document::Orders(orders))
    }

    fn prefs(user: i64, theme: Option<&str>) -> Fetched {
        let prefs = |theme: &str| Prefs { theme: theme.into(), locale: "pl".into(), newsletter: false };
        Fetched::new(Call::both(user)[1], Document::Prefs(theme.map(prefs)))
    }

    fn page(this: &str, users: Vec<User>, next: Option<&str>) -> Entry {
        Entry::Page(Page { this: this.into(), users, next: next.map(str::to_owned), failures: Vec::new() })
    }

    fn failure(url: &str) -> Failure {
        Failure { url: url.into(), reason: "gone".into() }
    }

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection).unwrap();
        connection
    }

    fn run() -> Run {
        Run { name: "this".into(), token: "1".into() }
    }

    fn begin(connection: &mut Connection, source: &str, first: &str) -> Checkpoint {
        super::begin(connection, &run(), source, first).unwrap()
    }

    fn write(connection: &mut Connection, entry: &Entry) -> Totals {
        super::write(connection, &run().token, entry).unwrap().unwrap()
    }

    fn one<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> T {
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn totals_of(pages: u64, listed: u64, users: u64, orders: u64) -> Totals {
        Totals { pages, listed, users, orders }
    }

    /// Stores each entry twice, as after a commit whose answer was lost, and returns the totals after each.
    fn twice(connection: &mut Connection, entries: &[Entry]) -> Vec<Totals> {
        let mut both = |entry| {
            let first = write(connection, entry);
            assert_eq!(write(connection, entry), first, "{entry:?}");
            first
        };
        entries.iter().map(&mut both).collect()
    }

    #[test]
    fn a_user_is_stored_with_both_documents_and_once() {
        let mut connection = database();
        assert_eq!(begin(&mut connection, "api", "first").next.as_deref(), Some("first"));
        let steps = twice(
            &mut connection,
            &[
                page("first", vec![user(1, "A", true), user(2, "B", false)], Some("second")),
                Entry::Batch(vec![orders(1, &[5, -5]), prefs(2, None)]),
                Entry::Batch(vec![prefs(1, Some("dark")), orders(2, &[i64::MAX])]),
                page("second", vec![], None),
            ],
        );
        let expected = [(1, 2, 0, 0), (1, 2, 0, 0), (1, 2, 2, 3), (2, 2, 2, 3)];
        assert_eq!(
            steps,
            expected.map(|(pages, listed, users, orders)| totals_of(pages, listed, users, orders))
        );
        assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM users"), 2);
        assert_eq!(one::<i64>(&connection, "SELECT cents FROM orders WHERE user_id = 2"), i64::MAX);
        assert_eq!(one::<Option<bool>>(&connection, "SELECT newsletter FROM users WHERE id = 2"), None);
        for left_over in ["harvest_users", "harvest_orders"] {
            assert_eq!(
                one::<i64>(&connection, &format!("SELECT count(*) FROM {left_over}")),
                0,
                "{left_over}"
            );
        }
    }

    #[test]
    fn what_is_left_is_found_again() {
        let mut connection = database();
        begin(&mut connection, "api", "first");
        let mut failed = prefs(2, None);
        failed.failures = vec![failure("prefs of 2")];
        let users = (1..=3).map(|id| user(id, "A", true)).collect();
        let entries = [
            page("first", users, Some("second")),
            Entry::Batch(vec![orders(1, &[7]), prefs(1, None), failed]),
        ];
        twice(&mut connection, &entries);

        let checkpoint = begin(&mut connection, "api", "first");
        assert_eq!(checkpoint.next.as_deref(), Some("second"));
        assert_eq!(checkpoint.calls, [&Call::both(2)[..1], &Call::both(3)].concat());
        assert_eq!(
            (checkpoint.totals, checkpoint.failures),
            (totals_of(1, 3, 1, 1), vec![failure("prefs of 2")])
        );

        // Another source starts from its beginning, and so does the first one afterwards.
        for source in ["other", "api"] {
            let checkpoint = begin(&mut connection, source, "first");
            assert_eq!((checkpoint.next.as_deref(), checkpoint.calls.len()), (Some("first"), 0));
            assert_eq!((checkpoint.totals, checkpoint.failures.len()), (Totals::default(), 0));
        }
    }

    #[test]
    fn a_pass_is_over_when_pages_and_documents_are() {
        let mut connection = database();
        begin(&mut connection, "api", "first");
        write(&mut connection, &page("first", vec![user(1, "A", true)], Some("second")));
        write(&mut connection, &Entry::End(failure("second")));
        let checkpoint = begin(&mut connection, "api", "first");
        assert_eq!((checkpoint.next, checkpoint.calls), (None, Call::both(1).into()));
        assert_eq!(checkpoint.failures, [failure("second")]);

        write(&mut connection, &Entry::Batch(vec![orders(1, &[]), prefs(1, None)]));
        let checkpoint = begin(&mut connection, "api", "first");
        assert_eq!((checkpoint.next.as_deref(), checkpoint.totals), (Some("first"), Totals::default()));
    }

    #[test]
    fn what_changed_is_updated_and_what_is_missing_this_time_stays() {
        let mut connection = database();
        for (name, active, theme) in [("A", true, Some("dark")), ("Zoë", false, None)] {
            begin(&mut connection, "api", "first");
            let entries = [
                page("first", vec![user(1, name, active)], None),
                Entry::Batch(vec![orders(1, &[1]), prefs(1, theme)]),
            ];
            assert_eq!(twice(&mut connection, &entries)[1], totals_of(1, 1, 1, 1));
        }
        assert_eq!(one::<String>(&connection, "SELECT name FROM users"), "Zoë");
        assert!(!one::<bool>(&connection, "SELECT active FROM users"));
        assert_eq!(one::<String>(&connection, "SELECT theme FROM users"), "dark");
    }

    #[test]
    fn a_user_that_is_listed_twice_is_one_user() {
        let mut connection = database();
        begin(&mut connection, "api", "first");
        let users = vec![user(1, "A", true), user(1, "A", true)];
        assert_eq!(write(&mut connection, &page("first", users, None)), totals_of(1, 1, 0, 0));
    }

    #[test]
    fn a_user_on_two_pages_is_one_user_also_when_complete() {
        let mut connection = database();
        begin(&mut connection, "api", "first");
        let both = || Entry::Batch(vec![orders(1, &[5]), prefs(1, Some("dark"))]);
        let entries = [
            page("first", vec![user(1, "A", true)], Some("second")),
            both(),
            page("second", vec![user(1, "A", true), user(2, "B", true)], None),
            both(),
        ];
        assert_eq!(twice(&mut connection, &entries)[3], totals_of(2, 2, 1, 1));
    }

    #[test]
    fn an_order_of_two_users_is_one_order_and_always_the_same_ones() {
        let with_order = |user: i64| {
            let order = Order { id: 5, cents: user, currency: "EUR".into() };
            Fetched::new(Call::both(user)[0], Document::Orders(vec![order]))
        };
        let complete = |user: i64| Entry::Batch(vec![with_order(user), prefs(user, None)]);
        let apart = |first: i64, then: i64| vec![complete(first), complete(then)];
        let at_once = |first: i64, then: i64| {
            let orders = Entry::Batch(vec![with_order(first), with_order(then)]);
            vec![orders, Entry::Batch(vec![prefs(first, None), prefs(then, None)])]
        };
        let mut connection = database();
        // Each pass finds the rows of the last one.
        for entries in [apart(1, 2), apart(2, 1), at_once(1, 2), at_once(2, 1), apart(1, 2)] {
            begin(&mut connection, "api", "first");
            write(&mut connection, &page("first", vec![user(1, "A", true), user(2, "B", true)], None));
            assert_eq!(twice(&mut connection, &entries)[1], totals_of(1, 2, 2, 1));
            assert_eq!(one::<i64>(&connection, "SELECT user_id * 10 + cents FROM orders"), 11);
        }
        // Now the order belongs to the other user.
        begin(&mut connection, "api", "first");
        write(&mut connection, &page("first", vec![user(1, "A", true), user(2, "B", true)], None));
        let entries = [Entry::Batch(vec![orders(1, &[]), prefs(1, None)]), complete(2)];
        assert_eq!(twice(&mut connection, &entries)[1].users, 2);
    }

    #[test]
    fn a_run_that_has_lost_the_store_writes_no_more() {
        let mut connection = database();
        begin(&mut connection, "api", "first");
        let other = Run { name: "that".into(), token: "2".into() };
        super::begin(&mut connection, &other, "api", "first").unwrap();
        let entry = page("first", vec![user(1, "A", true)], None);
        assert_eq!(super::write(&mut connection, &run().token, &entry).unwrap(), Err("that".into()));
        assert_eq!(totals(&connection).unwrap(), Totals::default());
        let written = super::write(&mut connection, &other.token, &entry).unwrap();
        assert_eq!(written, Ok(totals_of(1, 1, 0, 0)));
    }

    #[test]
    fn tables_of_others_are_turned_down() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (login TEXT)").unwrap();
        let error = prepare(&mut connection).unwrap_err();
        assert!(error.to_string().contains("no such column"), "{error}");
    }
}
