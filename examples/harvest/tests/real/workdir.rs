//! A directory and a store for one test, and the program run there.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use evenkeel::postgres::Database;
use rusqlite::Connection;
use serde_json::Value;
use tokio::{process::Command, runtime};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_harvest");

/// A command whose output is read, and that ends with the test.
pub(crate) fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("DATABASE_URL");
    command
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// A directory, with a store there or in a schema of a server.
pub(crate) struct Workdir {
    dir: PathBuf,
    postgres: Option<Schema>,
}

/// A schema that is the search path of its address.
struct Schema {
    server: String,
    name: String,
    url: String,
}

type UserRow = (i64, String, String, bool, Option<String>, Option<String>, Option<bool>);
type OrderRow = (i64, i64, i64, String);

const USERS: &str = "SELECT id, name, email, active, theme, locale, newsletter FROM users ORDER BY id";
const ORDERS: &str = "SELECT id, user_id, cents, currency FROM orders ORDER BY id";

impl Workdir {
    /// Returns a directory with its store in a file.
    pub(crate) fn new() -> Self {
        let dir = env::temp_dir().join(fresh_name("harvest-test-", "-"));
        fs::create_dir_all(&dir).unwrap();
        Self { dir, postgres: None }
    }

    /// Returns a directory with its store on the server, if there is one.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = env::var("EVENKEEL_TEST_POSTGRES") else {
            println!("SKIPPED: no PostgreSQL server (cargo xtask servers up)");
            return None;
        };
        let name = fresh_name("harvest_test_", "_");
        let admin = Database::connect(&server).await.unwrap();
        admin.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options=-csearch_path%3D{name}");
        let mut workdir = Self::new();
        workdir.postgres = Some(Schema { server, name, url });
        Some(workdir)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Returns the `--store` of this directory.
    pub(crate) fn store(&self) -> String {
        match &self.postgres {
            Some(schema) => format!("postgres:{}", schema.url),
            None => format!("sqlite:{}", self.path("store.db")),
        }
    }

    /// Returns the program with these flags, and its store and JSON in this directory.
    pub(crate) fn harvest(&self, flags: &str) -> Command {
        self.harvest_into(flags, &self.store())
    }

    /// Returns the same with another store.
    pub(crate) fn harvest_into(&self, flags: &str, store: &str) -> Command {
        let mut command = quiet(Command::new(PROGRAM));
        command.args(flags.split_whitespace());
        command.args(["--store", store, "--json", &self.path("report.json")]);
        command
    }

    /// Runs the program, which has to exit with this code, and reads its JSON.
    pub(crate) async fn run(&self, flags: &str, code: i32) -> Value {
        let output = self.harvest(flags).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        self.report()
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("report.json")).unwrap()).unwrap()
    }

    /// Returns all rows of both tables in order, alike for both kinds of store.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let (users, orders): (Vec<UserRow>, Vec<OrderRow>) = match &self.postgres {
            Some(schema) => {
                let database = Database::connect(&schema.url).await.unwrap();
                let users = database.fetch_all(USERS, ()).await.unwrap();
                (users, database.fetch_all(ORDERS, ()).await.unwrap())
            }
            None => {
                let database = Connection::open(self.path("store.db")).unwrap();
                let mut users = database.prepare(USERS).unwrap();
                let users = users.query_map([], |row| row.try_into()).unwrap();
                let mut orders = database.prepare(ORDERS).unwrap();
                let orders = orders.query_map([], |row| row.try_into()).unwrap();
                (users.map(Result::unwrap).collect(), orders.map(Result::unwrap).collect())
            }
        };
        let users = users.iter().map(|row| format!("{row:?}"));
        users.chain(orders.iter().map(|row| format!("{row:?}"))).collect()
    }

    /// Returns one number from the database.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        match &self.postgres {
            Some(schema) => {
                let database = Database::connect(&schema.url).await.unwrap();
                let (number,): (i64,) = database.fetch_one(query, ()).await.unwrap();
                number
            }
            None => {
                let database = Connection::open(self.path("store.db")).unwrap();
                database.query_row(query, [], |row| row.get(0)).unwrap()
            }
        }
    }
}

fn fresh_name(prefix: &str, between: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}{between}{}", process::id(), COUNT.fetch_add(1, Relaxed))
}

impl Drop for Workdir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        let Some(Schema { server, name, .. }) = self.postgres.take() else { return };
        let drop = async move {
            let admin = Database::connect(&server).await?;
            admin.batch_execute(&format!("DROP SCHEMA {name} CASCADE")).await
        };
        // This may be a thread of a runtime, which must not block.
        let dropped = thread::spawn(|| {
            runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(drop)
        });
        let _ = dropped.join();
    }
}
