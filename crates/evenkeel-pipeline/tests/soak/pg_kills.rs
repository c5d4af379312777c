//! 100,000 messages of each engine, while workers and servers are killed; and the rate of several processes.

use std::{collections::VecDeque, time::Duration};

use evenkeel_pipeline::PgQueue;
use evenkeel_postgres::Database;
use tokio::time::{Instant, sleep};

use crate::{
    harness::run_within,
    instance::Instance,
    pg_failure::address,
    say, wait_for,
    worker::{Ended, Orders, Worker},
};

const SECS: fn(u64) -> Duration = Duration::from_secs;

pub(crate) const MESSAGES: i64 = 100_000;
const WORKERS: usize = 4;
const KILLS: i64 = 20;
const CRASHES: i64 = 3;

pub(crate) fn orders(server: String, sink: String, queue: &str) -> Orders {
    Orders {
        server,
        schema: "s".into(),
        queue: queue.into(),
        lease: SECS(10),
        sink,
        takes: Duration::from_millis(20),
        limit: 32,
        window: 512,
        notes_begin: false,
        grace: SECS(10),
        dies: false,
    }
}

/// A server, its failure, and the messages that it still has.
pub(crate) trait Crashing {
    async fn crash(&mut self);
    async fn left(&mut self) -> i64;
}

/// Kills workers and the server, spread over the whole work, and checks the sink.
pub(crate) async fn survive(name: &str, orders: &Orders, sink: &Database, server: &mut impl Crashing) {
    let began = Instant::now();
    let mut workers: VecDeque<Worker> = (0..WORKERS).map(|_| Worker::start(orders)).collect();
    let (mut kills, mut crashes) = (0, 0);
    let effects = async || -> i64 {
        // The sink may be on the server that was killed.
        sink.fetch_scalar("select count(*) from s.effect", ()).await.unwrap_or(-1)
    };
    loop {
        let done = effects().await;
        if kills < KILLS && done >= (kills + 1) * MESSAGES / (KILLS + 2) {
            kills += 1;
            if let Some(oldest) = workers.pop_front() {
                oldest.signal("KILL");
            }
            workers.push_back(Worker::start(orders));
        }
        if crashes < CRASHES && done >= (2 * crashes + 1) * MESSAGES / (2 * CRASHES) {
            crashes += 1;
            server.crash().await;
        }
        if done == MESSAGES && server.left().await == 0 {
            break;
        }
        assert!(done <= MESSAGES, "{done} effects");
        assert!(began.elapsed() < SECS(240), "{done} effects after {:?}", began.elapsed());
        assert!(workers.iter_mut().all(Worker::is_alive), "a worker has ended by itself");
        sleep(Duration::from_millis(50)).await;
    }
    let took = began.elapsed();
    assert_eq!((kills, crashes), (KILLS, CRASHES));
    let mut ended = Vec::new();
    workers.iter().for_each(|worker| worker.signal("TERM"));
    for worker in workers {
        ended.push(worker.ends().await);
    }
    let number = async |sql: &str| sink.fetch_scalar::<i64>(sql, ()).await.unwrap();
    assert_eq!(number("select count(*) from s.effect").await, MESSAGES);
    assert_eq!(number("select count(distinct number) from s.effect").await, MESSAGES);
    assert_eq!(number("select count(distinct message) from s.effect").await, MESSAGES);
    assert_eq!(number("select min(number) from s.effect").await, 0);
    assert_eq!(number("select max(number) from s.effect").await, MESSAGES - 1);
    let runs = number("select count(*) from s.run").await;
    let attempts = number("select max(attempt)::bigint from s.run").await;
    let superseded: u64 = ended.iter().map(|Ended { superseded, .. }| superseded).sum();
    say(&format!(
        "{name}: {MESSAGES} messages, {KILLS} kills of workers, {CRASHES} of the server, {took:.0?}: 0 lost, {} runs whose effect \
         was there already or came to nothing, at most {attempts} attempts, {superseded} superseded at the last workers",
        runs - MESSAGES
    ));
}

struct Pg {
    server: Instance,
    db: Database,
}

impl Crashing for Pg {
    async fn crash(&mut self) {
        self.server.stop("QUIT").await;
        sleep(Duration::from_millis(500)).await;
        self.server.start_again().await;
    }

    async fn left(&mut self) -> i64 {
        self.db.fetch_scalar("select count(*) from s.job", ()).await.unwrap_or(-1)
    }
}

pub(crate) const DURABLE: [&str; 3] = ["max_connections=100", "fsync=on", "full_page_writes=on"];

#[test]
#[ignore = "soak"]
fn a_queue_in_postgres_survives_20_kills_of_workers_and_3_crashes() {
    run_within(SECS(300), |schema| async move {
        let Some(server) = Instance::start(&schema, &DURABLE).await else { return };
        let db = server.admin().await;
        let queue = PgQueue::new(&db, "kills").schema("s");
        queue.set_up().await.unwrap();
        Orders::set_up(&db, "s").await;
        let numbers: Vec<i64> = (0..MESSAGES).collect();
        for numbers in numbers.chunks(5000) {
            queue.enqueue_many(numbers.iter().map(ToString::to_string)).await.unwrap();
        }
        let orders = orders(address(&server), address(&server), "kills");
        let mut server = Pg { server, db: db.clone() };
        survive("PostgreSQL", &orders, &db, &mut server).await;
        assert_eq!(db.fetch_scalar::<i64>("select count(*) from s.worker", ()).await.unwrap(), 0);
    });
}

#[test]
#[ignore = "soak"]
fn more_processes_do_more_where_the_work_waits() {
    const JOBS: i64 = 3000;
    run_within(SECS(300), |schema| async move {
        let Some(server) = Instance::start(&schema, &DURABLE).await else { return };
        let db = server.admin().await;
        PgQueue::new(&db, "").schema("s").set_up().await.unwrap();
        Orders::set_up(&db, "s").await;
        let mut rates = Vec::new();
        for (round, processes) in [1, 2, 4, 1, 2, 4].into_iter().enumerate() {
            let name = format!("round {round}");
            let queue = PgQueue::new(&db, &name).schema("s");
            let takes = Duration::from_millis(200);
            let orders =
                Orders { takes, limit: 20, window: 40, ..orders(address(&server), address(&server), &name) };
            let workers: Vec<Worker> = (0..processes).map(|_| Worker::start(&orders)).collect();
            let waiting = "select count(*) from s.worker where queue = $1";
            wait_for(SECS(30), "they wait", async || {
                db.fetch_scalar::<i64>(waiting, (&name,)).await.unwrap() == processes
            })
            .await;
            queue.enqueue_many((0..JOBS).map(|number| number.to_string())).await.unwrap();
            let done = "select count(*) from s.effect where queue = $1";
            wait_for(SECS(60), "all are done", async || {
                db.fetch_scalar::<i64>(done, (&name,)).await.unwrap() == JOBS
            })
            .await;
            // Between the first tenth and the last one.
            let rate = "select count(*) / extract(epoch from max(at) - min(at))::float8 from (
                select at, ntile(10) over (order by at) as tenth from s.effect where queue = $1
            ) effect where tenth between 2 and 9";
            rates.push(db.fetch_scalar::<f64>(rate, (&name,)).await.unwrap());
            for worker in workers {
                worker.signal("TERM");
                worker.ends().await;
            }
        }
        let rate = |at: usize| f64::midpoint(rates[at], rates[at + 3]);
        let (two, four) = (rate(1) / rate(0), rate(2) / rate(0));
        say(&format!(
            "1 process {:.0}/s, 2 {:.0}/s ({two:.2} x), 4 {:.0}/s ({four:.2} x)",
            rate(0),
            rate(1),
            rate(2)
        ));
    });
}
