//! A process that works on a queue: the test binary, started again.
//!
//! It takes jobs of an engine, sleeps for each, and writes its effect through an inbox. A table has a line for each run of
//! a job, with its attempt, so that a test counts the runs beside the effects.

use std::{
    convert::Infallible,
    env,
    io::Read as _,
    process::{self, Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use evenkeel_pipeline::{
    Batch, DrainReport, Message, PgInbox, PgInboxSink, PgQueue, Pipeline, Running, Sink, SinkError, Source,
};
use evenkeel_postgres::{Database, Tx, tokio_postgres::Config};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// The environment variable with the orders for the process.
const ORDERS: &str = "EVENKEEL_PIPELINE_WORKER";

/// The orders for a process.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    /// The address of the server of the queue; `nats://` is one of NATS.
    pub(crate) server: String,
    /// The schema of the queue, and of the tables of the sink.
    pub(crate) schema: String,
    /// The queue or the stream.
    pub(crate) queue: String,
    pub(crate) lease: Duration,
    /// The address of the server of the sink.
    pub(crate) sink: String,
    pub(crate) takes: Duration,
    pub(crate) limit: usize,
    pub(crate) window: usize,
    /// Whether a run is noted when it begins, one by one; else with its effect.
    pub(crate) notes_begin: bool,
    /// The time for which it goes on after a SIGTERM.
    pub(crate) grace: Duration,
    /// Whether it kills itself between its first effects and their acks.
    pub(crate) dies: bool,
}

/// A running process; it is killed on drop.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(orders: &Orders) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "worker::works", "--ignored", "--nocapture"])
            .env(ORDERS, orders.encode())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.unwrap().success(), "a worker has ended by itself");
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end; returns the numbers of its report, and of the errors that it went on after.
    pub(crate) async fn ends(mut self) -> Ended {
        let read = move || {
            let mut text = String::new();
            self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            let status = self.0.wait().unwrap();
            assert!(status.success(), "{status}: {text}");
            text
        };
        let text = tokio::task::spawn_blocking(read).await.unwrap();
        let line =
            text.lines().find_map(|line| line.split_once("worker: ")).unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<u64> = line.1.split(' ').map(|number| number.parse::<u64>().unwrap()).collect();
        let [accepted, acked, nacked, released, superseded, lost, errors] = numbers[..] else {
            panic!("{text}")
        };
        Ended { accepted, acked, nacked, released, superseded, lost, errors }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The report of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) accepted: u64,
    pub(crate) acked: u64,
    pub(crate) nacked: u64,
    pub(crate) released: u64,
    pub(crate) superseded: u64,
    /// Not confirmed, or not finished.
    pub(crate) lost: u64,
    pub(crate) errors: u64,
}

impl Orders {
    fn encode(&self) -> String {
        let Self { server, schema, queue, lease, sink, takes, limit, window, notes_begin, grace, dies } =
            self;
        let (lease, takes, grace) = (lease.as_micros(), takes.as_micros(), grace.as_micros());
        let (notes_begin, dies) = (u8::from(*notes_begin), u8::from(*dies));
        format!(
            "{server}\n{schema}\n{queue}\n{lease}\n{sink}\n{takes}\n{limit}\n{window}\n{notes_begin}\n{grace}\n{dies}"
        )
    }

    fn decode(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let number = |at: usize| lines[at].parse::<u64>().unwrap();
        let time = |at| Duration::from_micros(number(at));
        let text = |at: usize| lines[at].to_owned();
        Self {
            server: text(0),
            schema: text(1),
            queue: text(2),
            lease: time(3),
            sink: text(4),
            takes: time(5),
            limit: number(6) as usize,
            window: number(7) as usize,
            notes_begin: number(8) == 1,
            grace: time(9),
            dies: number(10) == 1,
        }
    }

    /// Creates the tables of the sink.
    pub(crate) async fn set_up(sink: &Database, schema: &str) {
        PgInbox::new(sink, "").schema(schema).set_up().await.unwrap();
        let columns = "queue text, message text, number bigint, attempt int, pid int, \
                       at timestamptz not null default clock_timestamp()";
        for table in ["run", "effect"] {
            sink.batch_execute(&format!("create table if not exists {schema}.{table} ({columns})"))
                .await
                .unwrap();
        }
    }
}

/// The sink of a worker: effects through an inbox, with a note for each run.
struct Store<F> {
    tables: Arc<Tables>,
    inbox: PgInboxSink<F>,
    notes: bool,
    dies: bool,
}

struct Tables {
    db: Database,
    schema: String,
    queue: String,
}

impl Tables {
    fn insert(&self, table: &str) -> String {
        format!(
            "insert into {}.{table} (queue, message, number, attempt, pid) \
             select $1, message, number, attempt, $5 from unnest($2::text[], $3::bigint[], $4::int[]) \
             as t(message, number, attempt)",
            self.schema
        )
    }

    async fn note(&self, batch: &[Message<i64>]) -> Result<(), evenkeel_postgres::Error> {
        let (ids, numbers, attempts) = columns(batch);
        let pid = process::id() as i32;
        self.db.execute(&self.insert("run"), (&self.queue, ids, numbers, attempts, pid)).await?;
        Ok(())
    }
}

fn columns(batch: &[Message<i64>]) -> (Vec<&str>, Vec<i64>, Vec<i32>) {
    let ids = batch.iter().map(|message| &*message.id).collect();
    let numbers = batch.iter().map(|message| message.item).collect();
    (ids, numbers, batch.iter().map(|message| message.attempt as i32).collect())
}

impl<F, Fut> Sink<i64> for Store<F>
where
    F: Fn(Tx, Vec<Message<i64>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SinkError>> + Send,
{
    async fn send(&self, batch: Vec<Message<i64>>) -> Result<(), SinkError> {
        if self.notes {
            self.tables.note(&batch).await?;
        }
        self.inbox.send(batch).await?;
        if self.dies {
            Command::new("kill").args(["-9", &process::id().to_string()]).status()?;
        }
        Ok(())
    }
}

fn start<S: Source>(source: S, orders: &Orders, db: &Database, read: fn(&S::Item) -> i64) -> Running {
    let Orders { schema, queue, takes, limit, window, notes_begin, dies, .. } = orders.clone();
    let tables = Arc::new(Tables { db: db.clone(), schema, queue });
    let sql: Arc<str> = tables.insert("effect").into();
    let queue: Arc<str> = tables.queue.as_str().into();
    let effect = move |tx: Tx, batch: Vec<Message<i64>>| {
        let (sql, queue) = (Arc::clone(&sql), Arc::clone(&queue));
        async move {
            let (ids, numbers, attempts) = columns(&batch);
            tx.execute(&sql, (&*queue, ids, numbers, attempts, process::id() as i32)).await?;
            Ok::<_, SinkError>(())
        }
    };
    let inbox = PgInbox::new(db, &tables.queue).schema(&tables.schema).sink(effect);
    let store = Store { tables: Arc::clone(&tables), inbox, notes: !notes_begin, dies };
    let batch = Batch::items(window.min(500));
    Pipeline::from(source)
        .window(window)
        .backoff(|_| Duration::from_millis(200))
        .stage("read", async move |item: S::Item| Ok::<_, Infallible>(read(&item)))
        .messages()
        .stage("note", async move |message: Message<i64>| {
            if notes_begin {
                tables.note(std::slice::from_ref(&message)).await?;
            }
            Ok::<_, evenkeel_postgres::Error>(message.item)
        })
        .stage("work", async move |number: i64| {
            sleep(takes).await;
            Ok::<_, Infallible>(number)
        })
        .limit(limit)
        .sink("store", batch.within(Duration::from_millis(10)), store)
        .limit(2)
        .start()
        .unwrap()
}

async fn connect(address: &str, connections: usize) -> Database {
    let mut config: Config = address.parse().unwrap();
    // A transaction of a process that stands still keeps no row locked.
    config.options("-c idle_in_transaction_session_timeout=3s");
    // A server that was killed may not be back yet.
    loop {
        match Database::builder(config.clone()).max(connections).connect().await {
            Ok(db) => return db,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn work(orders: &Orders) -> (DrainReport, u64) {
    let mut term = signal(SignalKind::terminate()).unwrap();
    let sink = connect(&orders.sink, 3).await;
    let mut running = if orders.server.starts_with("nats://") {
        start_nats(orders, &sink).await
    } else {
        let db = connect(&orders.server, 3).await;
        let queue = PgQueue::new(&db, &orders.queue).schema(&orders.schema).lease(orders.lease);
        start(queue.source(), orders, &sink, |item| number(item))
    };
    tokio::select! {
        ended = &mut running => panic!("it ends by itself: {ended:?}"),
        _ = term.recv() => {}
    }
    let errors = running.snapshot().errors;
    (running.drain(orders.grace).await.unwrap(), errors)
}

fn number(payload: &[u8]) -> i64 {
    std::str::from_utf8(payload).unwrap().parse::<i64>().unwrap()
}

#[cfg(feature = "nats")]
async fn start_nats(orders: &Orders, sink: &Database) -> Running {
    use evenkeel_pipeline::nats::JetStream;

    // A server that was killed may not be back yet.
    let client = loop {
        if let Ok(client) = async_nats::connect(&orders.server).await {
            break client;
        }
        sleep(Duration::from_millis(100)).await;
    };
    let source = loop {
        let jetstream = JetStream::new(client.clone(), &orders.queue, "worker").ack_wait(orders.lease);
        match jetstream.open().await {
            Ok(source) => break source,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    };
    start(source, orders, sink, |message| number(&message.payload))
}

#[cfg(not(feature = "nats"))]
async fn start_nats(_: &Orders, _: &Database) -> Running {
    panic!("this binary is built without the feature `nats`")
}

#[test]
#[ignore = "a program"]
#[expect(clippy::print_stdout, reason = "it talks to the test")]
fn works() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let orders = Orders::decode(&orders);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (report, errors) = runtime.block_on(work(&orders));
    let DrainReport { accepted, acked, nacked, released, superseded, unconfirmed, unfinished, .. } = report;
    println!(
        "worker: {accepted} {acked} {nacked} {released} {superseded} {} {errors}",
        unconfirmed + unfinished
    );
}
