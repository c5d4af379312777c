//! The queue in PostgreSQL under hostile names, times, settings of roles, and locks of others.

use std::{
    io,
    time::{Duration, SystemTime},
};

use evenkeel_pipeline::{
    Ack as _, DeadLetter, Message, PgInbox, PgJob, PgQueue, Pipeline, Settle, SettleOutcome::Confirmed,
    Sink as _, SinkError, Source as _, Workload,
};
use evenkeel_postgres::{Database, Error, PoolMode, Tx, TxOptions};
use tokio::time::{sleep, timeout};

use crate::harness::{TestSchema, items, none, one, pull, run, settle, text, texts, until};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// Connects as the user of the test with settings of its own.
async fn with_options(schema: &TestSchema, options: &str) -> Database {
    let mut config = schema.config.clone();
    config.options(options);
    Database::builder(config).max(8).connect().await.unwrap()
}

#[test]
#[ignore = "real tier"]
fn jobs_of_a_key_that_become_due_together_come_one_after_the_other() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let at = |n: u64| PgJob::new(n.to_string()).key("a").after(MILLIS(n));
        queue.enqueue_many([at(3), at(2), at(1)]).await.unwrap();
        queue.enqueue_many(["4", "5"].map(|n| PgJob::new(n).key("a"))).await.unwrap();
        sleep(MILLIS(50)).await;
        let mut source = queue.source();
        let mut came = Vec::new();
        for _ in 0..5 {
            let jobs = pull(&mut source, 10).await;
            came.extend(texts(&jobs));
            assert_eq!(settle(&source.ack(), jobs[0].receipt, Settle::Ack).await, Confirmed);
        }
        assert_eq!(came, ["3", "2", "1", "4", "5"]);
    });
}

#[test]
#[ignore = "real tier"]
fn names_may_have_any_characters() {
    run(|schema| async move {
        let plain = schema.connect().await;
        let lax = with_options(&schema, "-c standard_conforming_strings=off").await;
        for (db, odd) in [(&plain, "it's \"q\"."), (&lax, "a\\' b\\"), (&plain, "$1;--%é漢")] {
            let name = format!("{}{odd}", schema.name);
            let queue = PgQueue::new(db, odd).schema(&name);
            queue.set_up().await.unwrap();
            queue.set_up().await.unwrap();
            let job = |text: &str| PgJob::new(text).key(odd).dedup(format!("{odd}{text}"));
            queue.enqueue_many([job("a"), job("b")]).await.unwrap();
            let mut source = queue.source();
            for text in ["a", "b"] {
                let jobs = pull(&mut source, 10).await;
                assert_eq!(texts(&jobs), [text]);
                settle(&source.ack(), jobs[0].receipt, Settle::Ack).await;
            }
            source.stop().await;
            let drop = format!("drop schema \"{}\" cascade", name.replace('"', "\"\""));
            schema.admin.batch_execute(&drop).await.unwrap();
        }
    });
}

#[test]
#[ignore = "real tier"]
fn times_may_be_as_far_away_as_a_clock_can_tell() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let epoch = SystemTime::UNIX_EPOCH;
        let far = |seconds: u64| epoch + Duration::from_secs(seconds);
        let jobs = [
            PgJob::new("year 9999").at(far(253_370_764_800)),
            PgJob::new("year 300000").at(far(9_400_000_000_000)),
            PgJob::new("last").at(far(i64::MAX as u64)),
            PgJob::new("wraps to the present").at(far(u64::MAX / 1_000_000 + 1)),
            PgJob::new("wraps to infinity").at(epoch + Duration::from_micros(i64::MAX as u64)),
        ];
        queue.enqueue_many(jobs).await.unwrap();
        queue.enqueue(PgJob::new("first").at(epoch - Duration::from_secs(i64::MAX as u64))).await.unwrap();
        let mut source = queue.source();
        assert_eq!(texts(&pull(&mut source, 10).await), ["first"]);
        none(&mut source).await;
        // By hand.
        for infinity in ["infinity", "294276-12-31"] {
            let set = format!("update {}.job set ready_at = '{infinity}' where state = 's'", schema.name);
            schema.admin.batch_execute(&set).await.unwrap();
            queue.enqueue("now").await.unwrap();
            assert_eq!(texts(&pull(&mut source, 10).await), ["now"]);
            none(&mut source).await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_lock_on_the_jobs_does_not_end_leases() {
    run(|schema| async move {
        let queue = schema.queue("orders").await.lease(Duration::from_secs(1));
        queue.enqueue("a").await.unwrap();
        let mut source = queue.source();
        let (job, ack) = (one(&mut source).await, source.ack());
        let lock = schema.admin.transaction(TxOptions::new(), async |tx| {
            tx.batch_execute(&format!("lock table {}.job", schema.name)).await?;
            for _ in 0..5 {
                sleep(MILLIS(300)).await;
                let extended = timeout(MILLIS(900), ack.extend(&[job.receipt])).await;
                assert_eq!(extended.expect("it is answered").unwrap(), Vec::<usize>::new());
            }
            Ok::<_, Error>(())
        });
        lock.await.unwrap();
        assert_eq!(settle(&ack, job.receipt, Settle::Ack).await, Confirmed);
    });
}

/// Settings that a role or a database may have.
const DEFAULTS: &str = "-c search_path=nowhere -c TimeZone=Asia/Kathmandu -c standard_conforming_strings=off -c DateStyle=SQL,DMY \
                        -c extra_float_digits=-15 -c bytea_output=escape -c plan_cache_mode=force_generic_plan \
                        -c idle_in_transaction_session_timeout=1s -c default_transaction_isolation=";

#[test]
#[ignore = "real tier"]
fn the_defaults_of_a_role_do_not_matter_or_are_refused_by_name() {
    run(|schema| async move {
        let db = with_options(&schema, &format!("{DEFAULTS}serializable")).await;
        let queue = schema.queue_of(&db, "orders");
        let set_ups = [(); 8].map(|()| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.set_up().await })
        });
        for set_up in set_ups {
            set_up.await.unwrap().unwrap();
        }
        let job = |n: i32| PgJob::new(n.to_string()).dedup(n.to_string()).key(["a", "b"][n as usize % 2]);
        assert_eq!(queue.enqueue_many((0..20).map(job)).await.unwrap(), 20);
        let refused = queue.source().pull(items(1)).await.unwrap_err();
        assert!(!refused.is_transient() && refused.to_string().contains("isolation"), "{refused}");
        assert_eq!(schema.number("select count(*) from {s}.worker").await, 0);

        let db = with_options(&schema, &format!("{DEFAULTS}read\\ committed")).await;
        let queue = schema.queue_of(&db, "orders");
        queue.set_up().await.unwrap();
        let mut source = queue.source();
        for n in 0..10 {
            let jobs = pull(&mut source, 20).await;
            assert_eq!(texts(&jobs), [2 * n, 2 * n + 1].map(|n| n.to_string()));
            let batch: Vec<_> = jobs.iter().map(|job| (job.receipt, Settle::Ack)).collect();
            assert_eq!(source.ack().settle(&batch).await.unwrap(), [Confirmed, Confirmed]);
        }
        assert_eq!(schema.jobs().await, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_user_that_may_only_read_and_write_works_off_a_queue() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let role = format!("r_{}", schema.name);
        let grant = format!(
            "create role {role} login; grant usage on schema {s} to {role}; \
             grant select, insert, update, delete on all tables in schema {s} to {role}",
            s = schema.name
        );
        schema.admin.batch_execute(&grant).await.unwrap();
        let mut config = schema.config.clone();
        config.user(&role);
        let db = Database::builder(config).max(4).connect().await.unwrap();
        let limited = schema.queue_of(&db, "orders");
        limited.set_up().await.unwrap();
        limited.enqueue(PgJob::new("a").key("k")).await.unwrap();
        let mut source = limited.source();
        assert!(source.check(&Workload::new(64)).await.is_ok());
        let job = one(&mut source).await;
        settle(&source.ack(), job.receipt, Settle::Ack).await;
        source.stop().await;
        let refused = limited.clone().schema(&format!("{}_2", schema.name)).set_up().await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{refused}");
        assert_eq!(queue.dead(1).await.unwrap().len(), 0);
        assert!(db.close(Duration::from_secs(5)).await.stragglers.is_empty());
        schema.admin.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
    });
}

#[test]
#[ignore = "real tier"]
fn a_dead_letter_is_written_in_any_encoding_of_the_database() {
    run(|schema| async move {
        let create = format!("create database {} encoding latin1 locale 'C' template template0", schema.name);
        schema.admin.execute(&create, ()).await.unwrap();
        let mut config = schema.config.clone();
        config.dbname(&schema.name);
        let db = Database::builder(config).max(4).connect().await.unwrap();
        let queue = PgQueue::new(&db, "orders");
        queue.set_up().await.unwrap();
        queue.enqueue("a").await.unwrap();
        let mut source = queue.source();
        let job = one(&mut source).await;
        let letter = DeadLetter::new(job.item.clone(), "Größe: 漢\0字".to_owned(), 1);
        let message = Message { id: job.receipt.to_string(), attempt: 1, item: letter };
        queue.dead_letters().send(vec![message]).await.unwrap();
        let dead = queue.dead(10).await.unwrap();
        assert_eq!(dead[0].reason, "Gr??e: ???");
        source.stop().await;
        schema.drop_own(db).await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_dead_job_that_is_requeued_by_many_is_there_once_and_a_discarded_one_is_gone() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        let ids: Vec<i64> = {
            let mut source = queue.source();
            queue
                .enqueue_many((0..50).map(|n| PgJob::new(n.to_string()).key("k").dedup(n.to_string())))
                .await
                .unwrap();
            let mut ids = Vec::new();
            for _ in 0..50 {
                let job = one(&mut source).await;
                let letter = DeadLetter::new(job.item.clone(), "bad".to_owned(), 1);
                let message = Message { id: job.receipt.to_string(), attempt: 1, item: letter };
                queue.dead_letters().send(vec![message]).await.unwrap();
                settle(&source.ack(), job.receipt, Settle::Term).await;
                ids.push(job.receipt.to_string().rsplit('/').next().unwrap().parse().unwrap());
            }
            source.stop().await;
            ids
        };
        let requeues = [(); 4].map(|()| {
            let (queue, ids) = (queue.clone(), ids.clone());
            tokio::spawn(async move { queue.requeue(&ids).await.unwrap() })
        });
        let mut sum = 0;
        for requeue in requeues {
            sum += requeue.await.unwrap();
        }
        assert_eq!((sum, schema.jobs().await, queue.dead(100).await.unwrap().len()), (50, 50, 0));
        let mut source = queue.source();
        let first = one(&mut source).await;
        assert_eq!(text(&first), "0");
        let letter = DeadLetter::new(first.item.clone(), "bad".to_owned(), 1);
        let message = Message { id: first.receipt.to_string(), attempt: 1, item: letter };
        queue.dead_letters().send(vec![message]).await.unwrap();
        // Neither jobs that live, nor the dead ones of other queues.
        assert_eq!(schema.queue("others").await.discard(&ids).await.unwrap(), 0);
        assert_eq!((queue.discard(&ids).await.unwrap(), queue.discard(&ids).await.unwrap()), (1, 0));
        assert_eq!((schema.jobs().await, queue.requeue(&ids).await.unwrap()), (49, 0));
    });
}

#[test]
#[ignore = "real tier"]
fn an_idle_queue_is_not_looked_at_without_a_pause() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        for (lease, poll) in
            [(Duration::from_secs(10), Duration::ZERO), (Duration::from_nanos(1), Duration::MAX)]
        {
            let mut source = queue.clone().lease(lease).poll(poll).source();
            none(&mut source).await;
            queue.enqueue("a").await.unwrap();
            let job = one(&mut source).await;
            // The number of the fetch.
            let fetches = schema.number("select claim from {s}.job").await;
            assert!(fetches < 50, "{fetches} fetches in 0.3 s with {lease:?}, {poll:?}");
            settle(&source.ack(), job.receipt, Settle::Ack).await;
            source.stop().await;
        }
    });
}

#[test]
#[ignore = "real tier"]
fn without_notifications_a_source_does_not_wait_for_its_poll_after_its_own_settlements() {
    run(|schema| async move {
        // As behind a pooler.
        let db = Database::builder(schema.config.clone())
            .max(4)
            .pool_mode(PoolMode::Transaction)
            .connect()
            .await
            .unwrap();
        let queue =
            schema.queue_of(&db, "orders").lease(Duration::from_secs(600)).poll(Duration::from_secs(120));
        queue.set_up().await.unwrap();
        let running = Pipeline::from(queue.source())
            .messages()
            .stage("work", async |job: Message<Vec<u8>>| match (&*job.item, job.attempt) {
                (b"3", 1) | (b"5", _) => Err(io::Error::other("no")),
                _ => Ok(()),
            })
            .max_attempts(2)
            .backoff(|_| MILLIS(10))
            .dead_letter(queue.dead_letters())
            .start()
            .unwrap();
        sleep(MILLIS(100)).await;
        queue.enqueue_many((0..8).map(|n: u32| PgJob::new(n.to_string()).key("k"))).await.unwrap();
        until("all are done", async || schema.jobs().await == 0).await;
        let report = running.drain(Duration::from_secs(10)).await.unwrap();
        assert_eq!((report.acked, report.nacked, report.dead), (7, 2, 1), "{report}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_batch_of_an_inbox_waits_for_a_connection_once() {
    run(|schema| async move {
        let db = Database::builder(schema.config.clone())
            .max(1)
            .acquire_timeout(Duration::from_secs(2))
            .connect()
            .await
            .unwrap();
        let inbox = PgInbox::new(&db, "s").schema(&schema.name);
        schema.queue("any").await;
        let sink = inbox.sink(async |_: Tx, _: Vec<Message<u32>>| Ok::<_, SinkError>(()));
        let batch: Vec<_> = (0..20).map(|n| Message { id: n.to_string(), attempt: 1, item: n }).collect();
        let held = db.transaction(TxOptions::new(), async |_tx| {
            let error = sink.send(batch.clone()).await.unwrap_err();
            assert!((0..20).all(|index| error.has_failed(index)), "{error}");
            Ok::<_, Error>(())
        });
        held.await.unwrap();
        assert_eq!(db.snapshot().timeouts, 1);
        sink.send(batch.clone()).await.unwrap();
    });
}

#[test]
#[ignore = "real tier"]
fn jobs_of_more_bytes_than_the_server_can_send_come_in_parts() {
    run(|schema| async move {
        let queue = schema.queue("orders").await;
        // A job of 64 MiB that is stored in a few bytes, and copies of it.
        let fill = "insert into {s}.job (queue, state, payload) \
                    values ('orders', 'f', decode(repeat('00', 67108864), 'hex')); \
                    insert into {s}.job (queue, state, payload) \
                    select queue, state, payload from {s}.job cross join generate_series(1, 16)";
        schema.admin.batch_execute(&fill.replace("{s}", &schema.name)).await.unwrap();
        let mut source = queue.source();
        for _ in 0..2 {
            // The server reads a gigabyte.
            let job = timeout(Duration::from_secs(60), source.pull(items(100))).await.unwrap().unwrap();
            assert_eq!((job.len(), job[0].size, job[0].attempt), (1, 67_108_864, 1));
            settle(&source.ack(), job[0].receipt, Settle::Ack).await;
        }
        assert_eq!(schema.jobs().await, 15);
    });
}
