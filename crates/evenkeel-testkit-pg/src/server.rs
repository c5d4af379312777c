//! `Server`: scripts, setup, clients, records.

use std::{
    io,
    panic::Location,
    sync::{Arc, Mutex},
    thread,
};

use evenkeel_base::lock;
use tokio::task::{AbortHandle, JoinSet};
use tokio_postgres::{Client, Config, Connection, Error, tls::NoTlsStream};

use super::{
    connector::Connector,
    error::{SqlError, check},
    record::Statement,
    script::{Matches, Script, ScriptState, normal},
    session,
    shared::{Notification, Shared},
    sql::{parse, split_statements},
    store::ExecContext,
    tables::Tables,
};
use evenkeel_testkit::net::{Link, MemListener, MemNet, MemStream};

/// A PostgreSQL server in memory, with scripted replies, faults and small tables, which records all statements.
///
/// It speaks the real protocol to unmodified clients, in the runtime of the test: simple and extended
/// queries, portals, COPY, notices and notifications, cancel requests. Its latencies use tokio's clock, so they are
/// exact under paused time. It trusts every user.
///
/// The first [`Script`] that matches and has a reply left answers a statement; if there is none, it runs on the tables,
/// which understand this SQL:
///
/// | statement | |
/// |---|---|
/// | `create table`, `drop table`, `truncate` | columns with a type, `primary key`, `unique`, `not null` |
/// | `insert into t (a, b) values (…), (…)` | `returning` |
/// | `select … from t where a = … and b = …` | `*`, `count(*)`, `as`, `order by`, `limit` |
/// | `update t set a = …`, `delete from t` | the same `where`, `returning` |
/// | `copy t (a, b) from stdin`, `to stdout`, `copy (select …) to stdout` | `text` and `binary` |
/// | `select …` without a table | `pg_sleep`, `pg_backend_pid`, `pg_notify` |
/// | `begin`, `commit`, `rollback`, savepoints | |
/// | `listen`, `unlisten`, `notify` | |
/// | `set`, `reset`, `discard`, `deallocate`, `close` | answered, without effect |
///
/// Expressions are parameters, literals, columns, sums, differences and casts. Types are those of numbers,
/// text, `bool`, `bytea`, `uuid` and `json`; those of dates, times and arrays in binary format alone.
/// Anything else fails with `42601`, `42704` or `42883`: script it.
///
/// Transactions have the status of real ones, and a rollback, or the end of the connection, restores the rows that they
/// changed. They have no isolation: others see uncommitted rows, nothing is locked, and tables that were created or
/// dropped stay so.
///
/// Dropping the server ends its tasks and closes its connections. It then panics, unless the test does already, if a
/// script was not used as [expected](Script::expect).
///
/// # Why not just use a PostgreSQL server?
///
/// For SQL, use one. It runs in real time, and its faults cannot be chosen: to test how a program behaves when its
/// fiftieth query is cut off after exactly 100 ms, use this server.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::MemNet};
/// use evenkeel_testkit_pg::{StatementOutcome, Reply, Server};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     server.setup("create table users (id int8 primary key, name text)");
///     server.on_every(3).reply(Reply::error("40001"));
///     server.when(|_| true).reply(Reply::run()).latency(Duration::from_millis(5));
///
///     let client = server.client().await.unwrap();
///     let insert = "insert into users values ($1, $2)";
///     assert_took!(client.execute(insert, &[&7_i64, &"Ada"]), Duration::from_millis(5)).unwrap();
///     let row = client.query_one("select name from users where id = $1", &[&7_i64]).await.unwrap();
///     assert_eq!(row.get::<_, &str>("name"), "Ada");
///     assert!(client.execute(insert, &[&8_i64, &"Bob"]).await.is_err());
///
///     let last = server.statements().pop().unwrap();
///     assert_eq!((last.at, last.connection), (Duration::from_millis(10), 1));
///     assert_eq!(last.parameters, [Some("8".to_owned()), Some("Bob".to_owned())]);
///     assert_eq!(last.outcome, StatementOutcome::Failed("40001".to_owned()));
/// });
/// ```
#[derive(Debug)]
pub struct Server {
    connector: Connector,
    link: Link,
    shared: Arc<Shared>,
    /// The task that accepts, and the connections of [`client`](Self::client).
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Server {
    /// Starts a server in memory, on an address like `db.test:5432`; the port is 5432 if it names none.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, if the address has a listener.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn mem(net: &MemNet, address: &str) -> io::Result<Self> {
        Self::start(net, address, None)
    }

    /// Starts a server in memory over a database of your own: see [`Tables`].
    ///
    /// # Errors
    ///
    /// `AddrInUse`, if the address has a listener.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn mem_with(net: &MemNet, address: &str, tables: impl Tables + 'static) -> io::Result<Self> {
        Self::start(net, address, Some(Box::new(tables)))
    }

    fn start(net: &MemNet, address: &str, tables: Option<Box<dyn Tables>>) -> io::Result<Self> {
        let connector = Connector::new(net, address);
        let listener = net.listen(connector.address())?;
        let shared = Arc::new(Shared::new(connector.address(), tables));
        let accepting = tokio::spawn(serve(listener, shared.clone())).abort_handle();
        let link = net.link(connector.address());
        Ok(Server { connector, link, shared, tasks: Mutex::new(vec![accepting]) })
    }

    /// Runs SQL on the tables, at once and unrecorded: to create them, and to fill them.
    ///
    /// # Panics
    ///
    /// If it fails, or is not about tables.
    #[track_caller]
    pub fn setup(&self, sql: &str) {
        for raw in split_statements(sql) {
            let done = parse(&raw).and_then(|sql| {
                let (mut undo, mut notify) = (Vec::new(), Vec::new());
                let mut context = ExecContext::new(0, &[], &mut undo, &mut notify);
                self.shared.store(|store| store.run(&sql, &mut context))
            });
            if let Err(SqlError { code, message, .. }) = done {
                panic!("{}: {message} ({code})", raw.text);
            }
        }
    }

    /// Adds a script for the statements with this text; case and white space do not matter.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on(&self, sql: &str) -> Script {
        self.script(Matches::Exact(normal(sql)), sql.to_owned())
    }

    /// Adds a script for the statements that begin with this text; case and white space do not matter.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on_prefix(&self, sql: &str) -> Script {
        self.script(Matches::Prefix(normal(sql)), format!("{sql} …"))
    }

    /// Adds a script for the statements for whose text `matches` returns true.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn when(&self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Script {
        self.script(Matches::Sql(Box::new(matches)), "a script of its own".to_owned())
    }

    /// Adds a script for the statement with this number, on any connection.
    ///
    /// Statements are counted from 1 in the order of their execution, including those of transactions.
    ///
    /// # Panics
    ///
    /// If `number` is zero.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on_nth(&self, number: usize) -> Script {
        assert!(number > 0, "statements are counted from 1");
        self.script(Matches::Nth(number), format!("statement {number}"))
    }

    /// Adds a script for each statement whose number, as [`on_nth`](Self::on_nth) counts, is a multiple of `number`.
    ///
    /// # Panics
    ///
    /// If `number` is zero.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on_every(&self, number: usize) -> Script {
        assert!(number > 0, "every zeroth statement");
        self.script(Matches::Every(number), format!("every {number} statements"))
    }

    /// Fails the next `startups` start-ups of connections with this SQLSTATE, like `57P03`, and no more: it replaces the
    /// number set before.
    ///
    /// To refuse connects, use the [`link`](Self::link).
    ///
    /// # Panics
    ///
    /// Where [`Reply::error`](super::Reply::error) does.
    #[track_caller]
    pub fn reject(&self, startups: usize, code: &str) {
        check(code);
        let message = match code {
            "57P03" => "the database system is starting up",
            "53300" => "sorry, too many clients already",
            _ => "scripted rejection",
        };
        self.shared.reject(vec![SqlError::fatal(code, message); startups]);
    }

    /// Ends all connections with `57P01`, as when the administrator shuts the server down.
    pub fn terminate_all(&self) {
        self.shared.terminate_all();
    }

    /// Notifies all sessions that listen to a channel, as process 0.
    ///
    /// # Panics
    ///
    /// If a listener has 10,000 notifications that it has not received yet.
    #[track_caller]
    pub fn notify(&self, channel: &str, payload: &str) {
        assert!(!self.shared.is_full(channel), "too many notifications for {channel}");
        let (channel, payload) = (channel.to_owned(), payload.to_owned());
        self.shared.notify(&Notification { pid: 0, channel, payload });
    }

    /// Connects the user `test`. The server drives the connection until it or the client is dropped.
    ///
    /// # Errors
    ///
    /// Where [`Connector::connect`] fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns leaves no connection behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    /// use evenkeel_testkit_pg::Server;
    ///
    /// World::run(async |_| {
    ///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
    ///     let client = server.client().await.unwrap();
    ///     assert_eq!(client.query_one("select 'hello'", &[]).await.unwrap().get::<_, &str>(0), "hello");
    /// });
    /// ```
    pub async fn client(&self) -> Result<Client, Error> {
        let (client, connection) = self.connect(Config::new().user("test")).await?;
        // Spawned without the lock: a runtime that has shut down drops the future at once. The client sees its error.
        let task = tokio::spawn(async { drop(connection.await) }).abort_handle();
        let mut tasks = lock(&self.tasks);
        let ended: Vec<_> = tasks.extract_if(.., |task| task.is_finished()).collect();
        tasks.push(task);
        drop(tasks);
        drop(ended);
        Ok(client)
    }

    /// Connects, and returns the client and the connection, which the caller must drive.
    ///
    /// # Errors
    ///
    /// Where [`Connector::connect`] fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it returns leaves no connection behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    /// use evenkeel_testkit_pg::Server;
    ///
    /// World::run(async |_| {
    ///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
    ///     let config = "user=app dbname=app".parse().unwrap();
    ///     let (client, connection) = server.connect(&config).await.unwrap();
    ///     tokio::spawn(connection);
    ///     assert_eq!(client.execute("select 1", &[]).await.unwrap(), 1);
    /// });
    /// ```
    pub async fn connect(
        &self,
        config: &Config,
    ) -> Result<(Client, Connection<MemStream, NoTlsStream>), Error> {
        self.connector.connect(config).await
    }

    /// Returns a connector to this server, for pools and cancel requests.
    #[must_use]
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The link that clients use, unless they are on another [host](MemNet::at): its faults, and its counts.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// All statements so far, in the order of their execution.
    #[must_use]
    pub fn statements(&self) -> Vec<Statement> {
        self.shared.statements()
    }

    /// The number of open connections: started, and not ended by either side.
    ///
    /// As with a real server, a connection whose client has disconnected ends after its statement.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.sessions().0
    }

    /// The highest number of connections that were open at once.
    #[must_use]
    pub fn peak_connections(&self) -> usize {
        self.shared.sessions().1
    }

    #[track_caller]
    fn script(&self, matches: Matches, shown: String) -> Script {
        let script = Arc::new(ScriptState::new(matches, shown, Location::caller()));
        self.shared.add(script.clone());
        Script(script)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.iter().for_each(AbortHandle::abort);
        let missed = self.shared.missed();
        if !missed.is_empty() && !thread::panicking() {
            let address = self.connector.address();
            panic!("the server {address} was not used as it should be:\n  {}", missed.join("\n  "));
        }
    }
}

async fn serve(mut listener: MemListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        let stream = listener.accept().await;
        while sessions.try_join_next().is_some() {}
        sessions.spawn(session::serve(stream, shared.clone()));
    }
}
