//! Workers that end, stand still or lose their connections.

use std::time::Duration;

use evenkeel_pipeline::{Ack as _, Settle, SettleOutcome::Confirmed, SettleOutcome::Superseded, Source as _};
use evenkeel_postgres::TxOptions;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::harness::{items, none, one, pull, run, settle, text, texts};

const SECS: fn(u64) -> Duration = Duration::from_secs;

#[test]
#[ignore = "real tier"]
fn the_jobs_of_a_worker_that_stands_still_go_on_with_one_more_attempt_and_its_late_words_are_refused() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(1));
        queue.enqueue_many(["a", "b", "c"]).await.unwrap();
        let (mut gone, mut other) = (queue.source(), queue.source());
        let jobs = pull(&mut gone, 10).await;
        let ack = gone.ack();
        settle(&ack, jobs[2].receipt, Settle::Ack).await;
        let began = Instant::now();
        let again = pull(&mut other, 10).await;
        assert!(began.elapsed() >= SECS(1));
        assert_eq!(texts(&again), ["a", "b"]);
        assert!(again.iter().all(|job| job.attempt == 2));
        let receipts: Vec<_> = jobs.iter().map(|job| job.receipt).collect();
        let how = [Settle::Ack, Settle::Retry { after: SECS(0) }, Settle::Ack];
        let late: Vec<_> = receipts.iter().copied().zip(how).collect();
        // Nobody knows any more that the last one was settled in time.
        assert_eq!(ack.settle(&late).await.unwrap(), [Superseded; 3]);
        assert_eq!(ack.extend(&receipts).await.unwrap(), [0, 1, 2]);
        for job in again {
            assert_eq!(settle(&other.ack(), job.receipt, Settle::Ack).await, Confirmed);
        }
        assert_eq!(schema.jobs().await, 0);
        // It goes on as a new worker.
        queue.enqueue("d").await.unwrap();
        assert_eq!(text(&one(&mut gone).await), "d");
    });
}

#[test]
#[ignore = "real tier"]
fn a_worker_that_extends_keeps_its_jobs_however_long_they_take() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(1));
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let jobs = pull(&mut source, 10).await;
        let receipts: Vec<_> = jobs.iter().map(|job| job.receipt).collect();
        let ack = source.ack();
        let began = Instant::now();
        while began.elapsed() < SECS(4) {
            assert_eq!(ack.extend(&receipts).await.unwrap(), Vec::<usize>::new());
            none(&mut other).await;
        }
        assert_eq!(settle(&ack, receipts[0], Settle::Ack).await, Confirmed);
        assert_eq!(settle(&ack, receipts[1], Settle::Ack).await, Confirmed);
    });
}

#[test]
#[ignore = "real tier"]
fn a_fetch_whose_answer_was_lost_is_handed_back() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let db = schema.connect().await;
        let mut source = schema.queue_of(&db, "orders").source();
        none(&mut source).await;
        let source = Mutex::new(source);
        // The connections of the source are cut while its fetch waits for the row of its worker.
        let cut = schema
            .admin
            .transaction(TxOptions::new(), async |tx| {
                tx.execute(&format!("select 1 from {}.worker for update", schema.name), ()).await?;
                queue.enqueue_many(["a", "b"]).await?;
                let pulled = timeout(Duration::from_millis(500), source.lock().await.pull(items(10))).await;
                assert!(pulled.is_err(), "{pulled:?}");
                tx.fetch_scalar::<i64>(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                     where application_name = $1 and wait_event_type = 'Lock'",
                    (&schema.name,),
                )
                .await
            })
            .await;
        assert_eq!(cut.unwrap(), 1);
        let mut source = source.into_inner();
        let error = source.pull(items(10)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        let jobs = pull(&mut source, 10).await;
        assert_eq!((texts(&jobs), jobs[0].attempt), (vec!["a".to_owned(), "b".to_owned()], 1));
    });
}

#[test]
#[ignore = "real tier"]
fn a_lost_listener_costs_no_job() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let mut source = queue.source();
        none(&mut source).await;
        for round in 0..3 {
            let listeners = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'LISTEN%' \
                 and application_name = $1";
            let killed: i64 = schema.admin.fetch_scalar(listeners, (&schema.name,)).await.unwrap();
            assert!(killed >= 1, "round {round}");
            queue.enqueue("a").await.unwrap();
            assert_eq!(text(&one(&mut source).await), "a");
            none(&mut source).await;
            sleep(Duration::from_millis(100)).await;
            none(&mut source).await;
        }
    });
}
