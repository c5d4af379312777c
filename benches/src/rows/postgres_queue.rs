//! The queue in PostgreSQL beside bare statements, and beside other queues.
//!
//! The processor time is that of the client and of the server. Bare statements have no leases, fences or attempts: one claims 500
//! jobs at a time, one deletes up to 5,000 that are done, each over a connection of its own.

use std::{
    cell::OnceCell,
    convert::Infallible,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel::{
    pipeline::{PgQueue, Pipeline},
    postgres::{
        Database, TxOptions,
        tokio_postgres::{Client, Config, NoTls, Statement},
    },
};
use tokio::{
    runtime::Runtime,
    sync::{Semaphore, mpsc},
    time::sleep,
};

use crate::{
    measure::{Sample, measured},
    queues,
    row::{Metric, Needs, OURS, Row},
    rows::postgres::{NOT_COUNTED, server},
    server_time::server_time,
};

const DRAINED: u64 = 20_000;
const ENQUEUED: u64 = 2_000;
const BATCH: usize = 1000;
const BARE: &str = "bare statements";

pub(crate) fn rows() -> Vec<Row> {
    let drains =
        [10, 50, 200].into_iter().flat_map(|concurrency| [drain(concurrency), beside_crates(concurrency)]);
    drains.chain([one_by_one(), in_a_transaction(), in_batches()]).collect()
}

/// Drains a backlog with leases, fences and attempts.
fn drain(concurrency: usize) -> Row {
    // At least 0.6 of the rate.
    let mut row = Row::new(format!("postgres/queue-drain/{concurrency}"), Metric::Wall)
        .target(1.0 / 0.6)
        .also(Metric::Cpu)
        .fixed(DRAINED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, Box::new(move |jobs| drained(jobs, concurrency)))
        .with_round(BARE, Box::new(move |jobs| drained_bare(jobs, concurrency)));
    row.rounds = Some(7);
    row
}

/// The same beside crates, in a process of their own.
fn beside_crates(concurrency: usize) -> Row {
    let peer = |name: &'static str| {
        let run = move |jobs| {
            let url = server().expect("a server");
            queues::drain(name, &url, jobs, concurrency).expect("a queue that is drained")
        };
        Box::new(run)
    };
    let mut row = Row::new(format!("postgres/queue-drain-beside-crates/{concurrency}"), Metric::Wall)
        .target(0.5)
        .also(Metric::Cpu)
        .fixed(DRAINED)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, Box::new(move |jobs| drained(jobs, concurrency)))
        .with_program(Needs::Queues, "graphile_worker", peer("graphile_worker"))
        .with_program(Needs::Queues, "apalis-postgres", peer("apalis-postgres"));
    row.rounds = Some(3);
    row
}

/// Enqueues jobs one after the other, on a server that waits for its disk.
fn one_by_one() -> Row {
    let ours = async |bench: &Bench, count| {
        for payload in payloads(count) {
            bench.queue.enqueue(payload).await.expect("a job that is stored");
        }
    };
    let bare = async |bench: &Bench, count| {
        for payload in payloads(count) {
            bench.client.query_one(&bench.insert, &[&payload]).await.expect("a row that is stored");
        }
    };
    enqueue("one-by-one", ENQUEUED, Some(1.0 / 0.9), ours, bare)
}

/// Enqueues a job in each of many transactions that store a row.
fn in_a_transaction() -> Row {
    const ROW: &str = "insert into evenkeel_bench_queue.caused (at) values (now())";
    let ours = async |bench: &Bench, count| {
        for payload in payloads(count) {
            let stored = bench.db.transaction(TxOptions::new(), async |tx| {
                tx.execute(ROW, ()).await?;
                bench.queue.enqueue_in(&tx, payload.clone()).await?;
                Ok(())
            });
            stored.await.expect("a transaction that commits");
        }
    };
    let bare = async |bench: &Bench, count| {
        let row = bench.client.prepare(ROW).await.expect("a statement");
        for payload in payloads(count) {
            bench.client.batch_execute("begin").await.expect("a transaction");
            bench.client.execute(&row, &[]).await.expect("a row that is stored");
            bench.client.query_one(&bench.insert, &[&payload]).await.expect("a row that is stored");
            bench.client.batch_execute("commit").await.expect("a transaction that commits");
        }
    };
    // One round trip more at most, which a test counts.
    enqueue("in-a-transaction", ENQUEUED, None, ours, bare)
}

fn in_batches() -> Row {
    let ours = async |bench: &Bench, count| {
        for batch in payloads(count).chunks(BATCH) {
            bench.queue.enqueue_many(batch.iter().cloned()).await.expect("jobs that are stored");
        }
    };
    let bare = async |bench: &Bench, count| {
        const UNNEST: &str = "insert into evenkeel_bench_queue.bare (payload) select unnest($1::bytea[])";
        let unnest = bench.client.prepare(UNNEST).await.expect("a statement");
        for batch in payloads(count).chunks(BATCH) {
            bench.client.execute(&unnest, &[&batch]).await.expect("rows that are stored");
        }
    };
    enqueue("in-batches", DRAINED, Some(1.0 / 0.8), ours, bare)
}

fn enqueue(
    name: &str,
    count: u64,
    target: Option<f64>,
    ours: impl AsyncFn(&Bench, u64) + 'static,
    bare: impl AsyncFn(&Bench, u64) + 'static,
) -> Row {
    let row = Row::new(format!("postgres/queue-enqueue/{name}"), Metric::Wall);
    let row = match target {
        Some(target) => row.target(target),
        None => row,
    };
    let mut row = row
        .also(Metric::Cpu)
        .fixed(count)
        .not_counted(NOT_COUNTED)
        .with_round(OURS, stored_durably(ours))
        .with_round(BARE, stored_durably(bare));
    row.rounds = Some(7);
    row
}

/// The connections that all rows share, and their tables.
struct Bench {
    runtime: Runtime,
    db: Database,
    queue: PgQueue,
    client: Client,
    /// Deletes beside it.
    other: Client,
    insert: Statement,
    postmaster: u32,
}

thread_local! {
    static BENCH: OnceCell<Rc<Bench>> = const { OnceCell::new() };
}

fn bench() -> Rc<Bench> {
    BENCH.with(|bench| Rc::clone(bench.get_or_init(|| Rc::new(Bench::new()))))
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime for a benchmark");
        let config: Config = server().expect("a server").parse().expect("an address");
        let made = runtime.block_on(async {
            let db = Database::builder(config.clone()).max(4).connect().await.expect("a connection");
            let (client, other) = (connect(&config).await, connect(&config).await);
            let tables =
                "drop schema if exists evenkeel_bench_queue cascade; create schema evenkeel_bench_queue;
                create table evenkeel_bench_queue.bare (id bigint generated always as identity primary key,
                    claimed bool not null default false, payload bytea not null);
                create index on evenkeel_bench_queue.bare (id) where not claimed;
                create table evenkeel_bench_queue.caused (at timestamptz not null)";
            client.batch_execute(tables).await.expect("tables");
            let queue = PgQueue::new(&db, "bench").schema("evenkeel_bench_queue");
            queue.set_up().await.expect("tables");
            let insert =
                "with job as (insert into evenkeel_bench_queue.bare (payload) values ($1) returning id)
                select id from job, pg_notify('evenkeel_bench_queue', '')";
            let insert = client.prepare(insert).await.expect("a statement");
            let postmaster = "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int";
            let postmaster: i32 =
                client.query_one(postmaster, &[]).await.expect("the file of the server").get(0);
            (db, queue, client, other, insert, postmaster.unsigned_abs())
        });
        let (db, queue, client, other, insert, postmaster) = made;
        Self { runtime, db, queue, client, other, insert, postmaster }
    }

    /// Measures work, with the processor time of the server.
    fn measured<T>(&self, work: impl Future<Output = T>) -> (Sample, T) {
        let before = server_time(self.postmaster);
        let mut output = None;
        let mut sample = measured(|| output = Some(self.runtime.block_on(work)));
        sample.cpu += server_time(self.postmaster).saturating_sub(before);
        (sample, output.expect("work that has ended"))
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).expect("a statement that succeeds");
    }

    fn vacuum(&self) {
        self.execute("vacuum analyze evenkeel_bench_queue.bare");
        self.execute("vacuum analyze evenkeel_bench_queue.job");
    }

    fn clear(&self) {
        self.execute(
            "truncate evenkeel_bench_queue.bare, evenkeel_bench_queue.job, evenkeel_bench_queue.caused",
        );
    }
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

fn payloads(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{number:0100}").into_bytes()).collect()
}

fn drained(jobs: u64, concurrency: usize) -> Sample {
    let bench = bench();
    bench.runtime.block_on(async {
        for batch in payloads(jobs).chunks(BATCH) {
            bench.queue.enqueue_many(batch.iter().cloned()).await.expect("jobs that are stored");
        }
    });
    bench.vacuum();
    let ran = Arc::new(AtomicU64::new(0));
    let (sample, (running,)) = bench.measured(async {
        let counter = Arc::clone(&ran);
        let empty = async move |_: Vec<u8>| {
            counter.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(())
        };
        let pipeline =
            Pipeline::from(bench.queue.source()).stage("empty", empty).limit(concurrency).window(5000);
        let running = pipeline.start().expect("it is valid");
        while ran.load(Relaxed) < jobs || running.snapshot().counts.acked < jobs {
            sleep(Duration::from_millis(1)).await;
        }
        // In a tuple, since alone it is a future that could be one to wait for.
        (running,)
    });
    let report = bench.runtime.block_on(running.drain(Duration::from_secs(10))).expect("it ends");
    assert_eq!((report.acked, ran.load(Relaxed)), (jobs, jobs), "each job runs once");
    bench.clear();
    sample
}

fn drained_bare(jobs: u64, concurrency: usize) -> Sample {
    const CLAIM: &str = "update evenkeel_bench_queue.bare set claimed = true where ctid = any(array(
        select ctid from evenkeel_bench_queue.bare where not claimed order by id limit 500 for update skip locked))
        returning id, payload";
    let bench = bench();
    let (claim, delete) = bench.runtime.block_on(async {
        let unnest = "insert into evenkeel_bench_queue.bare (payload) select unnest($1::bytea[])";
        let unnest = bench.client.prepare(unnest).await.expect("a statement");
        for batch in payloads(jobs).chunks(BATCH) {
            bench.client.execute(&unnest, &[&batch]).await.expect("rows that are stored");
        }
        let delete = "delete from evenkeel_bench_queue.bare where id = any($1)";
        let claim = bench.client.prepare(CLAIM).await.expect("a statement");
        (claim, bench.other.prepare(delete).await.expect("a statement"))
    });
    bench.vacuum();
    let (sample, ()) = bench.measured(async {
        let (sender, mut done) = mpsc::unbounded_channel::<i64>();
        let claiming = async {
            let slots = Arc::new(Semaphore::new(concurrency));
            loop {
                let rows = bench.client.query(&claim, &[]).await.expect("rows");
                if rows.is_empty() {
                    return;
                }
                for row in rows {
                    let permit = Arc::clone(&slots).acquire_owned().await.expect("a slot");
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        let (id, payload): (i64, Vec<u8>) = (row.get(0), row.get(1));
                        std::hint::black_box(payload);
                        sender.send(id).ok();
                        drop(permit);
                    });
                }
            }
        };
        let deleting = async {
            let mut deleted = 0;
            while deleted < jobs {
                let mut ids = Vec::new();
                done.recv_many(&mut ids, 5000).await;
                deleted += bench.other.execute(&delete, &[&ids]).await.expect("rows that are deleted");
            }
        };
        tokio::join!(claiming, deleting);
    });
    bench.clear();
    sample
}

/// Measures on a server that waits for its disk at each commit, as one does that keeps what it has acknowledged.
fn stored_durably(work: impl AsyncFn(&Bench, u64) + 'static) -> Box<dyn FnMut(u64) -> Sample> {
    const SETTINGS: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];
    Box::new(move |count| {
        let bench = bench();
        let change = |verb: &str, to: &str| {
            for setting in SETTINGS {
                bench.execute(&format!("alter system {verb} {setting} {to}"));
            }
            bench.execute("select pg_reload_conf()");
            bench.runtime.block_on(async { sleep(Duration::from_millis(100)).await });
        };
        change("set", "= on");
        let (sample, ()) = bench.measured(work(&bench, count));
        change("reset", "");
        bench.clear();
        sample
    })
}
