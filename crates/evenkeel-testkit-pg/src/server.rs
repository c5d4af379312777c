//! A server with a script and tables.

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
    error::SqlError,
    record::Statement,
    reply::check,
    script::{Matches, Script, ScriptEntry, normal},
    session,
    shared::{Notification, Shared},
    sql::{parse, split_statements},
    store::ExecContext,
};
use evenkeel_testkit::net::{Link, MemListener, MemNet, MemStream};

/// A PostgreSQL server in memory, with scripted replies and faults and small tables, which records what it
/// was asked.
///
/// It speaks the real protocol to unmodified clients, in the runtime of the test: simple and extended
/// queries, portals, COPY, notices and notifications, cancel requests. Its latencies are tokio's, so exact
/// under paused time. It trusts every user.
///
/// A statement is answered by the first [`Script`] that fits and has a reply left; if there is none, by the
/// tables, which understand this much SQL:
///
/// | statement | |
/// |---|---|
/// | `create table`, `drop table`, `truncate` | columns with a type, `primary key`, `unique`, `not null` |
/// | `insert into t (a, b) values (…), (…)` | `returning` |
/// | `select … from t where a = … and b = …` | `*`, `count(*)`, `as`, `order by`, `limit` |
/// | `update t set a = …`, `delete from t` | the same `where`, `returning` |
/// | `copy t (a, b) from stdin`, `to stdout` | `text` and `binary` |
/// | `select …` without a table | `pg_sleep`, `pg_backend_pid`, `pg_notify` |
/// | `begin`, `commit`, `rollback`, savepoints | |
/// | `listen`, `unlisten`, `notify` | |
/// | `set`, `reset`, `discard`, `deallocate`, `close` | answered, without effect |
///
/// Expressions are parameters, literals, columns, sums, differences and casts. Types are those of numbers,
/// text, `bool`, `bytea`, `uuid` and `json`; those of dates, times and arrays in binary format alone.
/// Anything else fails with `42601`, `42704` or `42883`: script it.
///
/// Transactions are real in their status, and in what a rollback, or the end of the connection, takes back:
/// the rows that they changed themselves. They have no isolation: others see uncommitted rows, nothing is
/// locked, and tables that were created or dropped stay so.
///
/// Dropping the server ends its tasks and closes its connections. It then panics, unless the test does
/// already, if a script was not used as [expected](Script::expect).
///
/// # Why not just use a PostgreSQL server?
///
/// For SQL, use one. It runs in real time, and has no faults to choose: what a program does when the fiftieth
/// query is cut off, after 100 ms to the nanosecond, takes this one.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::MemNet};
/// use evenkeel_testkit_pg::{Outcome, Reply, Server};
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
///     assert_eq!(last.outcome, Outcome::Failed("40001".to_owned()));
/// });
/// ```
#[derive(Debug)]
pub struct Server {
    connector: Connector,
    link: Link,
    shared: Arc<Shared>,
    tasks: Mutex<Vec<Owned>>,
}

/// A task that ends with the server.
#[derive(Debug)]
struct Owned(AbortHandle);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Starts a server in memory, on an address like `db.test:5432`; the port is 5432 if it names none.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, if somebody listens there.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn mem(net: &MemNet, address: &str) -> io::Result<Self> {
        let connector = Connector::new(net, address);
        let listener = net.listen(connector.address())?;
        let shared = Arc::new(Shared::new());
        let accepts = Owned(tokio::spawn(serve(listener, shared.clone())).abort_handle());
        let link = net.link(connector.address());
        Ok(Server { connector, link, shared, tasks: Mutex::new(vec![accepts]) })
    }

    /// Runs SQL on the tables, at once and unrecorded: to make them, and to fill them.
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

    /// A script for the statements with this text, whatever their case and their blanks.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on(&self, sql: &str) -> Script {
        self.script(Matches::Exact(normal(sql)), sql.to_owned())
    }

    /// A script for the statements that begin so, whatever their case and their blanks.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn on_prefix(&self, sql: &str) -> Script {
        self.script(Matches::Prefix(normal(sql)), format!("{sql} …"))
    }

    /// A script for the statements whose text `matches` holds for.
    #[must_use = "a script without a reply answers nothing"]
    #[track_caller]
    pub fn when(&self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Script {
        self.script(Matches::Sql(Box::new(matches)), "a script of its own".to_owned())
    }

    /// A script for the statement of this number, on whichever connection it comes.
    ///
    /// Statements are counted from 1 as they are executed, those of transactions included.
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

    /// A script for each statement whose number, as [`on_nth`](Self::on_nth) counts, is a multiple of this.
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

    /// Lets the next start-ups of connections fail with this SQLSTATE, like `57P03`, in index of those that
    /// were still to fail.
    ///
    /// Connections that are refused before that are the [`link`](Self::link)'s.
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

    /// Ends all connections with `57P01`, as a server does that is shut down by its administrator.
    pub fn terminate_all(&self) {
        self.shared.terminate_all();
    }

    /// Notifies all who listen to a channel, as from process 0.
    ///
    /// # Panics
    ///
    /// If a listener has 10,000 notifications that it has not yet received.
    #[track_caller]
    pub fn notify(&self, channel: &str, payload: &str) {
        assert!(!self.shared.is_full(channel), "too many notifications for {channel}");
        let (channel, payload) = (channel.to_owned(), payload.to_owned());
        self.shared.notify(&Notification { pid: 0, channel, payload });
    }

    /// Connects the user `test`. The server drives the connection, until it or the client is dropped.
    ///
    /// # Errors
    ///
    /// Where [`Connector::connect`] fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has the client, it leaves no connection behind.
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
        // Not under the lock: a runtime that is gone drops it here and now. What ends it, the client sees.
        let task = Owned(tokio::spawn(async { drop(connection.await) }).abort_handle());
        let mut tasks = lock(&self.tasks);
        let ended: Vec<_> = tasks.extract_if(.., |task| task.0.is_finished()).collect();
        tasks.push(task);
        drop(tasks);
        drop(ended);
        Ok(client)
    }

    /// Connects: the client, and the connection that somebody must drive.
    ///
    /// # Errors
    ///
    /// Where [`Connector::connect`] fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has the client, it leaves no connection behind.
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

    /// What connects to it, for a pool, and for cancel requests.
    #[must_use]
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The link that clients come by, unless they are on a [host](MemNet::at) of their own: its faults, and
    /// its counts.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// All statements so far, in the order in which they were executed.
    #[must_use]
    pub fn statements(&self) -> Vec<Statement> {
        self.shared.statements()
    }

    /// How many connections are open: started, and not yet ended by either side.
    ///
    /// As with a real server, one whose client is gone ends when its statement has.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.sessions().0
    }

    /// The most connections that were open at once.
    #[must_use]
    pub fn peak_connections(&self) -> usize {
        self.shared.sessions().1
    }

    #[track_caller]
    fn script(&self, matches: Matches, shown: String) -> Script {
        let entry = Arc::new(ScriptEntry::new(matches, shown, Location::caller()));
        self.shared.add(entry.clone());
        Script::new(entry)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
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
