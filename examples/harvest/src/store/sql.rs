//! The tables and the statements, in the SQL that both stores understand.
//!
//! `users` and `orders` are what the program is for: a user is in them with all that could be read of it, or not at
//! all. The tables of the pass are its memory. A pass is one reading of a source from the first page to the last, in
//! one run or in several. They are written in the transactions that write the rows, so that at every moment they say
//! exactly what is in the store, and what is still to be read:
//!
//! | table | has |
//! |---|---|
//! | `harvest_pass` | the source, the page to be read next (null after the last), what was counted |
//! | `harvest_users` | users that were listed and are not yet complete, and which of their documents were read |
//! | `harvest_orders` | the orders of those |
//! | `harvest_done` | users that were listed and are complete: a page that lists one again lists nobody |
//! | `harvest_failures` | the documents and records that could not be read |
//! | `harvest_lease` | the run that may write, and since when |

/// Made if they are not there.
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
    CREATE TABLE IF NOT EXISTS harvest_failures (url TEXT PRIMARY KEY, reason TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS harvest_lease (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, since BIGINT NOT NULL
    );";

/// Whatever run had the lease, this one has it now.
pub(super) const TAKE_LEASE: &str = "
    INSERT INTO harvest_lease (id, token, holder, since) VALUES (1, $1, $2, {now})
    ON CONFLICT (id) DO UPDATE SET token = excluded.token, holder = excluded.holder, since = excluded.since";
/// Who has the lease, and for how many seconds.
pub(super) const HOLDER: &str = "SELECT holder, {now} - since FROM harvest_lease";
/// Asked for at the beginning of each transaction that writes.
pub(super) const LEASE: &str = "SELECT token, holder FROM harvest_lease";

/// Other tables of these names are turned down at once.
pub(super) const CHECKS: [&str; 2] = [
    "SELECT id, name, email, active, theme, locale, newsletter FROM users LIMIT 0",
    "SELECT id, user_id, cents, currency FROM orders LIMIT 0",
];

/// The pass that was begun last, and how many of its users are incomplete.
pub(super) const PASS: &str = "
    SELECT source, next, pages, listed, users, orders, (SELECT count(*) FROM harvest_users) FROM harvest_pass";
pub(super) const LEFT: &str = "SELECT id, orders_read, prefs_read FROM harvest_users ORDER BY id";
pub(super) const FAILURES: &str = "SELECT url, reason FROM harvest_failures";

/// Forgets the last pass; then [`BEGIN_PASS`] begins another one.
pub(super) const FORGET: [&str; 5] = [
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
/// Goes from one page to the next, and counts what was on it; does nothing the second time.
pub(super) const TURN: &str = "
    UPDATE harvest_pass SET next = $1, pages = pages + 1, listed = listed + $2 WHERE next = $3";
/// There is no next page.
pub(super) const END: &str = "UPDATE harvest_pass SET next = NULL";

/// An order that two users have is that of the one with the lower number, whoever comes first.
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

/// Users of whom all was read. Preferences that could not be read this time stay as they are.
pub(super) const COMPLETE_USERS: &str = "
    INSERT INTO users (id, name, email, active, theme, locale, newsletter)
    SELECT id, name, email, active, theme, locale, newsletter FROM harvest_users WHERE orders_read AND prefs_read
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, email = excluded.email, active = excluded.active,
        theme = coalesce(excluded.theme, users.theme), locale = coalesce(excluded.locale, users.locale),
        newsletter = coalesce(excluded.newsletter, users.newsletter)";
/// Of the orders that are about to be stored, those that this pass has counted already, as another user's.
pub(super) const COUNTED_ORDERS: &str = "
    SELECT count(*) FROM harvest_orders o JOIN harvest_users u ON u.id = o.user_id
    JOIN orders e ON e.id = o.id JOIN harvest_done d ON d.id = e.user_id
    WHERE u.orders_read AND u.prefs_read AND o.user_id <= e.user_id";
/// What an earlier pass has stored gives way; of this pass the user with the lower number keeps an order.
pub(super) const COMPLETE_ORDERS: &str = "
    INSERT INTO orders (id, user_id, cents, currency)
    SELECT o.id, o.user_id, o.cents, o.currency
    FROM harvest_orders o JOIN harvest_users u ON u.id = o.user_id WHERE u.orders_read AND u.prefs_read
    ON CONFLICT (id) DO UPDATE SET
        user_id = excluded.user_id, cents = excluded.cents, currency = excluded.currency
    WHERE excluded.user_id <= orders.user_id
        OR NOT EXISTS (SELECT 1 FROM harvest_done WHERE harvest_done.id = orders.user_id)";
/// Remembers who is complete. A batch that is stored a second time brings orders of users who are complete already: these go, too.
pub(super) const CLEAR: [&str; 3] = [
    "INSERT INTO harvest_done (id) SELECT id FROM harvest_users WHERE orders_read AND prefs_read
     ON CONFLICT (id) DO NOTHING",
    "DELETE FROM harvest_users WHERE orders_read AND prefs_read",
    "DELETE FROM harvest_orders WHERE user_id NOT IN (SELECT id FROM harvest_users)",
];
pub(super) const COUNT: &str = "UPDATE harvest_pass SET users = users + $1, orders = orders + $2";

pub(super) const TOTALS: &str = "SELECT pages, listed, users, orders FROM harvest_pass";
