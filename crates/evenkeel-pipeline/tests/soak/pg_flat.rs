//! A million jobs through a queue in PostgreSQL: the last ones touch as many blocks of the server as the first, and take as long.
//!
//! Blocks are asserted, which no other load on the machine changes; times are told.

use std::{
    convert::Infallible,
    env,
    io::Write as _,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use evenkeel_pipeline::{PgJob, PgQueue, Pipeline};
use evenkeel_postgres::{Database, Error, Tx, TxOptions, tokio_postgres::Config};
use tokio::time::{Instant, sleep};

const JOBS: u64 = 1_000_000;
/// The jobs after which rates and blocks are noted.
const PART: u64 = 20_000;
/// A backend tells its blocks once in a second, so they are compared over a longer part.
const COUNTED: usize = 10;

fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A database of a test on the newer server.
struct Own {
    admin: Database,
    db: Database,
    config: Config,
    name: String,
}

impl Own {
    async fn create() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(url) = env::var("EVENKEEL_TEST_POSTGRES18").ok().filter(|url| !url.is_empty()) else {
            tell("SKIPPED: no PostgreSQL server at EVENKEEL_TEST_POSTGRES18 (cargo xtask servers up)");
            return None;
        };
        let name = format!("flat_{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let mut config: Config = url.parse().unwrap();
        let admin = Database::builder(config.clone()).max(1).connect().await.unwrap();
        admin.execute(&format!("create database {name}"), ()).await.unwrap();
        config.dbname(&name);
        let db = Database::builder(config.clone()).max(4).connect().await.unwrap();
        Some(Self { admin, db, config, name })
    }

    async fn blocks(&self) -> i64 {
        let sql = "select blks_hit + blks_read from pg_stat_database where datname = $1";
        self.admin.fetch_scalar(sql, (&self.name,)).await.unwrap()
    }

    async fn drop(self) {
        assert!(self.db.close(Duration::from_secs(5)).await.stragglers.is_empty());
        self.admin.execute(&format!("drop database {} with (force)", self.name), ()).await.unwrap();
    }
}

/// The time and the blocks at a number of jobs.
struct Mark {
    jobs: u64,
    at: Duration,
    blocks: i64,
}

async fn fill(queue: &PgQueue, jobs: u64) {
    for batch in 0..jobs / 1000 {
        queue
            .enqueue_many((0..1000).map(|n| PgJob::new(format!("{:0100}", batch * 1000 + n))))
            .await
            .unwrap();
    }
}

async fn drain(own: &Own, queue: &PgQueue, jobs: u64, window: usize) -> Vec<Mark> {
    let began = Instant::now();
    let running = Pipeline::from(queue.source())
        .stage("empty", async |_: Vec<u8>| Ok::<_, Infallible>(()))
        .limit(10)
        .window(window)
        .start()
        .unwrap();
    let mut marks = vec![Mark { jobs: 0, at: Duration::ZERO, blocks: own.blocks().await }];
    loop {
        let acked = running.snapshot().counts.acked;
        if acked >= marks.last().unwrap().jobs + PART || acked == jobs {
            marks.push(Mark { jobs: acked, at: began.elapsed(), blocks: own.blocks().await });
        }
        if acked == jobs {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(running.drain(Duration::from_secs(10)).await.unwrap().acked, jobs);
    marks
}

/// Tells the rates, and returns how many times more blocks the last part has touched than the first, for each job.
fn compare(what: &str, marks: &[Mark]) -> f64 {
    let rate = |from: &Mark, to: &Mark| (to.jobs - from.jobs) as f64 / (to.at - from.at).as_secs_f64();
    let blocks = |from: &Mark, to: &Mark| (to.blocks - from.blocks) as f64 / (to.jobs - from.jobs) as f64;
    let last = marks.len() - 1;
    let (first_rate, last_rate) = (rate(&marks[0], &marks[1]), rate(&marks[last - 1], &marks[last]));
    let (first, later) = (blocks(&marks[0], &marks[COUNTED]), blocks(&marks[last - COUNTED], &marks[last]));
    tell(&format!(
        "{what}: {:.0}/s, the first {PART} at {first_rate:.0}/s, the last at {last_rate:.0}/s, {:.2} times slower; \
         {first:.1} and {later:.1} blocks each",
        rate(&marks[0], &marks[last]),
        first_rate / last_rate
    ));
    later / first
}

async fn beside(what: &str, options: TxOptions, hold: impl AsyncFn(&Tx) -> Result<(), Error>) -> Option<f64> {
    let own = Own::create().await?;
    let queue = PgQueue::new(&own.db, "orders");
    queue.set_up().await.unwrap();
    fill(&queue, JOBS).await;
    let holder = Database::builder(own.config.clone()).max(1).connect().await.unwrap();
    let marks = holder.transaction(options, async |tx| {
        hold(&tx).await?;
        Ok::<_, Error>(drain(&own, &queue, JOBS, 5000).await)
    });
    let ratio = compare(what, &marks.await.unwrap());
    drop(holder);
    own.drop().await;
    Some(ratio)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn the_millionth_job_costs_as_much_as_the_first() {
    let Some(ratio) = beside("no snapshot", TxOptions::new(), async |_| Ok(())).await else { return };
    assert!(ratio < 1.2, "{ratio}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn the_millionth_job_costs_as_much_beside_an_old_snapshot() {
    let look = async |tx: &Tx| tx.fetch_scalar::<i64>("select count(*) from pg_class", ()).await.map(|_| ());
    let Some(ratio) = beside("old snapshot", TxOptions::repeatable_read(), look).await else { return };
    assert!(ratio < 1.5, "{ratio}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn the_millionth_job_costs_as_much_beside_an_old_transaction_that_writes() {
    let write = async |tx: &Tx| tx.batch_execute("create table held (id int)").await;
    let Some(ratio) = beside("old writer", TxOptions::repeatable_read(), write).await else { return };
    assert!(ratio < 1.5, "{ratio}");
}

/// Each source starts at the place where the last one has stopped; small windows leave many versions of a worker's row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn a_source_that_starts_late_beside_an_old_snapshot_costs_as_much_as_the_first() {
    let Some(own) = Own::create().await else { return };
    let queue = PgQueue::new(&own.db, "orders");
    queue.set_up().await.unwrap();
    let holder = Database::builder(own.config.clone()).max(1).connect().await.unwrap();
    let marks = holder.transaction(TxOptions::repeatable_read(), async |tx| {
        tx.fetch_scalar::<i64>("select count(*) from pg_class", ()).await?;
        let mut marks = vec![Mark { jobs: 0, at: Duration::ZERO, blocks: 0 }];
        for _ in 0..2 * COUNTED + 5 {
            fill(&queue, PART).await;
            let parts = drain(&own, &queue, PART, 200).await;
            let (first, last) = (&parts[0], &parts[parts.len() - 1]);
            let before = &marks[marks.len() - 1];
            // Without what the enqueueing has touched and taken.
            let mark = Mark {
                jobs: before.jobs + PART,
                at: before.at + last.at - first.at,
                blocks: before.blocks + last.blocks - first.blocks,
            };
            marks.push(mark);
        }
        Ok::<_, Error>(marks)
    });
    let ratio = compare("one source after the other", &marks.await.unwrap());
    assert!(ratio < 1.5, "{ratio}");
    drop(holder);
    own.drop().await;
}
