//! Every call of the queue and of the inbox is dropped at each of its awaits: all of it is done, or nothing.

use std::{sync::Arc, time::Duration};

use evenkeel_pipeline::{
    Ack as _, DeadLetter, Message, PgInbox, PgJob, PgQueue, Settle, SettleOutcome::Confirmed, Sink as _,
    SinkError, Source as _, Workload,
};
use evenkeel_postgres::{Database, Tx, TxOptions};

use crate::{
    cut::{at_each_await, polled},
    harness::{TestSchema, items, one, run_here, text, until},
};

/// A database with one connection, so that calls follow each other.
async fn single(schema: &TestSchema) -> Database {
    Database::builder(schema.config.clone()).max(1).connect().await.unwrap()
}

/// Waits for what a call that was dropped may still do at the server.
async fn settled(schema: &TestSchema, db: &Database) {
    db.execute("select 1", ()).await.unwrap();
    until("all sessions are idle", || async {
        let busy = "select count(*) from pg_stat_activity
            where application_name = $1 and state <> 'idle' and pid <> pg_backend_pid()";
        schema.admin.fetch_scalar::<i64>(busy, (&schema.name,)).await.unwrap() == 0
    })
    .await;
}

/// The queue of a schema that is new.
async fn fresh(schema: &TestSchema, db: &Database) -> PgQueue {
    schema.drop_all().await;
    let queue = schema.queue_of(db, "orders").lease(Duration::from_secs(30));
    queue.set_up().await.unwrap();
    queue
}

#[test]
#[ignore = "real tier"]
fn a_set_up_that_is_dropped_leaves_all_tables_or_none() {
    run_here(async |schema| {
        let db = single(schema).await;
        let queue = schema.queue_of(&db, "orders");
        let inbox = PgInbox::new(&db, "payments").schema(&schema.name);
        let tables = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relkind = 'r'";
        let tables = async || schema.admin.fetch_scalar::<i64>(tables, (&schema.name,)).await.unwrap();
        for of_inbox in [false, true] {
            at_each_await(async |times| {
                schema.drop_all().await;
                let call = async { if of_inbox { inbox.set_up().await } else { queue.set_up().await } };
                let done = polled(times, call).await;
                settled(schema, &db).await;
                let made = tables().await;
                assert!(made == 6 || made == 0 && done.is_none(), "{made} tables");
                queue.set_up().await.unwrap();
                assert!(tables().await == 6 && queue.enqueue("a").await.unwrap().is_some());
                done.is_some()
            })
            .await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn an_enqueue_that_is_dropped_stores_all_jobs_or_none() {
    run_here(async |schema| {
        let db = single(schema).await;
        for many in [false, true] {
            at_each_await(async |times| {
                let queue = fresh(schema, &db).await;
                let job = |text: &str| PgJob::new(text).dedup(text);
                let all = if many { vec![job("a"), job("b"), job("c")] } else { vec![job("a")] };
                let call = async {
                    match many {
                        true => queue.enqueue_many(all.clone()).await.unwrap(),
                        false => u64::from(queue.enqueue(all[0].clone()).await.unwrap().is_some()),
                    }
                };
                let done = polled(times, call).await;
                settled(schema, &db).await;
                let (stored, count) = (schema.jobs().await, all.len());
                assert!(stored == count as i64 || stored == 0 && done.is_none(), "{stored} of {count}");
                // By their ids they can be enqueued again.
                queue.enqueue_many(all).await.unwrap();
                assert_eq!(schema.jobs().await, count as i64);
                done.is_some()
            })
            .await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn an_enqueue_that_is_dropped_within_a_transaction_ends_it() {
    run_here(async |schema| {
        let db = single(schema).await;
        for many in [false, true] {
            at_each_await(async |times| {
                let queue = fresh(schema, &db).await;
                let in_tx = async |tx: Tx| {
                    let call = async {
                        match many {
                            true => queue.enqueue_many_in(&tx, ["a", "b"]).await.map(drop),
                            false => queue.enqueue_in(&tx, "a").await.map(drop),
                        }
                    };
                    let done = polled(times, call).await;
                    if done.is_none() && times > 0 {
                        assert!(tx.execute("select 1", ()).await.is_err(), "the transaction goes on");
                    }
                    // It commits what it has, if it can.
                    done.unwrap_or(Ok(()))
                };
                let committed = db.transaction(TxOptions::new(), in_tx).await;
                settled(schema, &db).await;
                let stored = schema.jobs().await;
                assert!(stored == 0 || stored == if many { 2 } else { 1 }, "{stored} jobs");
                assert!(stored == 0 || committed.is_ok(), "{committed:?}");
                stored > 0
            })
            .await;
        }
    });
}

fn letter(id: String) -> Message<DeadLetter<Vec<u8>>> {
    Message { id, attempt: 1, item: DeadLetter::new(b"a".to_vec(), "no".to_owned(), 1) }
}

#[test]
#[ignore = "real tier"]
fn a_job_is_alive_or_dead_whenever_a_call_about_its_letter_is_dropped() {
    run_here(async |schema| {
        let db = single(schema).await;
        let dead = async || schema.number("select count(*) from {s}.dead").await;
        at_each_await(async |times| {
            let queue = fresh(schema, &db).await;
            queue.enqueue("a").await.unwrap();
            let mut source = queue.source();
            let job = one(&mut source).await;
            let letters = queue.dead_letters();
            let done = polled(times, letters.send(vec![letter(job.receipt.to_string())])).await;
            settled(schema, &db).await;
            assert_eq!(schema.jobs().await + dead().await, 1);
            letters.send(vec![letter(job.receipt.to_string())]).await.unwrap();
            assert_eq!((schema.jobs().await, dead().await), (0, 1));
            done.is_some()
        })
        .await;
        at_each_await(async |times| {
            let queue = fresh(schema, &db).await;
            queue.enqueue_many(["a", "b"]).await.unwrap();
            let mut source = queue.source();
            let jobs = [one(&mut source).await, one(&mut source).await];
            let written = jobs.iter().map(|job| letter(job.receipt.to_string())).collect();
            queue.dead_letters().send(written).await.unwrap();
            let ids: Vec<i64> = queue.dead(10).await.unwrap().iter().map(|job| job.id).collect();
            // A look changes nothing.
            polled(times, queue.dead(10)).await;
            settled(schema, &db).await;
            assert_eq!((ids.len(), schema.jobs().await, dead().await), (2, 0, 2));
            let done = polled(times, queue.requeue(&ids)).await;
            settled(schema, &db).await;
            let (alive, dead_jobs) = (schema.jobs().await, dead().await);
            assert!((alive, dead_jobs) == (2, 0) || done.is_none() && (alive, dead_jobs) == (0, 2));
            queue.requeue(&ids).await.unwrap();
            assert_eq!((schema.jobs().await, dead().await), (2, 0));
            done.is_some()
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn dead_jobs_that_are_discarded_by_a_call_that_is_dropped_are_all_there_or_all_gone() {
    run_here(async |schema| {
        let db = single(schema).await;
        let dead = async || schema.number("select count(*) from {s}.dead").await;
        at_each_await(async |times| {
            let queue = fresh(schema, &db).await;
            queue.enqueue_many(["a", "b"]).await.unwrap();
            let mut source = queue.source();
            let jobs = [one(&mut source).await, one(&mut source).await];
            let written = jobs.iter().map(|job| letter(job.receipt.to_string())).collect();
            queue.dead_letters().send(written).await.unwrap();
            let ids: Vec<i64> = queue.dead(10).await.unwrap().iter().map(|job| job.id).collect();
            let done = polled(times, queue.discard(&ids)).await;
            settled(schema, &db).await;
            let left = dead().await;
            assert!(left == 0 || done.is_none() && left == 2, "{left}");
            queue.discard(&ids).await.unwrap();
            assert_eq!((schema.jobs().await, dead().await), (0, 0));
            done.is_some()
        })
        .await;
        at_each_await(async |times| {
            let queue = fresh(schema, &db).await;
            queue.enqueue_many(["a", "b"]).await.unwrap();
            let mut source = queue.source();
            let jobs = [one(&mut source).await, one(&mut source).await];
            let written = jobs.iter().map(|job| letter(job.receipt.to_string())).collect();
            queue.dead_letters().send(written).await.unwrap();
            let ids: Vec<i64> = queue.dead(10).await.unwrap().iter().map(|job| job.id).collect();
            // A look changes nothing.
            polled(times, queue.dead(10)).await;
            settled(schema, &db).await;
            assert_eq!((ids.len(), schema.jobs().await, dead().await), (2, 0, 2));
            let done = polled(times, queue.requeue(&ids)).await;
            settled(schema, &db).await;
            let (alive, dead_jobs) = (schema.jobs().await, dead().await);
            assert!((alive, dead_jobs) == (2, 0) || done.is_none() && (alive, dead_jobs) == (0, 2));
            queue.requeue(&ids).await.unwrap();
            assert_eq!((schema.jobs().await, dead().await), (2, 0));
            done.is_some()
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn an_inbox_that_is_dropped_forgets_all_or_none_and_has_its_effect_once() {
    run_here(async |schema| {
        let db = single(schema).await;
        let entries = async || schema.number("select count(*) from {s}.inbox").await;
        at_each_await(async |times| {
            fresh(schema, &db).await;
            schema.admin.execute(&format!("create table {}.effect (n int)", schema.name), ()).await.unwrap();
            let inbox = PgInbox::new(&db, "payments").schema(&schema.name);
            let sql: Arc<str> = format!("insert into {}.effect values ($1)", schema.name).into();
            let sink = inbox.sink(move |tx: Tx, batch: Vec<Message<i32>>| {
                let sql = Arc::clone(&sql);
                async move {
                    for message in batch {
                        tx.execute(&sql, (message.item,)).await?;
                    }
                    Ok::<_, SinkError>(())
                }
            });
            let message = |n: i32| Message { id: n.to_string(), attempt: 1, item: n };
            let effects = async || schema.number("select count(*) from {s}.effect").await;
            let sent = polled(times, sink.send(vec![message(1), message(2)])).await;
            settled(schema, &db).await;
            let both = (entries().await, effects().await);
            assert!(both == (2, 2) || both == (0, 0) && sent.is_none(), "{both:?}");
            sink.send(vec![message(1), message(2)]).await.unwrap();
            assert_eq!((entries().await, effects().await), (2, 2));
            let pruned = polled(times, inbox.prune(Duration::ZERO)).await;
            settled(schema, &db).await;
            let left = entries().await;
            assert!(left == 0 || left == 2 && pruned.is_none(), "{left} entries");
            sent.is_some() && pruned.is_some()
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_source_whose_calls_are_dropped_loses_no_job_and_counts_no_attempt() {
    run_here(async |schema| {
        let db = Database::builder(schema.config.clone()).max(3).connect().await.unwrap();
        at_each_await(async |times| {
            let queue = fresh(schema, &db).await;
            queue.enqueue("a").await.unwrap();
            let mut source = queue.source();
            let checked = polled(times, source.check(&Workload::new(1))).await;
            let pulled = polled(times, source.pull(items(1))).await;
            let is_done = checked.is_some() && pulled.is_some();
            let job = match pulled {
                Some(jobs) => jobs.unwrap().remove(0),
                None => one(&mut source).await,
            };
            assert_eq!((text(&job), job.attempt), ("a".to_owned(), 1));
            let ack = source.ack();
            let extended = polled(times, ack.extend(&[job.receipt])).await;
            assert!(extended.is_none_or(|lost| lost.unwrap().is_empty()));
            assert_eq!(ack.extend(&[job.receipt]).await.unwrap(), Vec::<usize>::new());
            let back = polled(times, ack.settle(&[(job.receipt, Settle::Release)])).await;
            assert!(back.is_none_or(|outcomes| outcomes.unwrap() == [Confirmed]));
            assert_eq!(ack.settle(&[(job.receipt, Settle::Release)]).await.unwrap(), [Confirmed]);
            let again = one(&mut source).await;
            assert_eq!(again.attempt, 1);
            polled(times, source.pause()).await;
            polled(times, source.stop()).await;
            source.stop().await;
            // It has left: the job is another worker's, without an attempt.
            let mut other = queue.source();
            let last = one(&mut other).await;
            assert_eq!(last.attempt, 1);
            assert_eq!(other.ack().settle(&[(last.receipt, Settle::Ack)]).await.unwrap(), [Confirmed]);
            assert_eq!(schema.jobs().await, 0);
            is_done
        })
        .await;
    });
}
