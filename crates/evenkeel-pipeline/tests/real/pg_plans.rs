//! Plans of statements, which a connection keeps.

use std::time::Duration;

use evenkeel_pipeline::{Ack as _, Settle, SettleOutcome, Source as _};
use evenkeel_postgres::Database;
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

/// The planner sees a table without a job in hand, as it may be when the statistics are made.
#[test]
#[ignore = "real tier"]
fn a_settlement_looks_at_its_own_jobs_however_many_are_in_hand() {
    run(|schema| async move {
        const HELD: usize = 2000;
        // One connection, which plans and reports.
        let db = Database::builder(schema.config.clone()).max(1).connect().await.unwrap();
        let filled = schema.queue("orders").await;
        filled.enqueue_many((0..HELD).map(|n| format!("{n:0100}"))).await.unwrap();
        schema.admin.batch_execute(&format!("vacuum analyze {}.job", schema.name)).await.unwrap();
        let mut source = schema.queue_of(&db, "orders").source();
        let ack = source.ack();
        let mut held = Vec::new();
        while held.len() < HELD {
            held.extend(pull(&mut source, HELD - held.len()).await.into_iter().map(|job| job.receipt));
        }
        let looked_at = async || {
            db.batch_execute("select pg_stat_force_next_flush()").await.unwrap();
            let sql = "select idx_tup_read from pg_stat_user_indexes \
                       where schemaname = '{s}' and indexrelname = 'job_in_hand'";
            schema.number(sql).await
        };
        // From the middle, and from both ends, which are of two fetches.
        let (first, second) = (held.split_off(HELD / 2), held);
        let mut parts: Vec<_> = first.chunks(10).take(8).map(<[_]>::to_vec).collect();
        parts.extend((100..108).map(|n| [&second[5 * n..][..5], &first[5 * n..][..5]].concat()));
        let before = looked_at().await;
        for part in &parts {
            let batch: Vec<_> = part.iter().map(|receipt| (*receipt, Settle::Ack)).collect();
            let outcomes = ack.settle(&batch).await.unwrap();
            assert_eq!(outcomes, vec![SettleOutcome::Confirmed; batch.len()]);
        }
        let looked_at = looked_at().await - before;
        let settled = parts.concat().len();
        assert_eq!((settled, schema.jobs().await), (160, (HELD - 160) as i64));
        // Each is found, and may be met once more as it was before.
        assert!(looked_at <= 4 * 160, "{looked_at} entries for {settled} jobs");
    });
}
