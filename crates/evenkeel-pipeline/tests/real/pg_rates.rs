//! Rates beside a floor: the least that claims jobs in batches and deletes them, without leases, fences or attempts. Statements
//! are counted, and times told.

use std::{
    convert::Infallible,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_pipeline::{PgQueue, Pipeline};
use evenkeel_postgres::{Database, TxOptions};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};

use crate::harness::run;

const JOBS: u64 = 20_000;

/// The floor: a task that claims 500, tasks that run them, a task that deletes up to 5,000.
async fn floor(db: &Database, jobs: u64, concurrency: usize) -> f64 {
    let (sender, mut done) = mpsc::unbounded_channel::<i64>();
    let began = Instant::now();
    let claimer = {
        let db = db.clone();
        tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(concurrency));
            let claim = "update floor set claimed = true where ctid = any(array(select ctid from floor \
                 where not claimed order by id limit 500 for update skip locked)) returning id, payload";
            loop {
                let rows: Vec<(i64, Vec<u8>)> = db.fetch_all(claim, ()).await.unwrap();
                if rows.is_empty() {
                    return;
                }
                for (id, _) in rows {
                    let permit = Arc::clone(&slots).acquire_owned().await.unwrap();
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        sender.send(id).unwrap();
                        drop(permit);
                    });
                }
            }
        })
    };
    let mut deleted = 0;
    while deleted < jobs {
        let mut ids = Vec::new();
        done.recv_many(&mut ids, 5000).await;
        deleted += db.execute("delete from floor where id = any($1)", (ids,)).await.unwrap();
    }
    let rate = jobs as f64 / began.elapsed().as_secs_f64();
    claimer.await.unwrap();
    rate
}

async fn fill_floor(db: &Database, jobs: u64) {
    let fill = "insert into floor (payload) select payload from unnest($1::bytea[]) payload";
    for batch in payloads(jobs).chunks(1000) {
        db.execute(fill, (batch,)).await.unwrap();
    }
}

fn payloads(jobs: u64) -> Vec<Vec<u8>> {
    (0..jobs).map(|n| format!("{n:0100}").into_bytes()).collect()
}

async fn fill(queue: &PgQueue, jobs: u64) {
    for batch in payloads(jobs).chunks(1000) {
        queue.enqueue_many(batch.iter().cloned()).await.unwrap();
    }
}

/// Drains the queue with all that belongs to it; returns the rate of each of three parts.
async fn drain(queue: &PgQueue, jobs: u64, concurrency: usize, part: u64) -> (f64, Vec<f64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let began = Instant::now();
    let running = Pipeline::from(queue.source())
        .stage("empty", async move |_: Vec<u8>| {
            counter.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(())
        })
        .limit(concurrency)
        .window(5000)
        .start()
        .unwrap();
    let mut marks = vec![(0, Duration::ZERO)];
    while running.snapshot().counts.acked < jobs {
        let acked = running.snapshot().counts.acked;
        if acked >= marks.last().unwrap().0 + part {
            marks.push((acked, began.elapsed()));
        }
        sleep(Duration::from_millis(1)).await;
    }
    let rate = jobs as f64 / began.elapsed().as_secs_f64();
    marks.push((jobs, began.elapsed()));
    let parts =
        marks.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 / (pair[1].1 - pair[0].1).as_secs_f64());
    let parts = parts.collect();
    assert_eq!(running.drain(Duration::from_secs(10)).await.unwrap().acked, jobs);
    (rate, parts)
}

fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

const FLOOR: &str = "
create table floor (id bigint generated always as identity primary key, claimed bool not null default false, payload bytea not null);
create index floor_ready on floor (id) where not claimed";

#[test]
#[ignore = "real tier"]
fn a_backlog_is_drained_by_one_statement_for_fifty_jobs_at_most() {
    run(|schema| async move {
        let db = schema.own_database().await;
        db.batch_execute(FLOOR).await.unwrap();
        let queue = PgQueue::new(&db, "orders");
        queue.set_up().await.unwrap();
        let committed = async || {
            // A backend reports within a second of idleness.
            sleep(Duration::from_millis(1500)).await;
            let sql = "select xact_commit from pg_stat_database where datname = current_database()";
            db.fetch_scalar::<i64>(sql, ()).await.unwrap()
        };
        for concurrency in [10, 50, 200, 10, 50, 200] {
            fill_floor(&db, JOBS).await;
            let floor = floor(&db, JOBS, concurrency).await;
            fill(&queue, JOBS).await;
            let before = committed().await;
            let (rate, _) = drain(&queue, JOBS, concurrency, JOBS).await;
            let statements = committed().await - before;
            tell(&format!(
                "at {concurrency}: {rate:.0}/s, {:.2} of the floor, {statements} statements",
                rate / floor
            ));
            assert!(statements <= JOBS as i64 / 50, "{statements} statements for {JOBS} jobs");
        }
        schema.drop_own(db).await;
    });
}

#[test]
#[ignore = "soak"]
fn a_drain_keeps_its_rate_beside_an_old_snapshot() {
    run(|schema| async move {
        let db = schema.own_database().await;
        let queue = PgQueue::new(&db, "orders");
        queue.set_up().await.unwrap();
        for is_old in [false, true] {
            let jobs = 300_000;
            fill(&queue, jobs).await;
            let holder = TxOptions::repeatable_read();
            let parts = db
                .transaction(holder, async |tx| {
                    if is_old {
                        tx.fetch_scalar::<i64>("select count(*) from evenkeel_queue.worker", ()).await?;
                    }
                    Ok::<_, evenkeel_postgres::Error>(drain(&queue, jobs, 10, 20_000).await)
                })
                .await
                .unwrap();
            let (rate, parts) = parts;
            let (first, last) = (parts[1], parts[parts.len() - 2]);
            tell(&format!(
                "old snapshot {is_old}: {rate:.0}/s, first {first:.0}/s, last {last:.0}/s, {:.2} times slower",
                first / last
            ));
        }
        schema.drop_own(db).await;
    });
}
