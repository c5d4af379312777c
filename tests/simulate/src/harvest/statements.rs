//! The statements of a harvest, as the server gets them and as SQLite runs them.

use std::{borrow::Cow, sync::OnceLock};

use evenkeel_testkit_pg::Type;

/// The names and types of columns.
pub(super) type Columns = Vec<(String, Type)>;

/// The parameters of the statements that have some, by their first words.
const PARAMETERS: &[(&str, &[Type])] = &[
    ("INSERT INTO harvest_lease", &[Type::TEXT, Type::TEXT]),
    ("INSERT INTO harvest_pass", &[Type::TEXT, Type::TEXT]),
    ("INSERT INTO harvest_users", &[Type::INT8, Type::TEXT, Type::TEXT, Type::BOOL]),
    ("INSERT INTO harvest_pages", &[Type::TEXT]),
    ("INSERT INTO harvest_orders", &[Type::INT8, Type::INT8, Type::INT8, Type::TEXT]),
    ("INSERT INTO harvest_failures", &[Type::TEXT, Type::TEXT]),
    ("UPDATE harvest_pass SET next = $1", &[Type::TEXT, Type::INT8, Type::TEXT]),
    ("UPDATE harvest_pass SET next = NULL", &[Type::TEXT]),
    ("UPDATE harvest_pass SET users", &[Type::INT8, Type::INT8]),
    ("UPDATE harvest_users SET orders_read", &[Type::INT8]),
    ("UPDATE harvest_users SET theme", &[Type::TEXT, Type::TEXT, Type::BOOL, Type::INT8]),
    ("SELECT next = $1", &[Type::TEXT]),
    ("SELECT id, orders_read, prefs_read FROM harvest_users WHERE id = ANY", &[Type::INT8_ARRAY]),
];

const CLOCK: &str = "CAST(extract(epoch FROM clock_timestamp()) AS BIGINT)";

/// A statement that this database runs.
#[derive(Debug)]
pub(super) struct KnownStatement {
    /// In one line.
    pub(super) sql: String,
    /// The columns of one that is not about tables.
    pub(super) built_in: Option<Option<Columns>>,
    pub(super) is_write: bool,
    pub(super) parameters: &'static [Type],
    /// For SQLite, but for the clock.
    in_sqlite: String,
    /// Its columns, once it was prepared.
    pub(super) columns: OnceLock<Option<Columns>>,
}

impl KnownStatement {
    /// Returns a statement, unless it is of another kind.
    pub(super) fn new(sql: &str) -> Option<Self> {
        let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let built_in = built_in(&sql);
        if built_in.is_none() && !is_ours(&sql) {
            return None;
        }
        let known = PARAMETERS.iter().find(|(words, _)| sql.starts_with(words));
        let in_sqlite = sql.replace(" FOR UPDATE", "");
        Some(Self {
            built_in,
            is_write: !sql.starts_with("SELECT") || sql.ends_with("FOR UPDATE"),
            parameters: known.map_or(&[], |(_, types)| types),
            in_sqlite: in_sqlite.replace("= ANY($1)", "IN (SELECT value FROM json_each($1))"),
            columns: OnceLock::new(),
            sql,
        })
    }

    /// Returns its text for SQLite at this time of the clock, in seconds.
    pub(super) fn in_sqlite(&self, now: impl FnOnce() -> i64) -> Cow<'_, str> {
        match self.in_sqlite.contains(CLOCK) {
            true => self.in_sqlite.replace(CLOCK, &now().to_string()).into(),
            false => (&*self.in_sqlite).into(),
        }
    }
}

/// Returns the columns of a statement that is not about tables.
fn built_in(sql: &str) -> Option<Option<Columns>> {
    let column = |name: &str, ty| Some(Some(vec![(name.to_owned(), ty)]));
    match sql {
        "SHOW server_encoding" => column("server_encoding", Type::TEXT),
        "SELECT current_schema()" => column("current_schema", Type::TEXT),
        _ if sql.starts_with("SELECT pg_try_advisory_xact_lock(") => {
            column("pg_try_advisory_xact_lock", Type::BOOL)
        }
        _ if sql.starts_with("SELECT pg_advisory_xact_lock(") => column("pg_advisory_xact_lock", Type::VOID),
        // A session is reset before it is used again.
        _ if sql.starts_with("SELECT pg_catalog.quote_ident(name) AS deallocate ") => {
            column("deallocate", Type::TEXT)
        }
        _ if sql.starts_with("SELECT pg_catalog.set_config(") => column("set_config", Type::TEXT),
        "SELECT pg_catalog.pg_advisory_unlock_all()" => column("pg_advisory_unlock_all", Type::VOID),
        _ if sql.starts_with("CREATE SCHEMA ") => Some(None),
        _ => None,
    }
}

/// Whether a statement is about the tables of a harvest.
fn is_ours(sql: &str) -> bool {
    let words = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE TABLE"];
    words.iter().any(|word| sql.starts_with(word))
        && ["harvest_", "users", "orders"].iter().any(|name| sql.contains(name))
}
