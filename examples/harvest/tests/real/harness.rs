//! Runs the program in a directory of its own, and serves it APIs made for a test.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::{self, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_harvest");

/// A command whose output is read, and that ends with the test.
pub(crate) fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A directory that goes away with the test.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("harvest-test-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The program with these flags, and its store and JSON in this place.
    pub(crate) fn harvest(&self, flags: &str) -> Command {
        let mut command = quiet(Command::new(PROGRAM));
        command.args(flags.split_whitespace());
        command.args([
            "--store",
            &format!("sqlite:{}", self.path("store.db")),
            "--json",
            &self.path("report.json"),
        ]);
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

    /// All rows of both tables, in order.
    pub(crate) fn dump(&self) -> Vec<String> {
        let database = Connection::open(self.path("store.db")).unwrap();
        let rows = |query: &str, columns: usize| -> Vec<String> {
            let mut statement = database.prepare(query).unwrap();
            let row = |row: &rusqlite::Row<'_>| {
                let values: Vec<_> = (0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect();
                Ok(values.join(" "))
            };
            statement.query_map([], row).unwrap().map(Result::unwrap).collect()
        };
        let users =
            rows("SELECT id, name, email, active, theme, locale, newsletter FROM users ORDER BY id", 7);
        let orders = rows("SELECT id, user_id, cents, currency FROM orders ORDER BY id", 4);
        [users, orders].concat()
    }

    /// One number of the database.
    pub(crate) fn number(&self, query: &str) -> i64 {
        Connection::open(self.path("store.db")).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// A server on loopback that answers as a test wants; it ends with the test.
pub(crate) struct Server {
    pub(crate) base: String,
    _tasks: JoinSet<()>,
}

pub(crate) type Answer = Response<Full<Bytes>>;

impl Server {
    /// Answers every path with what `answer` says.
    pub(crate) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(String) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer(request.uri().to_string());
                        async { Ok::<_, std::convert::Infallible>(answer.await) }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { base, _tasks: tasks }
    }
}

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<String>) -> Answer {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::from(body.into())).unwrap()
}

pub(crate) fn json(body: &Value) -> Answer {
    answer(200, "application/json", body.to_string())
}

/// A page of these users.
pub(crate) fn page(ids: impl IntoIterator<Item = u64>, next: Option<&str>) -> Answer {
    let user = |id| json!({ "id": id, "name": format!("User {id}"), "email": "a@b.test", "active": true });
    json(&json!({ "items": ids.into_iter().map(user).collect::<Vec<_>>(), "next": next }))
}

/// What a sound API has at the path of a user's document: one order, and preferences.
pub(crate) fn document(path: &str) -> Answer {
    let mut parts = path.trim_start_matches("/users/").split('/');
    let Some(id) = parts.next().and_then(|id| id.parse::<u64>().ok()) else {
        return answer(404, "text/plain", "");
    };
    match parts.next() {
        Some("orders.json") => {
            json(&json!({ "user": id, "orders": [{ "order": id * 10, "cents": id, "currency": "EUR" }] }))
        }
        Some("prefs.json") => {
            json(&json!({ "user": id, "theme": "dark", "locale": "pl", "newsletter": true }))
        }
        _ => answer(404, "text/plain", ""),
    }
}
