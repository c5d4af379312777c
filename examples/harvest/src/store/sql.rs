//! The tables and statements, in SQL for both PostgreSQL and SQLite.
//!
//! `users` and `orders` have the result: a user is stored with all its documents that could be read, or not at all. The
//! other tables have the state of the pass. A pass reads a source from the first page to the last, in one run or in
//! several. Its state is written in the transactions that write the rows, so that it always matches them:
//!
//! | table | contents |
//! |---|---|
//! | `harvest_pass` | the source, the page to be read next (null after the last), the counts |
//! | `harvest_users` | users that were listed and are not complete yet, and which of their documents were read |
//! | `harvest_orders` | the orders of these users |
//! | `harvest_done` | users that were listed and are complete, so that a page that lists one again changes nothing |
//! | `harvest_pages` | the pages that were read |
//! | `harvest_failures` | the documents and records that could not be read |
//! | `harvest_lease` | the run that may write, and since when |

/// Creates the tables unless they exist.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (
        id BIGINT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, active BOOLEAN NOT NULL,
        theme TEXT, locale TEXT, newsletter BOOLEAN
    );
    CREATE TABLE IF NOT EXISTS orders (
        id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL REFERENCES users (id),
        cents BIGINT NOT NULL, currency TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS harvest_pass (
        source TEXT PRIMARY KEY, next TEXT, pages BIGINT NOT NULL, listed BIGINT NOT NULL,
        users BIGINT NOT NULL, orders BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS harvest_users (
        id BIGINT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, active BOOLEAN NOT NULL,
        theme TEXT, locale TEXT, newsletter BOOLEAN,
        orders_read BOOLEAN NOT NULL DEFAULT FALSE, prefs_read BOOLEAN NOT NULL DEFAULT FALSE
    );
    CREATE TABLE IF NOT EXISTS harvest_orders (
        id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, cents BIGINT NOT NULL, currency TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS harvest_done (id BIGINT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS harvest_pages (url TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS harvest_failures (url TEXT PRIMARY KEY, reason TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS harvest_lease (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, since BIGINT NOT NULL
    );";

/// Gives the lease to this run, whichever run had it before.
pub(super) const TAKE_LEASE: &str = "
    INSERT INTO harvest_lease (id, token, holder, since) VALUES (1, $1, $2, {now})
    ON CONFLICT (id) DO UPDATE SET token = excluded.token, holder = excluded.holder, since = excluded.since";
/// Reads the run that has the lease, and for how many seconds it has had it.
pub(super) const HOLDER: &str = "SELECT holder, {now} - since FROM harvest_lease";
/// Checks the lease, at the beginning of each transaction that writes.
pub(super) const LEASE: &str = "SELECT token, holder FROM harvest_lease";

/// Fail if tables with these names belong to another program.
pub(super) const CHECKS: [&str; 2] = [
    "SELECT id, name, email, active, theme, locale, newsletter FROM users LIMIT 0",
    "SELECT id, user_id, cents, currency FROM orders LIMIT 0",
];

/// Reads the last pass, and the number of its incomplete users.
pub(super) const PASS: &str = "
    SELECT source, next, pages, listed, users, orders, (SELECT count(*) FROM harvest_users) FROM harvest_pass";
pub(super) const OPEN_USERS: &str = "SELECT id, orders_read, prefs_read FROM harvest_users ORDER BY id";
pub(super) const FAILURES: &str = "SELECT url, reason FROM harvest_failures";

/// Deletes the last pass; [`BEGIN_PASS`] begins another one afterwards.
pub(super) const FORGET: [&str; 6] = [
    "DELETE FROM harvest_pages",
    "DELETE FROM harvest_orders",
    "DELETE FROM harvest_users",
    "DELETE FROM harvest_done",
    "DELETE FROM harvest_failures",
    "DELETE FROM harvest_pass",
];
pub(super) const BEGIN_PASS: &str = "
    INSERT INTO harvest_pass (source, next, pages, listed, users, orders) VALUES ($1, $2, 0, 0, 0, 0)";

pub(super) const LIST_USER: &str = "
    INSERT INTO harvest_users (id, name, email, active)
    SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BOOLEAN)
    WHERE NOT EXISTS (SELECT 1 FROM harvest_done WHERE id = $1) ON CONFLICT (id) DO NOTHING";
/// Whether a page is the one to be read next. Another one is stored already: what a late attempt read of it is dropped.
pub(super) const IS_NEXT: &str = "
    SELECT next = $1 AND NOT EXISTS (SELECT 1 FROM harvest_pages WHERE url = $1) FROM harvest_pass";
pub(super) const PAGE_READ: &str = "INSERT INTO harvest_pages (url) VALUES ($1) ON CONFLICT (url) DO NOTHING";
/// Moves the cursor to the next page, and counts the users of this one.
pub(super) const NEXT_PAGE: &str = "
    UPDATE harvest_pass SET next = $1, pages = pages + 1, listed = listed + $2 WHERE next = $3";
/// Reads the cursor, and whether that page was read before.
pub(super) const CURSOR: &str = "
    SELECT next, EXISTS (SELECT 1 FROM harvest_pages WHERE url = harvest_pass.next) FROM harvest_pass";
/// Ends the pages, if this one is the next; without one in any case.
pub(super) const END: &str = "
    UPDATE harvest_pass SET next = NULL WHERE next = coalesce(CAST($1 AS TEXT), next)";

/// Stores an order. If two users have it, it belongs to the one with the lower number, in any order of arrival.
pub(super) const READ_ORDER: &str = "
    INSERT INTO harvest_orders (id, user_id, cents, currency) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, cents = excluded.cents, currency = excluded.currency
    WHERE excluded.user_id <= harvest_orders.user_id";
pub(super) const ORDERS_READ: &str = "UPDATE harvest_users SET orders_read = TRUE WHERE id = $1";
pub(super) const PREFS_READ: &str = "
    UPDATE harvest_users SET theme = $1, locale = $2, newsletter = $3, prefs_read = TRUE WHERE id = $4";
pub(super) const FAILED: &str = "
    INSERT INTO harvest_failures (url, reason) VALUES ($1, $2) ON CONFLICT (url) DO NOTHING";

/// Stores users whose documents were all read. Preferences that could not be read this time stay as they are.
pub(super) const COMPLETE_USERS: &str = "
    INSERT INTO users (id, name, email, active, theme, locale, newsletter)
    SELECT id, name, email, active, theme, locale, newsletter FROM harvest_users WHERE orders_read AND prefs_read
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, email = excluded.email, active = excluded.active,
        theme = coalesce(excluded.theme, users.theme), locale = coalesce(excluded.locale, users.locale),
        newsletter = coalesce(excluded.newsletter, users.newsletter)";
/// Counts the orders about to be stored that this pass has counted already for another user.
pub(super) const COUNTED_ORDERS: &str = "
    SELECT count(*) FROM harvest_orders o JOIN harvest_users u ON u.id = o.user_id
    JOIN orders e ON e.id = o.id JOIN harvest_done d ON d.id = e.user_id
    WHERE u.orders_read AND u.prefs_read AND o.user_id <= e.user_id";
/// Stores orders of complete users. An order of an earlier pass is replaced; within this pass the user with the lower
/// number keeps it.
pub(super) const COMPLETE_ORDERS: &str = "
    INSERT INTO orders (id, user_id, cents, currency)
    SELECT o.id, o.user_id, o.cents, o.currency
    FROM harvest_orders o JOIN harvest_users u ON u.id = o.user_id WHERE u.orders_read AND u.prefs_read
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, cents = excluded.cents, currency = excluded.currency
    WHERE excluded.user_id <= orders.user_id
        OR NOT EXISTS (SELECT 1 FROM harvest_done WHERE harvest_done.id = orders.user_id)";
/// Marks complete users, and deletes their state. A batch that is stored a second time has orders of users that are
/// complete already: these are deleted, too.
pub(super) const CLEAR: [&str; 3] = [
    "INSERT INTO harvest_done (id) SELECT id FROM harvest_users WHERE orders_read AND prefs_read
     ON CONFLICT (id) DO NOTHING",
    "DELETE FROM harvest_users WHERE orders_read AND prefs_read",
    "DELETE FROM harvest_orders WHERE user_id NOT IN (SELECT id FROM harvest_users)",
];
pub(super) const COUNT: &str = "UPDATE harvest_pass SET users = users + $1, orders = orders + $2";

/// Reads the counts. A pass is complete when there is no page to be read and no user is open.
pub(super) const STATE: &str = "
    SELECT pages, listed, users, orders, next IS NULL AND NOT EXISTS (SELECT 1 FROM harvest_users) FROM harvest_pass";
