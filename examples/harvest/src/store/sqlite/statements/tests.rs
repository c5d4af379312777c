//! The statements in a database in memory.

use super::*;
use crate::model::{Order, Prefs, User};

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
    super::write(connection, &run().token, entry, false).unwrap().unwrap().state.totals
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
    assert_eq!(steps, expected.map(|(pages, listed, users, orders)| totals_of(pages, listed, users, orders)));
    assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM users"), 2);
    assert_eq!(one::<i64>(&connection, "SELECT cents FROM orders WHERE user_id = 2"), i64::MAX);
    assert_eq!(one::<Option<bool>>(&connection, "SELECT newsletter FROM users WHERE id = 2"), None);
    for left_over in ["harvest_users", "harvest_orders"] {
        assert_eq!(one::<i64>(&connection, &format!("SELECT count(*) FROM {left_over}")), 0, "{left_over}");
    }
}

#[test]
fn what_is_left_is_found_again() {
    let mut connection = database();
    begin(&mut connection, "api", "first");
    let mut failed = prefs(2, None);
    failed.failures = vec![failure("prefs of 2")];
    let users = (1..=3).map(|id| user(id, "A", true)).collect();
    let entries =
        [page("first", users, Some("second")), Entry::Batch(vec![orders(1, &[7]), prefs(1, None), failed])];
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
    let end = |page: Option<&str>| Entry::End { page: page.map(Into::into), failure: failure("second") };
    // A late attempt of another page ends nothing.
    write(&mut connection, &end(Some("first")));
    assert_eq!(failures(&connection).unwrap(), []);
    twice(&mut connection, &[end(Some("second")), end(None)]);
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
    assert_eq!(super::write(&mut connection, &run().token, &entry, false).unwrap(), Err("that".into()));
    assert_eq!(state(&connection).unwrap().totals, Totals::default());
    let written = super::write(&mut connection, &other.token, &entry, false).unwrap();
    assert_eq!(written.unwrap().state.totals, totals_of(1, 1, 0, 0));
}

#[test]
fn of_several_attempts_the_first_that_stores_counts() {
    let mut connection = database();
    begin(&mut connection, "api", "first");
    write(&mut connection, &page("first", vec![user(1, "A", true)], None));
    let failed = || Fetched { failures: vec![failure("prefs of 1")], ..prefs(1, None) };
    write(&mut connection, &Entry::Batch(vec![prefs(1, Some("dark")), failed()]));
    write(&mut connection, &Entry::Batch(vec![failed()]));
    write(&mut connection, &Entry::Batch(vec![orders(1, &[7])]));
    write(&mut connection, &Entry::Batch(vec![orders(1, &[8, 9]), failed()]));
    write(&mut connection, &page("first", vec![user(2, "B", true)], Some("second")));
    assert_eq!(one::<String>(&connection, "SELECT theme FROM users"), "dark");
    assert_eq!(one::<i64>(&connection, "SELECT sum(cents) FROM orders"), 7);
    assert_eq!(failures(&connection).unwrap(), []);
    let complete = State { totals: totals_of(1, 1, 1, 1), is_complete: true };
    assert_eq!(state(&connection).unwrap(), complete);
}

#[test]
fn a_page_leads_to_the_next_one_and_to_what_is_missing() {
    let mut connection = database();
    begin(&mut connection, "api", "first");
    let mut jobs = |entry: &Entry| {
        let written = super::write(&mut connection, &run().token, entry, true).unwrap().unwrap();
        (written.jobs, written.users, written.is_circle)
    };
    let first = page("first", vec![user(2, "B", true), user(1, "A", true)], Some("second"));
    let documents = |calls: &[Call]| calls.iter().copied().map(Job::Document).collect::<Vec<_>>();
    let all = [vec![Job::Page("second".into())], documents(&[Call::both(1), Call::both(2)].concat())];
    // The second time, since the process that stored it may have ended before it published them.
    for _ in 0..2 {
        assert_eq!(jobs(&first), (all.concat(), 0, false));
    }
    assert_eq!(jobs(&Entry::Batch(vec![orders(1, &[]), prefs(1, None), prefs(2, None)])), (vec![], 1, false));
    // A page that lists a user again leads to nothing for him; one whose next page was read before ends the pages.
    let second = page("second", vec![user(1, "A", true)], Some("first"));
    assert_eq!(jobs(&second), (vec![], 0, true));
    // The next page of the first one has been read by now.
    assert_eq!(jobs(&first), (documents(&Call::both(2)[..1]), 0, false));
}

#[test]
fn tables_of_others_are_turned_down() {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE users (login TEXT)").unwrap();
    let error = prepare(&mut connection).unwrap_err();
    assert!(error.to_string().contains("no such column"), "{error}");
}
