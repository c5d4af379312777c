//! Plans of statements, which a connection keeps.

use std::time::Duration;

use evenkeel_pipeline::{Ack as _, Settle, Source as _};
use tokio::time::sleep;

use crate::harness::{pull, run};

#[test]
#[ignore = "real tier"]
fn a_worker_that_was_idle_on_an_empty_table_does_not_read_all_of_a_large_one() {
    run(|schema| async move {
        let db = schema.connect().await;
        let queue = schema.queue("orders").await;
        // The connections of the source plan for a table of a few jobs.
        let mut source = schema.queue_of(&db, "orders").source();
        let ack = source.ack();
        let mut round = async |settle: Settle| {
            let jobs = pull(&mut source, 10).await;
            let batch: Vec<_> = jobs.iter().map(|job| (job.receipt, settle)).collect();
            ack.settle(&batch).await.unwrap();
        };
        for n in 0..20 {
            queue.enqueue(n.to_string()).await.unwrap();
            round(Settle::Ack).await;
        }
        for batch in 0..20 {
            queue.enqueue_many((0..1000).map(|n| format!("{batch} {n:0100}"))).await.unwrap();
        }
        // The first ones learn of it.
        for _ in 0..2 {
            round(Settle::Ack).await;
            round(Settle::Release).await;
        }
        // A backend reports its scans when a statement has ended, a second after the last time.
        let pause = Duration::from_millis(1200);
        let sql = "select seq_scan from pg_stat_user_tables where schemaname = '{s}' and relname = 'job'";
        sleep(pause).await;
        round(Settle::Release).await;
        let before = schema.number(sql).await;
        for _ in 0..10 {
            round(Settle::Ack).await;
            round(Settle::Release).await;
        }
        sleep(pause).await;
        round(Settle::Release).await;
        let after = schema.number(sql).await;
        // Of more than 40 statements; others may look at the table as well.
        assert!(after - before < 5, "the whole table was read {} times", after - before);
    });
}
