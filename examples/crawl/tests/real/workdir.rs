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

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_crawl");

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

/// All rows of the result as text, in an order that does not depend on the order of the work.
const TABLES: [&str; 4] = [
    "SELECT url || ' ' || role || ' ' || coalesce(outcome, '-') || ' ' || coalesce(detail, '-') || ' '
         || coalesce(links, -1) || ' ' || coalesce(bytes, -1) || ' ' || coalesce(etag, '-') FROM urls ORDER BY 1",
    "SELECT p.url || ' to ' || t.url || '#' || l.fragment FROM links l
         JOIN urls p ON p.id = l.page JOIN urls t ON t.id = l.target ORDER BY 1",
    "SELECT u.url || ' has ' || length(a.hashes) FROM anchors a JOIN urls u ON u.id = a.page ORDER BY 1",
    "SELECT u.url || '#' || b.fragment || ' ' || b.problem || ' ' || b.detail FROM broken b
         JOIN urls u ON u.id = b.target ORDER BY 1",
];

impl Workdir {
    /// Returns a directory with its store in a file.
    pub(crate) fn new() -> Self {
        let dir = env::temp_dir().join(fresh_name("crawl-test-", "-"));
        fs::create_dir_all(&dir).unwrap();
        Self { dir, postgres: None }
    }

    /// Returns a directory with its store on the server, if there is one.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = env::var("EVENKEEL_TEST_POSTGRES") else {
            println!("SKIPPED: no PostgreSQL server (cargo xtask servers up)");
            return None;
        };
        let name = fresh_name("crawl_test_", "_");
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

    fn store(&self) -> String {
        match &self.postgres {
            Some(schema) => format!("postgres:{}", schema.url),
            None => format!("sqlite:{}", self.path("store.db")),
        }
    }

    /// Returns the program with these flags, and its store, JSON and log in this directory.
    pub(crate) fn crawl(&self, url: &str, flags: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(url).args(flags.split_whitespace());
        let (json, log) = (self.path("report.json"), self.path("requests.log"));
        command.args(["--store", &self.store(), "--json", &json, "--log", &log]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the program, which has to exit with this code, and reads its JSON.
    pub(crate) async fn run(&self, url: &str, flags: &str, code: i32) -> Value {
        let output = self.crawl(url, flags).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        self.report()
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("report.json")).unwrap()).unwrap()
    }

    /// Returns the lines of the log: the microseconds since the start, and the URL.
    pub(crate) fn log(&self) -> Vec<(u64, String)> {
        let log = fs::read_to_string(self.path("requests.log")).unwrap();
        let line = |line: &str| {
            let (micros, url) = line.split_once(' ').unwrap();
            (micros.parse().unwrap(), url.to_owned())
        };
        log.lines().map(line).collect()
    }

    /// Returns all rows, alike for both kinds of store.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for query in TABLES {
            rows.extend(self.query(query).await);
        }
        rows
    }

    /// Returns one column of text.
    pub(crate) async fn query(&self, query: &str) -> Vec<String> {
        match &self.postgres {
            Some(schema) => {
                let database = Database::connect(&schema.url).await.unwrap();
                let rows: Vec<(String,)> = database.fetch_all(query, ()).await.unwrap();
                rows.into_iter().map(|(text,)| text).collect()
            }
            None => {
                let database = Connection::open(self.path("store.db")).unwrap();
                let mut rows = database.prepare(query).unwrap();
                let rows = rows.query_map([], |row| row.get(0)).unwrap();
                rows.map(Result::unwrap).collect()
            }
        }
    }
}

/// Returns the broken links of a report, as kind and target.
pub(crate) fn broken(report: &Value) -> Vec<(String, String)> {
    let text = |link: &Value, key: &str| link[key].as_str().unwrap().to_owned();
    let broken = report["broken"].as_array().unwrap().iter();
    broken
        .map(|link| {
            let (url, fragment) = (text(link, "url"), text(link, "fragment"));
            let separator = if fragment.is_empty() { "" } else { "#" };
            let path = url.split('/').skip(3).collect::<Vec<_>>().join("/");
            (text(link, "problem"), format!("/{path}{separator}{fragment}"))
        })
        .collect()
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
