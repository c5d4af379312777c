//! The order in which a source finds jobs: transactions that commit late, rows that were locked, tables from another server.

use std::time::Duration;

use evenkeel_pipeline::{Ack as _, Settle, Source as _};
use evenkeel_postgres::{Error, TxOptions};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::harness::{items, none, pull, run, settle, texts};

const SECS: fn(u64) -> Duration = Duration::from_secs;

/// Pulls jobs, which do not have to wait for a poll, of 30 s.
macro_rules! at_once {
    ($source:expr, $most:expr) => {
        texts(&timeout(SECS(20), $source.pull(items($most))).await.expect("jobs come at once").unwrap())
    };
}

#[test]
#[ignore = "real tier"]
fn the_jobs_of_a_transaction_that_commits_late_come_as_soon_as_it_has_and_in_parts() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.poll(SECS(30));
        let (db, writer) = (schema.connect().await, schema.connect().await);
        let late = schema.queue_of(&db, "orders");
        let source = Mutex::new(queue.source());
        none(&mut *source.lock().await).await;
        // Another one is open all the while, and enqueues nothing.
        let other = writer.transaction(TxOptions::new(), async |tx| {
            tx.fetch_scalar::<i64>("select txid_current()", ()).await?;
            let committed = db.transaction(TxOptions::new(), async |tx| {
                late.enqueue_many_in(&tx, ["a", "b", "c"]).await?;
                queue.enqueue_many(["x", "y"]).await?;
                let mut source = source.lock().await;
                assert_eq!(texts(&pull(&mut source, 1).await), ["x"]);
                assert_eq!(texts(&pull(&mut source, 5).await), ["y"]);
                Ok::<_, Error>(())
            });
            committed.await?;
            queue.enqueue("z").await?;
            let mut source = source.lock().await;
            assert_eq!(at_once!(source, 2), ["a", "b"]);
            let rest = [at_once!(source, 1), at_once!(source, 5)].concat();
            assert_eq!(rest, ["c", "z"]);
            Ok::<_, Error>(())
        });
        other.await.unwrap();
        let mut source = source.into_inner();
        queue.enqueue("last").await.unwrap();
        assert_eq!(texts(&pull(&mut source, 5).await), ["last"]);
        none(&mut source).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_queue_that_was_restored_on_another_server_goes_on_with_its_jobs_and_new_ones() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.poll(Duration::from_millis(100));
        queue.enqueue("old").await.unwrap();
        // The numbers of its transactions are far above those of this server.
        let far = schema.number("select txid_current() + 1000000").await;
        for sql in [
            format!("update {}.job set txid = {far}", schema.name),
            format!("insert into {}.progress values ('orders', {far}, 0)", schema.name),
        ] {
            schema.admin.execute(&sql, ()).await.unwrap();
        }
        queue.enqueue("new").await.unwrap();
        let mut source = queue.source();
        assert_eq!(texts(&pull(&mut source, 1).await), ["new"]);
        assert_eq!(texts(&pull(&mut source, 1).await), ["old"]);
        none(&mut source).await;
        queue.enqueue("newer").await.unwrap();
        assert_eq!(texts(&pull(&mut source, 1).await), ["newer"]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_worker_that_fetches_is_alive_without_extensions() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(3));
        let (mut source, watch) = (queue.source(), queue.source().ack());
        queue.enqueue("first").await.unwrap();
        let first = pull(&mut source, 1).await.remove(0);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(4500) {
            // Looks after the workers of the queue.
            assert_eq!(watch.extend(&[]).await.unwrap(), Vec::<usize>::new());
            queue.enqueue("more").await.unwrap();
            for job in pull(&mut source, 10).await {
                settle(&source.ack(), job.receipt, Settle::Ack).await;
            }
        }
        settle(&source.ack(), first.receipt, Settle::Ack).await;
        assert_eq!(schema.jobs().await, 0);
    });
}
