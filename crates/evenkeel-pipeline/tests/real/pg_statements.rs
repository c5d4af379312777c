//! The number of statements that a backlog takes; rates are rows of the benchmarks.

use std::{convert::Infallible, time::Duration};

use evenkeel_pipeline::{PgQueue, Pipeline};
use tokio::time::sleep;

use crate::harness::{run, until};

const JOBS: u64 = 20_000;

#[test]
#[ignore = "real tier"]
fn a_backlog_is_drained_by_one_statement_for_fifty_jobs_at_most() {
    run(|schema| async move {
        let db = schema.own_database().await;
        let queue = PgQueue::new(&db, "orders");
        queue.set_up().await.unwrap();
        let committed = async || {
            // A backend reports within a second of idleness.
            sleep(Duration::from_millis(1200)).await;
            let sql = "select xact_commit from pg_stat_database where datname = current_database()";
            db.fetch_scalar::<i64>(sql, ()).await.unwrap()
        };
        for batch in 0..JOBS / 1000 {
            queue.enqueue_many((0..1000).map(|n| format!("{:0100}", batch * 1000 + n))).await.unwrap();
        }
        let before = committed().await;
        let running = Pipeline::from(queue.source())
            .stage("empty", async |_: Vec<u8>| Ok::<_, Infallible>(()))
            .limit(50)
            .window(5000)
            .start()
            .unwrap();
        until("all are done", || std::future::ready(running.snapshot().counts.acked == JOBS)).await;
        assert_eq!(running.drain(Duration::from_secs(10)).await.unwrap().acked, JOBS);
        let statements = committed().await - before;
        assert!(statements <= JOBS as i64 / 50, "{statements} statements for {JOBS} jobs");
        schema.drop_own(db).await;
    });
}
