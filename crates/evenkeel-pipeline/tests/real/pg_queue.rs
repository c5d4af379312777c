//! The queue in PostgreSQL: jobs are enqueued, fetched, settled; order by key, schedules, dedup.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use evenkeel_pipeline::{
    Ack as _, Demand, MAX_SETTLED, PgJob, Settle, SettleOutcome::Confirmed, SettleOutcome::Superseded,
    Source as _,
};
use evenkeel_postgres::{Error, TxOptions};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::harness::{items, none, one, pull, run, settle, text, texts};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

#[test]
#[ignore = "real tier"]
fn a_job_is_delivered_and_gone_after_its_ack() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let id = queue.enqueue("17").await.unwrap().unwrap();
        let mut source = queue.source();
        let job = one(&mut source).await;
        assert_eq!((text(&job), job.attempt, job.size), ("17".into(), 1, 2));
        assert!(job.receipt.to_string().ends_with(&format!("/{id}")), "{}", job.receipt);
        none(&mut source).await;
        assert_eq!(settle(&source.ack(), job.receipt, Settle::Ack).await, Confirmed);
        assert_eq!(schema.jobs().await, 0);
        // The answer may have been lost: the second time is as the first.
        assert_eq!(settle(&source.ack(), job.receipt, Settle::Ack).await, Confirmed);
        source.stop().await;
        assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn processes_set_up_at_once_and_again() {
    run(|schema| async move {
        let queue = schema.queue_of(&schema.admin, "orders");
        let set_up = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.set_up().await })
        };
        for task in [set_up(), set_up(), set_up(), set_up()] {
            task.await.unwrap().unwrap();
        }
        queue.enqueue("a").await.unwrap();
        queue.set_up().await.unwrap();
        assert_eq!(schema.jobs().await, 1);
        assert_eq!(schema.number("select count(*) from {s}.version").await, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn without_its_tables_a_source_ends_with_an_error() {
    run(|schema| async move {
        let mut source = schema.queue_of(&schema.admin, "orders").source();
        let error = source.pull(items(1)).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_pull_takes_what_it_asks_for_in_items_and_bytes() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let jobs = (0..10).map(|n| vec![n; 100]);
        assert_eq!(queue.enqueue_many(jobs).await.unwrap(), 10);
        let mut source = queue.source();
        let first =
            |jobs: &[crate::harness::PgDelivery]| jobs.iter().map(|job| job.item[0]).collect::<Vec<_>>();
        assert_eq!(first(&pull(&mut source, 3).await), [0, 1, 2]);
        let bytes = |bytes| Demand { items: 100, bytes };
        assert_eq!(first(&source.pull(bytes(250)).await.unwrap()), [3, 4]);
        // One job above every budget passes alone.
        assert_eq!(first(&source.pull(bytes(1)).await.unwrap()), [5]);
        assert_eq!(first(&pull(&mut source, 100).await), [6, 7, 8, 9]);
        none(&mut source).await;
    });
}

#[test]
#[ignore = "real tier"]
fn queues_and_workers_do_not_share_a_job() {
    run(|schema| async move {
        let (orders, mails) = (schema.queue("orders").await, schema.queue("mails").await);
        orders.enqueue_many((0..100).map(|n| n.to_string())).await.unwrap();
        mails.enqueue("mail").await.unwrap();
        let mut sources = [orders.source(), orders.source(), orders.source()];
        let mut seen = HashSet::new();
        while seen.len() < 100 {
            for source in &mut sources {
                if seen.len() < 100 {
                    for job in pull(source, 7).await {
                        assert!(seen.insert(text(&job)), "{} comes twice", text(&job));
                    }
                }
            }
        }
        assert!(!seen.contains("mail"));
        assert_eq!(text(&one(&mut mails.source()).await), "mail");
    });
}

#[test]
#[ignore = "real tier"]
fn a_failure_counts_and_waits_and_a_release_does_neither() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue("a").await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let ack = source.ack();
        let job = one(&mut source).await;
        assert_eq!(settle(&ack, job.receipt, Settle::Release).await, Confirmed);
        let job = one(&mut other).await;
        assert_eq!(job.attempt, 1);
        let began = Instant::now();
        assert_eq!(settle(&other.ack(), job.receipt, Settle::Retry { after: MILLIS(700) }).await, Confirmed);
        // Repeated, it neither counts nor waits again.
        assert_eq!(settle(&other.ack(), job.receipt, Settle::Retry { after: MILLIS(9000) }).await, Confirmed);
        let again = one(&mut source).await;
        assert!(began.elapsed() >= MILLIS(700));
        assert_eq!(again.attempt, 2);
        assert_eq!(settle(&ack, again.receipt, Settle::Term).await, Confirmed);
        assert_eq!(schema.jobs().await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_settlement_of_an_earlier_fetch_does_nothing() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue("a").await.unwrap();
        let mut source = queue.source();
        let ack = source.ack();
        let first = one(&mut source).await;
        settle(&ack, first.receipt, Settle::Release).await;
        let second = one(&mut source).await;
        assert_ne!(first.receipt, second.receipt);
        // Its answer was lost, so the first settlement is sent again: it must not end the second delivery.
        for late in [Settle::Release, Settle::Ack, Settle::Retry { after: Duration::ZERO }] {
            assert_eq!(settle(&ack, first.receipt, late).await, Confirmed);
        }
        none(&mut source).await;
        assert_eq!(settle(&ack, second.receipt, Settle::Ack).await, Confirmed);
        assert_eq!(schema.jobs().await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_of_decisions_is_settled_each_as_it_says() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue_many((0..MAX_SETTLED).map(|n| n.to_string())).await.unwrap();
        let mut source = queue.source();
        let jobs = pull(&mut source, MAX_SETTLED).await;
        assert_eq!(jobs.len(), MAX_SETTLED);
        let how = |index: usize| match index % 4 {
            0 => Settle::Ack,
            1 => Settle::Release,
            2 => Settle::Retry { after: Duration::ZERO },
            _ => Settle::Term,
        };
        let batch: Vec<_> = jobs.iter().enumerate().map(|(n, job)| (job.receipt, how(n))).collect();
        assert_eq!(source.ack().settle(&batch).await.unwrap(), vec![Confirmed; MAX_SETTLED]);
        let rest = pull(&mut source, MAX_SETTLED).await;
        assert_eq!(rest.len(), MAX_SETTLED / 2);
        for job in rest {
            let n: usize = text(&job).parse::<usize>().unwrap();
            assert_eq!((n % 4, job.attempt), if n % 4 == 1 { (1, 1) } else { (2, 2) });
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_job_is_stored_with_the_transaction_of_its_caller() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let in_tx = async |payload: &'static str, fails: bool| {
            schema
                .admin
                .transaction(TxOptions::new(), async |tx| {
                    queue.enqueue_in(&tx, payload).await?;
                    queue.enqueue_many_in(&tx, [PgJob::new(payload).key("k"), PgJob::new(payload)]).await?;
                    if fails { Err(Error::RowCount(0)) } else { Ok(()) }
                })
                .await
        };
        in_tx("lost", true).await.unwrap_err();
        assert_eq!(schema.jobs().await, 0);
        in_tx("kept", false).await.unwrap();
        assert_eq!(texts(&pull(&mut queue.source(), 10).await), ["kept"; 3]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_waiting_pull_learns_of_jobs_by_their_notification_and_of_late_commits() {
    run(|schema| async move {
        let queue =
            schema.queue("orders").await.lease(Duration::from_secs(300)).poll(Duration::from_secs(60));
        let mut source = queue.source();
        none(&mut source).await;
        let began = Instant::now();
        let later = tokio::spawn({
            let queue = queue.clone();
            async move {
                tokio::time::sleep(MILLIS(100)).await;
                queue.enqueue("a").await.unwrap();
            }
        });
        assert_eq!(text(&one(&mut source).await), "a");
        later.await.unwrap();
        // A transaction that enqueued before others, and commits after them.
        let (other, pulled) = (queue.clone(), Mutex::new(source));
        schema
            .admin
            .transaction(TxOptions::new(), async |tx| {
                other.enqueue_in(&tx, "early").await?;
                other.enqueue("late").await?;
                assert_eq!(text(&one(&mut *pulled.lock().await).await), "late");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert_eq!(text(&one(&mut pulled.into_inner()).await), "early");
        assert!(began.elapsed() < Duration::from_secs(30), "without a look behind the poll");
    });
}

#[test]
#[ignore = "real tier"]
fn jobs_of_a_key_come_one_after_the_other_in_their_order() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let job = |n: u32| PgJob::new(n.to_string()).key(["a", "b"][n as usize % 2]);
        queue.enqueue_many((0..6).map(job)).await.unwrap();
        queue.enqueue("free").await.unwrap();
        let (mut source, mut other) = (queue.source(), queue.source());
        let first = pull(&mut source, 10).await;
        assert_eq!(texts(&first), ["0", "1", "free"]);
        none(&mut other).await;
        // A retry keeps the place of its key; the other key goes on.
        let ack = source.ack();
        settle(&ack, first[0].receipt, Settle::Retry { after: MILLIS(400) }).await;
        settle(&ack, first[1].receipt, Settle::Ack).await;
        let next = pull(&mut other, 10).await;
        assert_eq!(texts(&next), ["3"]);
        let again = pull(&mut source, 10).await;
        assert_eq!((texts(&again), again[0].attempt), (vec!["0".to_owned()], 2));
        settle(&other.ack(), next[0].receipt, Settle::Term).await;
        assert_eq!(texts(&pull(&mut source, 10).await), ["5"]);
        settle(&ack, again[0].receipt, Settle::Ack).await;
        for n in ["2", "4"] {
            let job = one(&mut other).await;
            assert_eq!(text(&job), n);
            settle(&other.ack(), job.receipt, Settle::Ack).await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_scheduled_job_comes_at_its_time() {
    run(|schema| async move {
        let queue =
            schema.queue("orders").await.lease(Duration::from_secs(300)).poll(Duration::from_secs(60));
        let mut source = queue.source();
        let began = Instant::now();
        let in_700 = SystemTime::UNIX_EPOCH
            + Duration::from_secs_f64(
                schema
                    .admin
                    .fetch_scalar::<f64>("select extract(epoch from now())::float8 + 0.7", ())
                    .await
                    .unwrap(),
            );
        let jobs = [
            PgJob::new("at").at(in_700),
            PgJob::new("after").after(MILLIS(1200)),
            PgJob::new("past").at(SystemTime::UNIX_EPOCH),
            PgJob::new("never").after(Duration::MAX),
            PgJob::new("now"),
        ];
        queue.enqueue_many(jobs).await.unwrap();
        assert_eq!(texts(&pull(&mut source, 10).await), ["past", "now"]);
        assert_eq!(text(&one(&mut source).await), "at");
        assert!(began.elapsed() >= MILLIS(650));
        assert_eq!(text(&one(&mut source).await), "after");
        assert!(began.elapsed() >= MILLIS(1150) && began.elapsed() < Duration::from_secs(30));
        none(&mut source).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_dedup_id_is_stored_once_until_its_job_is_done() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let job = || PgJob::new("a").dedup("17");
        assert!(queue.enqueue(job()).await.unwrap().is_some());
        assert_eq!(queue.enqueue(job()).await.unwrap(), None);
        assert_eq!(queue.enqueue_many([job(), job().dedup("18"), PgJob::new("b")]).await.unwrap(), 2);
        assert!(schema.queue("mails").await.enqueue(job()).await.unwrap().is_some());
        let mut source = queue.source();
        let jobs = pull(&mut source, 10).await;
        assert_eq!(jobs.len(), 3);
        assert_eq!(queue.enqueue(job()).await.unwrap(), None, "it is in hand");
        settle(&source.ack(), jobs[0].receipt, Settle::Ack).await;
        assert!(queue.enqueue(job()).await.unwrap().is_some());
    });
}

#[test]
#[ignore = "real tier"]
fn a_receipt_of_a_worker_that_has_left_is_superseded() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue_many(["a", "b"]).await.unwrap();
        let mut source = queue.source();
        let jobs = pull(&mut source, 10).await;
        source.stop().await;
        assert_eq!(settle(&source.ack(), jobs[0].receipt, Settle::Ack).await, Superseded);
        assert_eq!(source.ack().extend(&[jobs[0].receipt, jobs[1].receipt]).await.unwrap(), [0, 1]);
        let again = pull(&mut queue.source(), 10).await;
        assert_eq!((texts(&again), again[0].attempt), (texts(&jobs), 1));
    });
}

#[test]
#[ignore = "real tier"]
fn a_pull_that_is_dropped_at_any_time_loses_nothing() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        queue.enqueue_many((0..200).map(|n| n.to_string())).await.unwrap();
        let mut source = queue.source();
        let mut seen = HashSet::new();
        for round in 0_u32.. {
            // From a single poll to several round trips.
            let time = Duration::from_micros(u64::from(round % 40) * 100);
            if let Ok(jobs) = timeout(time, source.pull(items(3))).await {
                for job in jobs.unwrap() {
                    assert!(seen.insert(text(&job)), "{} comes twice", text(&job));
                }
            }
            if seen.len() == 200 {
                break;
            }
            assert!(round < 20_000, "{} of 200 have come", seen.len());
        }
    });
}
