//! A queue in PostgreSQL under failure, with processes that are really killed: 200 jobs of 2 s, 20 at a time, ten queues side
//! by side.

use std::time::Duration;

use evenkeel_pipeline::PgQueue;
use evenkeel_postgres::Database;
use tokio::time::{Instant, sleep};

use crate::{
    harness::{TestSchema, run_within},
    instance::Instance,
    say, wait_for,
    worker::{Ended, Orders, Worker},
};

const SECS: fn(u64) -> Duration = Duration::from_secs;

const QUEUES: usize = 10;
const JOBS: i64 = 200;
const SLOTS: usize = 20;
/// The time of the failure after the first job has begun.
const FAILS_AFTER: Duration = Duration::from_millis(5500);

/// Ten queues on a server, and the tables of their sink, maybe on another one.
struct Bar {
    server: Instance,
    sink: Option<Instance>,
    admin: Database,
    grace: Duration,
}

impl Bar {
    async fn start(schema: &TestSchema, has_sink: bool) -> Option<Self> {
        let settings = ["max_connections=300", "fsync=on", "full_page_writes=on"];
        let server = Instance::start(schema, &settings).await?;
        let sink = if has_sink { Some(Instance::start(schema, &settings).await?) } else { None };
        let admin = sink.as_ref().unwrap_or(&server).admin().await;
        admin.batch_execute("create schema s").await.unwrap();
        Orders::set_up(&admin, "s").await;
        let db = server.admin().await;
        PgQueue::new(&db, "").schema("s").set_up().await.unwrap();
        for queue in 0..QUEUES {
            fill(&db, queue, JOBS).await;
        }
        Some(Self { server, sink, admin, grace: Duration::ZERO })
    }

    fn orders(&self, queue: usize) -> Orders {
        Orders {
            server: address(&self.server),
            schema: "s".into(),
            queue: name(queue),
            lease: SECS(10),
            sink: address(self.sink.as_ref().unwrap_or(&self.server)),
            takes: SECS(2),
            limit: SLOTS,
            window: SLOTS,
            notes_begin: true,
            grace: self.grace,
            dies: false,
        }
    }

    fn workers(&self) -> Vec<Worker> {
        (0..QUEUES).map(|queue| Worker::start(&self.orders(queue))).collect()
    }

    /// Waits until all queues are worked on, and a while longer.
    async fn until_it_fails(&self) {
        let begun = "select count(distinct queue) from s.run";
        wait_for(SECS(30), "all begin", async || self.number(begun).await == QUEUES as i64).await;
        sleep(FAILS_AFTER).await;
    }

    async fn until_done(&self, per_queue: i64) {
        let effects = "select count(distinct (queue, message)) from s.effect";
        let all = QUEUES as i64 * per_queue;
        wait_for(SECS(90), "all jobs have their effect", async || self.number(effects).await == all).await;
    }

    async fn number(&self, sql: &str) -> i64 {
        self.admin.fetch_scalar(sql, ()).await.unwrap()
    }

    async fn seconds(&self, sql: &str) -> f64 {
        self.admin.fetch_scalar::<Option<f64>>(sql, ()).await.unwrap().unwrap_or(f64::NAN)
    }

    /// The number of each queue.
    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let rows: Vec<(i64,)> = self.admin.fetch_all(sql, ()).await.unwrap();
        rows.into_iter().map(|(number,)| number).collect()
    }

    /// Notes the time of the failure, by the clock of the runs.
    async fn note_failure(&self) {
        let sql = "create table if not exists s.failure as select clock_timestamp() as at";
        self.admin.batch_execute(sql).await.unwrap();
    }

    /// Asserts that each job has one effect, and that nothing is left.
    async fn assert_exact(&self, per_queue: i64) {
        let effects = self.numbers("select count(*) from s.effect group by queue").await;
        assert_eq!(effects, vec![per_queue; QUEUES]);
        let distinct = self.numbers("select count(distinct message) from s.effect group by queue").await;
        assert_eq!(distinct, vec![per_queue; QUEUES]);
        let db = self.server.admin().await;
        let left = "select (select count(*) from s.job) + (select count(*) from s.worker)";
        assert_eq!(db.fetch_scalar::<i64>(left, ()).await.unwrap(), 0);
    }
}

/// Drains workers, and returns their reports.
async fn end(workers: Vec<Worker>) -> Vec<Ended> {
    workers.iter().for_each(|worker| worker.signal("TERM"));
    let mut ended = Vec::new();
    for worker in workers {
        ended.push(worker.ends().await);
    }
    ended
}

fn name(queue: usize) -> String {
    format!("queue {queue}")
}

async fn fill(db: &Database, queue: usize, jobs: i64) {
    let jobs = (0..jobs).map(|number| number.to_string());
    PgQueue::new(db, &name(queue)).schema("s").enqueue_many(jobs).await.unwrap();
}

pub(crate) fn address(server: &Instance) -> String {
    format!("host={} user=postgres dbname=postgres", server.socket_dir().display())
}

const AGAIN: &str = "select count(*) from s.run where attempt = 2 group by queue order by 1";
const FIRST_AGAIN: &str = "select extract(epoch from min(r.at) - (select at from s.failure))::float8 from s.run r where attempt = 2";
const LAST_AGAIN: &str = "select extract(epoch from max(r.at) - (select at from s.failure))::float8 from s.run r where attempt = 2";

#[test]
#[ignore = "soak"]
fn jobs_of_workers_that_were_killed_run_again_within_15_seconds() {
    run_within(SECS(150), |schema| async move {
        let Some(bar) = Bar::start(&schema, false).await else { return };
        let killed = bar.workers();
        bar.until_it_fails().await;
        bar.note_failure().await;
        killed.iter().for_each(|worker| worker.signal("KILL"));
        drop(killed);
        let workers = bar.workers();
        bar.until_done(JOBS).await;
        end(workers).await;
        bar.assert_exact(JOBS).await;
        let again = bar.numbers(AGAIN).await;
        let (first, last) = (bar.seconds(FIRST_AGAIN).await, bar.seconds(LAST_AGAIN).await);
        assert!(
            again.len() == QUEUES && again.iter().all(|jobs| (1..=SLOTS as i64).contains(jobs)),
            "{again:?}"
        );
        assert!(last < 15.0, "again after {last} s");
        assert_eq!(bar.number("select count(*) from s.run where attempt > 2").await, 0);
        say(&format!("kill -9: {again:?} jobs run again after {first:.1} to {last:.1} s"));
    });
}

#[test]
#[ignore = "soak"]
fn a_sigterm_hands_back_at_once_or_finishes_and_costs_no_attempt() {
    run_within(SECS(240), |schema| async move {
        for (grace, longest) in [(Duration::ZERO, SECS(2)), (SECS(10), SECS(5))] {
            let Some(mut bar) = Bar::start(&schema, false).await else { return };
            bar.grace = grace;
            let workers = bar.workers();
            bar.until_it_fails().await;
            bar.note_failure().await;
            let began = Instant::now();
            workers.iter().for_each(|worker| worker.signal("TERM"));
            let (mut released, mut lasted) = (0, Duration::ZERO);
            for worker in workers {
                let ended = worker.ends().await;
                lasted = lasted.max(began.elapsed());
                assert_eq!((ended.nacked, ended.superseded, ended.lost), (0, 0, 0), "{ended:?}");
                assert_eq!(ended.accepted, ended.acked + ended.released, "{ended:?}");
                released += ended.released;
            }
            assert!(lasted < longest, "{lasted:?}");
            let locked =
                "select (select count(*) from s.job where state = 'h') + (select count(*) from s.worker)";
            assert_eq!(bar.number(locked).await, 0);
            assert_eq!(released > 0, grace.is_zero(), "{released}");
            let workers = bar.workers();
            bar.until_done(JOBS).await;
            end(workers).await;
            bar.assert_exact(JOBS).await;
            // Jobs that were handed back run twice, as the same attempt.
            assert_eq!(bar.number("select count(*) from s.run where attempt > 1").await, 0);
            let runs = bar.number("select count(*) from s.run").await;
            let all = QUEUES as i64 * JOBS;
            assert!((all..=all + released as i64).contains(&runs), "{runs}");
            say(&format!(
                "SIGTERM, grace {grace:?}: all ended after {lasted:.1?}, {released} jobs handed back, {runs} runs"
            ));
        }
    });
}

#[test]
#[ignore = "soak"]
fn workers_that_stand_still_for_60_seconds_are_fenced_and_go_on() {
    run_within(SECS(240), |schema| async move {
        let Some(bar) = Bar::start(&schema, false).await else { return };
        let stalled = bar.workers();
        bar.until_it_fails().await;
        bar.note_failure().await;
        let began = Instant::now();
        stalled.iter().for_each(|worker| worker.signal("STOP"));
        let workers = bar.workers();
        bar.until_done(JOBS).await;
        let again = bar.numbers(AGAIN).await;
        let (first, last) = (bar.seconds(FIRST_AGAIN).await, bar.seconds(LAST_AGAIN).await);
        assert!(again.len() == QUEUES && last < 15.0, "{again:?} again after {last} s");
        sleep((began + SECS(60)).duration_since(Instant::now())).await;
        stalled.iter().for_each(|worker| worker.signal("CONT"));
        end(workers).await;
        // It is their turn again.
        let db = bar.server.admin().await;
        for queue in 0..QUEUES {
            fill(&db, queue, SLOTS as i64).await;
        }
        bar.until_done(JOBS + SLOTS as i64).await;
        let ended = end(stalled).await;
        bar.assert_exact(JOBS + SLOTS as i64).await;
        let superseded: Vec<u64> = ended.iter().map(|ended| ended.superseded).collect();
        for (ended, again) in ended.iter().zip(&again) {
            assert_eq!((ended.nacked, ended.lost), (0, 0), "{ended:?}, {again}");
        }
        let all_again: i64 = again.iter().sum();
        assert_eq!(superseded.iter().sum::<u64>(), all_again as u64, "{superseded:?} {again:?}");
        say(&format!(
            "SIGSTOP for 60 s: {again:?} jobs run again after {first:.1} to {last:.1} s, {superseded:?} late ones refused"
        ));
    });
}

#[test]
#[ignore = "soak"]
fn workers_go_on_when_the_server_was_gone_for_8_seconds() {
    run_within(SECS(240), |schema| async move {
        for signal in ["INT", "QUIT"] {
            let Some(mut bar) = Bar::start(&schema, true).await else { return };
            // Half of the queues have two workers, which look at each other.
            let mut workers = bar.workers();
            workers.extend((0..QUEUES / 2).map(|queue| Worker::start(&bar.orders(queue))));
            bar.until_it_fails().await;
            bar.server.stop(signal).await;
            sleep(SECS(8)).await;
            bar.server.start_again().await;
            bar.note_failure().await;
            bar.until_done(JOBS).await;
            let resumed = "select extract(epoch from min(at) - (select at from s.failure))::float8 from s.run \
                           where at > (select at from s.failure)";
            let resumed = bar.seconds(resumed).await;
            let ended = end(workers).await;
            bar.assert_exact(JOBS).await;
            let again = bar.number("select count(*) - count(distinct (queue, message)) from s.run").await;
            let failed = bar.number("select count(*) from s.run where attempt > 1").await;
            let nacked: u64 = ended.iter().map(|ended| ended.nacked + ended.superseded + ended.lost).sum();
            // The completion of each one that ran again was not confirmed.
            assert!(again <= (QUEUES + QUEUES / 2) as i64 * SLOTS as i64, "{again}");
            assert!(resumed < 5.0, "resumed after {resumed} s");
            let errors: u64 = ended.iter().map(|ended| ended.errors).sum();
            say(&format!(
                "server gone for 8 s ({signal}): goes on after {resumed:.1} s; {again} of {} jobs run again ({failed} as a \
                 second attempt, {nacked} nacked, superseded or unconfirmed), {errors} errors told",
                QUEUES as i64 * JOBS
            ));
        }
    });
}

#[test]
#[ignore = "soak"]
fn a_sigterm_while_the_server_is_away_ends_soon_and_loses_nothing() {
    run_within(SECS(240), |schema| async move {
        let Some(mut bar) = Bar::start(&schema, true).await else { return };
        bar.grace = SECS(1);
        let workers = bar.workers();
        bar.until_it_fails().await;
        bar.server.stop("INT").await;
        sleep(SECS(1)).await;
        let began = Instant::now();
        let ended = end(workers).await;
        let lasted = began.elapsed();
        // The grace, and five seconds to hand back; the rest is the load of the machine.
        assert!(lasted < SECS(12), "{lasted:?}");
        let unconfirmed: u64 = ended.iter().map(|ended| ended.lost).sum();
        bar.server.start_again().await;
        bar.note_failure().await;
        let workers = bar.workers();
        bar.until_done(JOBS).await;
        end(workers).await;
        bar.assert_exact(JOBS).await;
        let (last, failed) = (bar.seconds(LAST_AGAIN).await, bar.numbers(AGAIN).await);
        assert!(last.is_nan() || last < 15.0, "again after {last} s");
        assert!(failed.iter().all(|jobs| *jobs <= SLOTS as i64), "{failed:?}");
        say(&format!(
            "SIGTERM while the server is away: ended after {lasted:.1?}, {unconfirmed} decisions unconfirmed; {failed:?} jobs run again, \
             the last after {last:.1} s"
        ));
    });
}
