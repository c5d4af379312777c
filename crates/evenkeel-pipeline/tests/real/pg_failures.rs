//! Workers that are killed, connections that are cut, servers that restart, calls that are dropped.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack as _, Message, PgJob, PgQueue, Pipeline, Running, Settle, SettleOutcome::Confirmed, Source as _,
};
use evenkeel_postgres::Database;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    harness::{items, none, run, text, until},
    instance::Instance,
};

const SECS: fn(u64) -> Duration = Duration::from_secs;
const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// The attempts of each job that began.
type Runs = Arc<Mutex<HashMap<String, Vec<u32>>>>;

/// Starts a worker whose jobs take so long, and note their attempt at the start.
fn start(queue: &PgQueue, runs: &Runs, limit: usize, takes: Duration) -> Running {
    let runs = Arc::clone(runs);
    Pipeline::from(queue.source())
        .messages()
        .stage("note", async move |job: Message<Vec<u8>>| {
            runs.lock().unwrap().entry(job.id).or_default().push(job.attempt);
            sleep(takes).await;
            Ok::<_, Infallible>(())
        })
        .limit(limit)
        .window(limit)
        .start()
        .unwrap()
}

fn count(runs: &Runs) -> usize {
    runs.lock().unwrap().len()
}

async fn fill(queue: &PgQueue, jobs: u32) {
    let job = |n: u32| {
        let job = PgJob::new(n.to_string());
        if n.is_multiple_of(5) { job.key((n % 35).to_string()) } else { job }
    };
    queue.enqueue_many((0..jobs).map(job)).await.unwrap();
}

#[test]
#[ignore = "real tier"]
fn the_jobs_of_a_worker_that_was_killed_run_again_soon_and_no_finished_one_does() {
    run(|schema| async move {
        // The defaults: a lease of 10 s, and a look each few seconds; twice that on a busy machine.
        let queue = schema.queue("orders").await;
        fill(&queue, 60).await;
        let runs = Runs::default();
        let db = schema.connect().await;
        let killed = start(&schema.queue_of(&db, "orders"), &runs, 20, MILLIS(500));
        let other = start(&queue, &runs, 5, MILLIS(500));
        let in_hand = async || schema.number("select count(*) from {s}.job where state = 'h'").await;
        // Of both workers.
        until("some are done", async || schema.jobs().await <= 40 && in_hand().await > 20).await;
        drop(killed);
        let began = Instant::now();
        let of_dead = in_hand().await;
        assert!(of_dead > 5, "{of_dead}");
        let is_again = || runs.lock().unwrap().values().any(|attempts| attempts.contains(&2));
        until("they run again", || std::future::ready(is_again())).await;
        assert!(began.elapsed() < SECS(30), "{:?}", began.elapsed());
        until("all are done", async || schema.jobs().await == 0).await;
        other.drain(SECS(10)).await.unwrap();
        let runs = std::mem::take(&mut *runs.lock().unwrap());
        assert_eq!(runs.len(), 60);
        for (job, attempts) in runs {
            assert!(attempts == [1] || attempts == [1, 2] || attempts == [2], "{job}: {attempts:?}");
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_drain_hands_back_without_an_attempt_and_leaves_nothing_locked() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        fill(&queue, 100).await;
        let runs = Runs::default();
        let running = start(&queue, &runs, 20, SECS(60));
        until("they run", || std::future::ready(count(&runs) >= 20)).await;
        let report = running.drain(MILLIS(200)).await.unwrap();
        assert_eq!((report.acked, report.left()), (0, report.accepted), "{report}");
        assert_eq!(schema.number("select count(*) from {s}.job where state = 'h' or attempt > 0").await, 0);
        assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);
        let again = start(&queue, &runs, 100, MILLIS(1));
        until("all are done", async || schema.jobs().await == 0).await;
        again.drain(SECS(10)).await.unwrap();
        assert!(runs.lock().unwrap().values().flatten().all(|attempt| *attempt == 1));
    });
}

/// Three workers on a number of jobs, each of which runs once, as no lease is lost.
struct ExactlyOnce {
    jobs: u32,
    runs: Runs,
    running: Vec<Running>,
}

impl ExactlyOnce {
    async fn start(queue: &PgQueue, jobs: u32) -> Self {
        fill(queue, jobs).await;
        let runs = Runs::default();
        let running = (0..3).map(|_| start(queue, &runs, 50, MILLIS(20))).collect();
        Self { jobs, runs, running }
    }

    async fn finish(self) {
        let mut acked = 0;
        for running in self.running {
            acked += running.drain(SECS(20)).await.unwrap().acked;
        }
        assert_eq!(acked, u64::from(self.jobs));
        let runs = self.runs.lock().unwrap();
        assert_eq!(runs.len(), self.jobs as usize);
        assert!(runs.values().all(|attempts| *attempts == [1]), "{runs:?}");
    }
}

#[test]
#[ignore = "real tier"]
fn connections_that_are_cut_all_the_while_run_no_job_twice() {
    run(|schema| async move {
        schema.queue("orders").await;
        let mut config = schema.config.clone();
        let name = format!("{}_cut", schema.name);
        config.application_name(&name);
        let db = Database::builder(config).max(6).connect().await.unwrap();
        let once = ExactlyOnce::start(&schema.queue_of(&db, "orders").lease(SECS(60)), 2000).await;
        let mut cuts = 0;
        let mut left = schema.jobs().await;
        while left > 0 {
            sleep(MILLIS(100)).await;
            // A slow machine gets somewhere between two cuts.
            let before = std::mem::replace(&mut left, schema.jobs().await);
            if left < before {
                let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1";
                cuts += schema.admin.fetch_scalar::<i64>(cut, (&name,)).await.unwrap();
            }
        }
        assert!(cuts > 20, "{cuts}");
        once.finish().await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_server_that_restarts_and_crashes_loses_no_job_and_runs_none_twice() {
    run(|schema| async move {
        let Some(mut server) = Instance::start(&schema, &[]).await else { return };
        let db = Database::builder(server.config()).max(6).connect().await.unwrap();
        let queue = PgQueue::new(&db, "orders").lease(SECS(60));
        queue.set_up().await.unwrap();
        let once = ExactlyOnce::start(&queue, 5000).await;
        for signal in ["INT", "QUIT", "INT", "QUIT"] {
            sleep(MILLIS(300)).await;
            server.stop(signal).await;
            sleep(MILLIS(500)).await;
            server.start_again().await;
        }
        let admin = server.admin().await;
        let left =
            async || admin.fetch_scalar::<i64>("select count(*) from evenkeel_queue.job", ()).await.unwrap();
        while left().await > 0 {
            sleep(MILLIS(50)).await;
        }
        once.finish().await;
    });
}

#[test]
#[ignore = "real tier"]
fn an_outage_longer_than_the_lease_fails_what_ran_and_runs_it_again() {
    run(|schema| async move {
        let Some(mut server) = Instance::start(&schema, &[]).await else { return };
        let db = Database::builder(server.config()).max(4).connect().await.unwrap();
        let queue = PgQueue::new(&db, "orders").lease(SECS(2));
        queue.set_up().await.unwrap();
        queue.enqueue_many(["long"; 10].into_iter().chain(["short"; 10])).await.unwrap();
        let runs = Runs::default();
        let noted = Arc::clone(&runs);
        let running = Pipeline::from(queue.source())
            .messages()
            .stage("note", async move |job: Message<Vec<u8>>| {
                noted.lock().unwrap().entry(job.id).or_default().push(job.attempt);
                // The first attempt lasts for as long as its lease.
                let is_long = job.item == b"long" && job.attempt == 1;
                sleep(if is_long { SECS(3600) } else { MILLIS(300) }).await;
                Ok::<_, Infallible>(())
            })
            .window(20)
            .start()
            .unwrap();
        until("they run", || std::future::ready(count(&runs) == 20)).await;
        server.stop("INT").await;
        sleep(SECS(3)).await;
        server.start_again().await;
        // Nobody else is there to hand on what this worker had dropped.
        let admin = server.admin().await;
        let left =
            async || admin.fetch_scalar::<i64>("select count(*) from evenkeel_queue.job", ()).await.unwrap();
        until("all are done", async || left().await == 0).await;
        let report = running.drain(SECS(30)).await.unwrap();
        let runs = runs.lock().unwrap();
        assert_eq!(runs.values().filter(|attempts| **attempts == [1]).count(), 10, "{runs:?}");
        assert_eq!(runs.values().filter(|attempts| **attempts == [1, 2]).count(), 10, "{runs:?}");
        assert_eq!((report.acked, report.nacked, report.left()), (20, 10, 0), "{report}");
    });
}

#[test]
#[ignore = "real tier"]
fn calls_that_are_dropped_at_any_time_and_made_again_settle_each_job_once() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        fill(&queue, 300).await;
        let mut source = queue.source();
        let ack = source.ack();
        let (mut round, mut failures) = (0_u64, HashMap::<String, u32>::new());
        let began = Instant::now();
        let mut time = || {
            round += 1;
            // Longer and longer, as a machine under load may need: a hundred times after 20 s.
            let factor = 1.0 + (began.elapsed().as_secs_f64() / 2.0).powi(2);
            Duration::from_micros(round % 30 * 100).mul_f64(factor)
        };
        while schema.jobs().await > 0 {
            // The next job of a key whose release was dropped is found after a while.
            let pulled = timeout(SECS(30), source.pull(items(20))).await;
            let jobs = pulled.expect("jobs come").unwrap();
            let how = |job: &crate::harness::PgDelivery| match (job.attempt, text(job).len() % 2) {
                (1, 1) => Settle::Retry { after: Duration::ZERO },
                _ => Settle::Ack,
            };
            for job in &jobs {
                assert_eq!(job.attempt, failures.get(&text(job)).copied().unwrap_or(0) + 1, "{}", text(job));
                if how(job) != Settle::Ack {
                    *failures.entry(text(job)).or_default() += 1;
                }
            }
            let batch: Vec<_> = jobs.iter().map(|job| (job.receipt, how(job))).collect();
            let receipts: Vec<_> = jobs.iter().map(|job| job.receipt).collect();
            loop {
                let _ = timeout(time(), ack.extend(&receipts)).await;
                if let Ok(settled) = timeout(time(), ack.settle(&batch)).await {
                    assert_eq!(settled.unwrap(), vec![Confirmed; batch.len()]);
                    break;
                }
            }
        }
        none(&mut source).await;
        loop {
            if timeout(time(), source.stop()).await.is_ok() {
                break;
            }
        }
        assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);
    });
}
