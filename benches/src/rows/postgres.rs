//! Statements over a PostgreSQL server: the bulk ones, a single row, and those that are dropped.
//!
//! The server is another process, so that the processor time is that of the client alone. Each entrant has a runtime of two
//! workers, and a connection that is made before the measurement.

use std::{
    env,
    hint::black_box,
    pin::pin,
    rc::Rc,
    time::{Duration, SystemTime},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use evenkeel::postgres::{
    Database,
    deadpool_postgres::{self, Manager, ManagerConfig, RecyclingMethod},
    tokio_postgres::{
        Client, Config, NoTls,
        binary_copy::BinaryCopyInWriter,
        config::Host,
        types::{ToSql, Type},
    },
};
use futures::{SinkExt as _, StreamExt as _, stream};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    measure::{Sample, measured},
    python,
    row::{FLOOR, Metric, OURS, Row},
};

/// The variable that names the server; `cargo xtask bench --postgres` starts one.
const VARIABLE: &str = "EVENKEEL_TEST_POSTGRES";
const COPIED: u64 = 1_000_000;
const STORED: u64 = 10_000;
/// Fewer, because one by one they take some milliseconds each where the disk is slow.
const STORED_DURABLY: u64 = 2_000;
const FETCHED: u64 = 3_000;
const TEXT: &str = "a text of 20 letters";
pub(super) const NOT_COUNTED: &str = "statements over a socket, to a server in another process";

/// The server that is measured over, if one is named.
pub(crate) fn server() -> Option<String> {
    env::var(VARIABLE).ok().filter(|url| !url.is_empty())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![copy_in(), beside_ready_bytes(), beside_asyncpg(), fetch_one()];
    rows.extend([abandoned_statement(), dropped_stream()]);
    for (durable, count) in [(false, STORED), (true, STORED_DURABLY)] {
        rows.extend([
            stored("execute-many", count, durable.then_some(1.0 / 25.0), async |db: &Database, count| {
                db.execute_many(INSERT, values(count)).await.expect("rows that are stored")
            }),
            stored("insert-many", count, durable.then_some(1.0 / 150.0), async |db: &Database, count| {
                db.insert_many(TARGET, "", values(count)).await.expect("rows that are stored")
            }),
            stored("copy-in", count, durable.then_some(1.0 / 400.0), copy_rows),
        ]);
    }
    rows
}

const INSERT: &str = "insert into bench_rows (id, name, at, x) values ($1, $2, $3, $4)";

const TARGET: &str = "bench_rows (id, name, at, x)";

fn values(count: u64) -> impl Iterator<Item = (i64, &'static str, SystemTime, f64)> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    (0..count as i64).map(move |id| (id, TEXT, at, id as f64))
}

/// A runtime with a connection of its own, made when it is first used.
struct Connected<C> {
    runtime: Runtime,
    connection: C,
}

fn connected<C: 'static, Fut: Future<Output = C>>(
    connect: impl Fn(Config) -> Fut + 'static,
) -> impl Fn() -> Rc<Connected<C>> {
    let cell = std::cell::OnceCell::new();
    move || {
        let made = cell.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime for a benchmark");
            let config = server().expect("a server").parse().expect("an address");
            let connection = runtime.block_on(connect(config));
            Rc::new(Connected { runtime, connection })
        });
        Rc::clone(made)
    }
}

async fn database(config: Config) -> Database {
    let db = Database::builder(config).max(1).connect().await.expect("a connection");
    prepare(async |sql| db.batch_execute(sql).await.expect("a table")).await;
    db
}

async fn client(config: Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    prepare(async |sql| client.batch_execute(sql).await.expect("a table")).await;
    client
}

async fn prepare(execute: impl AsyncFn(&'static str)) {
    execute(
        "create unlogged table if not exists bench_rows (id bigint, name text, at timestamptz, x float8);
         truncate bench_rows",
    )
    .await;
}

/// Measures an operation, and empties the table behind it.
fn round<C: 'static>(
    made: impl Fn() -> Rc<Connected<C>> + 'static,
    work: impl AsyncFn(&C, u64) -> u64 + 'static,
    clear: impl AsyncFn(&C, &'static str) + 'static,
) -> Box<dyn FnMut(u64) -> Sample> {
    Box::new(move |operations| {
        let Connected { runtime, connection } = &*made();
        let sample = measured(|| {
            assert_eq!(runtime.block_on(work(connection, operations)), operations, "all rows are stored");
        });
        runtime.block_on(clear(connection, "truncate bench_rows"));
        sample
    })
}

async fn clear_database(db: &Database, sql: &'static str) {
    db.batch_execute(sql).await.expect("a table");
}

async fn clear_client(client: &Client, sql: &'static str) {
    client.batch_execute(sql).await.expect("a table");
}

const COPY: &str = "copy bench_rows (id, name, at, x) from stdin (format binary)";
const TYPES: [Type; 4] = [Type::INT8, Type::TEXT, Type::TIMESTAMPTZ, Type::FLOAT8];

async fn copy_rows(db: &Database, count: u64) -> u64 {
    db.copy_in(TARGET, stream::iter(values(count))).await.expect("rows that are stored")
}

/// Sends bytes that were encoded before.
fn ready_bytes() -> impl AsyncFn(&Client, u64) -> u64 + 'static {
    let chunks = std::cell::OnceCell::new();
    async move |client: &Client, count| {
        let mut sink = pin!(client.copy_in(COPY).await.expect("a copy that begins"));
        for chunk in chunks.get_or_init(|| encoded(count)).clone() {
            sink.send(chunk).await.expect("bytes that are sent");
        }
        sink.finish().await.expect("rows that are stored")
    }
}

/// Copies a million rows of four columns; the floor sends bytes that were encoded before.
fn copy_in() -> Row {
    let writer = async |client: &Client, count: u64| {
        let sink = client.copy_in(COPY).await.expect("a copy that begins");
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for (id, name, at, x) in values(count) {
            let row: [&(dyn ToSql + Sync); 4] = [&id, &name, &at, &x];
            writer.as_mut().write(&row).await.expect("a row that is sent");
        }
        writer.finish().await.expect("rows that are stored")
    };
    let mut row = Row::new("postgres/copy-in", Metric::Cpu)
        .target(0.5)
        .also(Metric::Wall)
        .fixed(COPIED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, round(connected(database), copy_rows, clear_database))
        .with_round("tokio-postgres", round(connected(client), writer, clear_client))
        .with_round(FLOOR, round(connected(client), ready_bytes(), clear_client));
    row.rounds = Some(5);
    row
}

/// The same beside those bytes: the server is the limit.
fn beside_ready_bytes() -> Row {
    let mut row = Row::new("postgres/copy-in-beside-ready-bytes", Metric::Wall)
        .target(1.05)
        .fixed(COPIED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, round(connected(database), copy_rows, clear_database))
        .with_round("tokio-postgres, ready bytes", round(connected(client), ready_bytes(), clear_client));
    row.rounds = Some(7);
    row
}

/// The same beside asyncpg's call for it, which takes an iterator, too.
fn beside_asyncpg() -> Row {
    let asyncpg = |operations| {
        let config: Config = server().expect("a server").parse().expect("an address");
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(dir)) => dir.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = config.get_user().unwrap_or("postgres");
        let database = config.get_dbname().unwrap_or(user);
        python::copy_records(operations, [&host, &port, user, database])
            .expect("rows that asyncpg has stored")
    };
    let mut row = Row::new("postgres/copy-in-beside-asyncpg", Metric::Cpu)
        .target(0.15)
        .fixed(COPIED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, round(connected(database), copy_rows, clear_database))
        .with_python("asyncpg", Box::new(asyncpg));
    row.rounds = Some(3);
    row
}

/// The rows in the binary format of `COPY`, in chunks of 64 KiB.
fn encoded(count: u64) -> Vec<Bytes> {
    let mut bytes = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    let value = |bytes: &mut BytesMut, value: &dyn ToSql, ty: &Type| {
        let start = bytes.len();
        bytes.put_i32(0);
        value.to_sql_checked(ty, bytes).expect("a value that fits");
        let length = (bytes.len() - start - 4) as i32;
        bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    };
    for (id, name, at, x) in values(count) {
        bytes.put_i16(4);
        let row: [&dyn ToSql; 4] = [&id, &name, &at, &x];
        row.iter().zip(&TYPES).for_each(|(each, ty)| value(&mut bytes, *each, ty));
    }
    bytes.put_i16(-1);
    let bytes = bytes.freeze();
    (0..bytes.len()).step_by(1 << 16).map(|at| bytes.slice(at..bytes.len().min(at + (1 << 16)))).collect()
}

/// Stores rows in one call, beside as many calls. With a target the server waits for its disk at each commit, as
/// one does that keeps what it has acknowledged.
fn stored(
    name: &str,
    count: u64,
    durable: Option<f64>,
    work: impl AsyncFn(&Database, u64) -> u64 + 'static,
) -> Row {
    let is_durable = durable.is_some();
    let each = async |client: &Client, count: u64| {
        let insert = client.prepare(INSERT).await.expect("a statement");
        let mut stored = 0;
        for (id, name, at, x) in values(count) {
            stored += client.execute(&insert, &[&id, &name, &at, &x]).await.expect("a row that is stored");
        }
        stored
    };
    let group = if is_durable { "durable-rows" } else { "ten-thousand-rows" };
    let mut row = Row::new(format!("postgres/{group}/{name}"), Metric::Wall)
        .fixed(count)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, beside_disk(is_durable, round(connected(database), work, clear_database)))
        .with_round("one by one", beside_disk(is_durable, round(connected(client), each, clear_client)));
    row.rounds = Some(3);
    match durable {
        Some(target) => row.target(target),
        None => row,
    }
}

/// Measures on a server that waits for its disk, or on one as it is.
fn beside_disk(is_durable: bool, mut round: Box<dyn FnMut(u64) -> Sample>) -> Box<dyn FnMut(u64) -> Sample> {
    if !is_durable {
        return round;
    }
    let settings = connected(client);
    Box::new(move |operations| {
        let Connected { runtime, connection } = &*settings();
        let change = |to: &str, persistence: &str| {
            runtime.block_on(async {
                for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                    let sql = format!(
                        "alter system {} {setting} {to}",
                        if to.is_empty() { "reset" } else { "set" }
                    );
                    connection.batch_execute(&sql).await.expect("a setting");
                }
                let sql = format!("select pg_reload_conf(); alter table bench_rows set {persistence}");
                connection.batch_execute(&sql).await.expect("settings that are read");
                tokio::time::sleep(Duration::from_millis(100)).await;
            });
        };
        change("= on", "logged");
        let sample = round(operations);
        change("", "unlogged");
        sample
    })
}

/// Serves the next user of a connection on which a statement of two seconds was dropped.
fn abandoned_statement() -> Row {
    const SLEEP: &str = "select pg_sleep(2)";
    let patience = Duration::from_millis(50);
    let ours = connected(database);
    let ours = move |_| {
        let Connected { runtime, connection: db } = &*ours();
        let dropped = runtime.block_on(async { timeout(patience, db.execute(SLEEP, ())).await });
        assert!(dropped.is_err(), "it sleeps for longer");
        measured(|| runtime.block_on(db.fetch_scalar::<i32>("select 1", ())).expect("a row"))
    };
    let pooled = connected(fast_pool);
    let pooled = move |_| {
        let Connected { runtime, connection: pool } = &*pooled();
        runtime.block_on(async {
            let client = pool.get().await.expect("a connection");
            assert!(timeout(patience, client.execute(SLEEP, &[])).await.is_err(), "it sleeps for longer");
        });
        let next = async { pool.get().await.expect("a connection").query_one("select 1", &[]).await };
        measured(|| runtime.block_on(next).expect("a row"))
    };
    Row::new("postgres/after-a-dropped-statement", Metric::Wall)
        .target(0.025)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, Box::new(ours))
        .with_round("deadpool-postgres", Box::new(pooled))
        .rounds(3)
}

/// Serves the next user of a connection after a stream of three million rows of which ten were read.
fn dropped_stream() -> Row {
    const SQL: &str = "select generate_series(1, 3000000)::bigint, 'a text of 20 letters'::text";
    let ours = connected(database);
    let ours = move |_| {
        let Connected { runtime, connection: db } = &*ours();
        let mut rows = Box::pin(db.stream::<(i64, String)>(SQL, ()));
        runtime.block_on(async {
            for _ in 0..10 {
                black_box(rows.next().await.expect("there are more").expect("a row"));
            }
        });
        measured(|| {
            drop(rows);
            runtime.block_on(db.fetch_scalar::<i32>("select 1", ())).expect("a row")
        })
    };
    let pooled = connected(fast_pool);
    let pooled = move |_| {
        let Connected { runtime, connection: pool } = &*pooled();
        let (client, rows) = runtime.block_on(async {
            let client = pool.get().await.expect("a connection");
            let mut rows = Box::pin(client.query_raw::<_, &str, _>(SQL, []).await.expect("rows"));
            for _ in 0..10 {
                black_box(rows.next().await.expect("there are more").expect("a row"));
            }
            (client, rows)
        });
        measured(|| {
            drop((rows, client));
            let next = async { pool.get().await.expect("a connection").query_one("select 1", &[]).await };
            runtime.block_on(next).expect("a row")
        })
    };
    Row::new("postgres/after-a-dropped-stream", Metric::Wall)
        .target(0.15)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, Box::new(ours))
        .with_round("deadpool-postgres", Box::new(pooled))
        .rounds(5)
}

async fn fast_pool(config: Config) -> deadpool_postgres::Pool {
    pool(config, RecyclingMethod::Fast)
}

async fn verified_pool(config: Config) -> deadpool_postgres::Pool {
    pool(config, RecyclingMethod::Verified)
}

fn pool(config: Config, recycling_method: RecyclingMethod) -> deadpool_postgres::Pool {
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    deadpool_postgres::Pool::builder(manager).max_size(1).build().expect("a pool")
}

/// Fetches one row by a prepared statement, over a warm pool.
fn fetch_one() -> Row {
    const SQL: &str = "select $1::bigint, $2::text";
    let ours = async |db: &Database, count| {
        for id in 0..count as i64 {
            let row: (i64, String) = db.fetch_one(SQL, (id, TEXT)).await.expect("a row");
            black_box(row);
        }
        count
    };
    let bare = async |client: &Client, count| {
        let statement = client.prepare(SQL).await.expect("a statement");
        for id in 0..count as i64 {
            let row = client.query_one(&statement, &[&id, &TEXT]).await.expect("a row");
            black_box((row.get::<_, i64>(0), row.get::<_, String>(1)));
        }
        count
    };
    let pooled = async |pool: &deadpool_postgres::Pool, count| {
        for id in 0..count as i64 {
            let client = pool.get().await.expect("a connection");
            let statement = client.prepare_cached(SQL).await.expect("a statement");
            let row = client.query_one(&statement, &[&id, &TEXT]).await.expect("a row");
            black_box((row.get::<_, i64>(0), row.get::<_, String>(1)));
        }
        count
    };
    let sqlx = async |pool: &PgPool, count| {
        for id in 0..count as i64 {
            let row: (i64, String) =
                sqlx::query_as(SQL).bind(id).bind(TEXT).fetch_one(pool).await.expect("a row");
            black_box(row);
        }
        count
    };
    let mut row = Row::new("postgres/fetch-one", Metric::Wall)
        .target(0.9)
        .also(Metric::Cpu)
        .fixed(FETCHED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, round(connected(database), ours, async |_, _| ()))
        .with_round("deadpool-postgres, verified", round(connected(verified_pool), pooled, async |_, _| ()))
        .with_round("sqlx", round(connected(sqlx_pool), sqlx, async |_, _| ()))
        .with_round(FLOOR, round(connected(client), bare, async |_, _| ()));
    row.rounds = Some(7);
    row
}

async fn sqlx_pool(config: Config) -> PgPool {
    let user = config.get_user().unwrap_or("postgres");
    let options = PgConnectOptions::new_without_pgpass()
        .username(user)
        .database(config.get_dbname().unwrap_or(user))
        .port(config.get_ports().first().copied().unwrap_or(5432));
    let options = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => options.host(name),
        Some(Host::Unix(dir)) => options.socket(dir),
        None => options,
    };
    PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("a connection")
}
