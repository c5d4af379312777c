//! Workers that end, stand still or lose their connections.

use std::time::Duration;

use evenkeel_pipeline::{
    Ack as _, PgJob, PgQueue, Settle, SettleOutcome::Confirmed, SettleOutcome::Superseded, Source as _,
};
use evenkeel_postgres::{Database, TxOptions};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::harness::{TestSchema, items, none, one, pull, run, settle, text, texts, until};

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
        let queue = schema.queue("orders").await.lease(SECS(3));
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let jobs = pull(&mut source, 10).await;
        let receipts: Vec<_> = jobs.iter().map(|job| job.receipt).collect();
        let ack = source.ack();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(4500) {
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
        for _ in 0..3 {
            let listeners = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'LISTEN%' \
                 and application_name = $1";
            let killed = async || schema.admin.fetch_scalar::<i64>(listeners, (&schema.name,)).await.unwrap();
            until("a listener is killed", async || killed().await > 0).await;
            queue.enqueue("a").await.unwrap();
            assert_eq!(text(&one(&mut source).await), "a");
            none(&mut source).await;
            sleep(Duration::from_millis(100)).await;
            none(&mut source).await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn workers_that_all_live_shorter_than_a_lease_hand_on_the_jobs_of_one_that_is_gone() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(1));
        queue.enqueue("a").await.unwrap();
        let mut gone = queue.source();
        one(&mut gone).await;
        drop(gone);
        let began = Instant::now();
        let delivered = loop {
            let mut source = queue.source();
            if let Ok(pulled) = timeout(Duration::from_millis(700), source.pull(items(1))).await {
                break pulled.unwrap();
            }
            assert!(began.elapsed() < SECS(10), "its lease never ends");
        };
        // A pull that was given up may have taken it.
        assert!(texts(&delivered) == ["a"] && delivered[0].attempt >= 2, "{delivered:?}");
        assert!(began.elapsed() >= SECS(1));
    });
}

#[test]
#[ignore = "real tier"]
fn a_key_whose_next_job_is_locked_waits_alone() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let jobs = [PgJob::new("a").key("k"), PgJob::new("b").key("k"), PgJob::new("c").key("l")];
        queue.enqueue_many(jobs).await.unwrap();
        let mut source = queue.source();
        let jobs = pull(&mut source, 3).await;
        assert_eq!(texts(&jobs), ["a", "c"]);
        let source = Mutex::new(source);
        let batch = [(jobs[0].receipt, Settle::Ack), (jobs[1].receipt, Settle::Ack)];
        let held = schema.admin.transaction(TxOptions::new(), async |tx| {
            // As the fetch of a worker does that stands still.
            tx.execute(&format!("select 1 from {}.job where payload = 'b' for update", schema.name), ())
                .await?;
            let settled = source.lock().await.ack().settle(&batch).await;
            assert_eq!(settled.unwrap(), [Confirmed; 2]);
            queue.enqueue("d").await?;
            assert_eq!(text(&one(&mut *source.lock().await).await), "d");
            Ok::<_, evenkeel_postgres::Error>(())
        });
        timeout(SECS(30), held).await.expect("neither a settlement nor a fetch waits").unwrap();
        // A source looks for such keys when it begins, and each ten seconds.
        let next = pull(&mut queue.source(), 3).await;
        assert_eq!(texts(&next), ["b"]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_worker_that_stands_still_in_the_middle_of_a_statement_stops_no_other_one() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(2));
        queue.enqueue("a").await.unwrap();
        let (mut stalled, other) = (queue.source(), Mutex::new(queue.source()));
        one(&mut stalled).await;
        let held = schema.admin.transaction(TxOptions::new(), async |tx| {
            // As its fetch does whose answer does not go through.
            tx.execute(&format!("select 1 from {}.worker for update", schema.name), ()).await?;
            let began = Instant::now();
            while began.elapsed() < SECS(3) {
                queue.enqueue("b").await?;
                assert_eq!(text(&one(&mut *other.lock().await).await), "b");
                sleep(Duration::from_millis(50)).await;
            }
            Ok::<_, evenkeel_postgres::Error>(())
        });
        timeout(SECS(30), held).await.expect("no fetch waits").unwrap();
        let again = one(&mut *other.lock().await).await;
        assert_eq!((text(&again), again.attempt), ("a".to_owned(), 2));
    });
}

#[test]
#[ignore = "real tier"]
fn jobs_that_come_back_after_their_ack_as_on_a_replica_run_again() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(SECS(1));
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let mut source = queue.source();
        let ack = source.ack();
        let jobs = pull(&mut source, 2).await;
        let name = &schema.name;
        let admin = &schema.admin;
        admin.batch_execute(&format!("create table {name}.copy as select * from {name}.job")).await.unwrap();
        assert_eq!(settle(&ack, jobs[0].receipt, Settle::Ack).await, Confirmed);
        let restore =
            "insert into {s}.job overriding system value select * from {s}.copy where payload = 'a'";
        admin.execute(&restore.replace("{s}", name), ()).await.unwrap();
        // The worker lives, and has the other one in hand.
        let again = one(&mut source).await;
        assert_eq!((text(&again), again.attempt), ("a".to_owned(), 2));
        assert_eq!(ack.extend(&[jobs[1].receipt]).await.unwrap(), Vec::<usize>::new());
        let batch = [(again.receipt, Settle::Ack), (jobs[1].receipt, Settle::Ack)];
        assert_eq!(ack.settle(&batch).await.unwrap(), [Confirmed; 2]);
        assert_eq!(schema.jobs().await, 0);
    });
}

/// A clock of the server that a session can be shown: one that hides the real one.
struct Clock<'a>(&'a TestSchema);

impl Clock<'_> {
    async fn show(schema: &TestSchema) -> (Clock<'_>, PgQueue) {
        let name = &schema.name;
        let clock = format!(
            "create schema {name}; create table {name}.ahead as select interval '0' as by;
             create function {name}.now() returns timestamptz language sql stable
                 as 'select pg_catalog.now() + by from {name}.ahead'"
        );
        schema.admin.batch_execute(&clock).await.unwrap();
        let mut config = schema.config.clone();
        config.options(format!("-c search_path={name},pg_catalog"));
        let db = Database::builder(config).max(6).connect().await.unwrap();
        let queue = schema.queue_of(&db, "orders").lease(SECS(4));
        queue.set_up().await.unwrap();
        (Clock(schema), queue)
    }

    async fn jump(&self, hours: i32) {
        let sql = format!("update {}.ahead set by = by + make_interval(hours => $1)", self.0.name);
        self.0.admin.execute(&sql, (hours,)).await.unwrap();
    }
}

#[test]
#[ignore = "real tier"]
fn e7_jumps_of_the_servers_clock_end_no_lease_and_keep_none() {
    run(|schema| async move {
        let (clock, queue) = Clock::show(&schema).await;
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let jobs = pull(&mut source, 2).await;
        let ack = source.ack();
        for hours in [5, -10, 1] {
            clock.jump(hours).await;
            assert_eq!(ack.extend(&[jobs[0].receipt, jobs[1].receipt]).await.unwrap(), Vec::<usize>::new());
            none(&mut other).await;
        }
        assert_eq!(settle(&ack, jobs[0].receipt, Settle::Ack).await, Confirmed);
        // It is gone now, and the clock goes back.
        clock.jump(-3).await;
        let began = Instant::now();
        let again = one(&mut other).await;
        assert_eq!((text(&again), again.attempt), ("b".to_owned(), 2));
        assert!(began.elapsed() >= Duration::from_millis(500));
    });
}

#[test]
#[ignore = "real tier"]
fn e7_a_clock_that_is_set_back_holds_up_nothing_that_had_been_due() {
    run(|schema| async move {
        let (clock, queue) = Clock::show(&schema).await;
        queue.enqueue_many(["back", "again"]).await.unwrap();
        queue.enqueue(PgJob::new("later").after(SECS(60))).await.unwrap();
        queue.enqueue(PgJob::new("second").key("k")).await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let mut jobs = pull(&mut source, 3).await;
        jobs.sort_by_key(text);
        assert_eq!(texts(&jobs), ["again", "back", "second"]);
        let ack = source.ack();
        settle(&ack, jobs[0].receipt, Settle::Retry { after: Duration::ZERO }).await;
        settle(&ack, jobs[1].receipt, Settle::Release).await;
        ack.extend(&[jobs[2].receipt]).await.unwrap();
        clock.jump(-2).await;
        let mut again = Vec::new();
        while again.len() < 2 {
            again.append(&mut pull(&mut other, 3).await);
        }
        again.sort_by_key(text);
        assert_eq!(texts(&again), ["again", "back"]);
        none(&mut other).await;
    });
}
