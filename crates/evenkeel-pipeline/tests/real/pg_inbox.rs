//! Effects of foreign messages happen once; the check of the server.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_pipeline::{
    Batch, MemoryBroker, Message, PgInbox, Pipeline, Sink as _, SinkError, Source as _, Workload,
};
use evenkeel_postgres::Tx;
use tokio::time::sleep;

use crate::harness::{TestSchema, run};

const SECS: fn(u64) -> Duration = Duration::from_secs;

async fn inbox(schema: &TestSchema) -> PgInbox {
    let inbox = PgInbox::new(&schema.admin, "payments").schema(&schema.name);
    inbox.set_up().await.unwrap();
    let name = &schema.name;
    schema
        .admin
        .batch_execute(&format!("create table {name}.booked (message text, attempt int)"))
        .await
        .unwrap();
    inbox
}

type Booking = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;

/// Returns the effect that books a message, and refuses a negative item.
fn book(name: &str) -> impl Fn(Tx, Vec<Message<i64>>) -> Booking + Send + Sync + 'static {
    let sql: Arc<str> = format!("insert into {name}.booked values ($1, $2)").into();
    move |tx, batch| {
        let sql = Arc::clone(&sql);
        Box::pin(async move {
            for message in &batch {
                if message.item < 0 {
                    return Err(SinkError::all("below zero"));
                }
                tx.execute(&sql, (&message.id, message.attempt as i32)).await?;
            }
            Ok(())
        })
    }
}

fn message(id: &str, attempt: u32, item: i64) -> Message<i64> {
    Message { id: id.into(), attempt, item }
}

#[test]
#[ignore = "real tier"]
fn a_message_has_its_effect_once_however_often_it_comes() {
    run(|schema| async move {
        let inbox = inbox(&schema).await;
        let sink = inbox.sink(book(&schema.name));
        sink.send(vec![message("a", 1, 1), message("b", 1, 1), message("a", 2, 1)]).await.unwrap();
        sink.send(vec![message("a", 2, 1), message("c", 1, 1)]).await.unwrap();
        sink.send(vec![message("a", 3, 1)]).await.unwrap();
        assert_eq!(schema.number("select count(*) from {s}.booked").await, 3);
        // Another source has messages of its own.
        let other = PgInbox::new(&schema.admin, "refunds").schema(&schema.name).sink(book(&schema.name));
        other.send(vec![message("a", 1, 1)]).await.unwrap();
        assert_eq!(schema.number("select count(*) from {s}.booked").await, 4);
        assert_eq!(inbox.prune(SECS(3600)).await.unwrap(), 0);
        assert_eq!(inbox.prune(SECS(0)).await.unwrap(), 3);
    });
}

#[test]
#[ignore = "real tier"]
fn a_message_that_fails_leaves_no_effect_and_no_record_and_does_not_hold_up_others() {
    run(|schema| async move {
        let sink = inbox(&schema).await.sink(book(&schema.name));
        let error =
            sink.send(vec![message("a", 1, 1), message("b", 1, -1), message("c", 1, 1)]).await.unwrap_err();
        let failed: Vec<_> = (0..3).filter(|index| error.has_failed(*index)).collect();
        assert_eq!((failed, error.to_string()), (vec![1], "below zero (1 item of the batch)".to_owned()));
        assert_eq!(schema.number("select count(*) from {s}.booked").await, 2);
        assert_eq!(schema.number("select count(*) from {s}.inbox").await, 2);
        sink.send(vec![message("b", 2, 1)]).await.unwrap();
        assert_eq!(schema.number("select count(*) from {s}.booked").await, 3);
    });
}

#[test]
#[ignore = "real tier"]
fn the_late_effect_of_an_attempt_that_was_superseded_does_not_happen() {
    run(|schema| async move {
        let inbox = inbox(&schema).await;
        let name = schema.name.clone();
        let slow = inbox.sink(move |tx: Tx, batch: Vec<Message<i64>>| {
            let sql = format!("insert into {name}.booked values ($1, $2)");
            async move {
                sleep(Duration::from_millis(300)).await;
                for message in &batch {
                    tx.execute(&sql, (&message.id, message.attempt as i32)).await?;
                }
                Ok(())
            }
        });
        let quick = inbox.sink(book(&schema.name));
        let first = tokio::spawn({
            let slow = slow.clone();
            async move { slow.send(vec![message("a", 1, 1)]).await }
        });
        sleep(Duration::from_millis(100)).await;
        // It waits for the first one, whatever becomes of that.
        quick.send(vec![message("a", 2, 1)]).await.unwrap();
        first.await.unwrap().unwrap();
        quick.send(vec![message("b", 2, 1)]).await.unwrap();
        slow.send(vec![message("b", 1, 1)]).await.unwrap();
        let late = "select count(*) from {s}.booked where message = 'b' and attempt = 1";
        assert_eq!(
            (schema.number(late).await, schema.number("select count(*) from {s}.booked").await),
            (0, 2)
        );
    });
}

#[test]
#[ignore = "real tier"]
fn a_foreign_broker_with_duplicates_and_a_transaction_give_exact_rows() {
    run(|schema| async move {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let sink = inbox(&schema).await.sink(book(&schema.name));
        let broker = MemoryBroker::new();
        for n in 0..500_i64 {
            broker.publish(n).await.unwrap();
        }
        let running = Pipeline::from(broker.source())
            .stage("sometimes", async |n: i64| {
                // A failure behind an effect of the batch before it is what delivers again.
                if RUNS.fetch_add(1, Relaxed).is_multiple_of(7) {
                    return Err(std::io::Error::other("no"));
                }
                Ok(n)
            })
            .backoff(|_| Duration::from_millis(5))
            .sink("book", Batch::items(20).within(Duration::from_millis(5)), sink)
            .start()
            .unwrap();
        while broker.snapshot().stored > 0 {
            sleep(Duration::from_millis(20)).await;
        }
        running.drain(SECS(10)).await.unwrap();
        assert_eq!(schema.number("select count(*) from {s}.booked").await, 500);
        assert_eq!(schema.number("select count(distinct message) from {s}.booked").await, 500);
    });
}

#[test]
#[ignore = "real tier"]
fn a_check_says_in_sentences_what_the_server_is_set_to() {
    run(|schema| async move {
        let source_with = async |options: &str| {
            let mut config = schema.config.clone();
            config.options(options);
            let db = evenkeel_postgres::Database::builder(config).max(2).connect().await.unwrap();
            schema.queue_of(&db, "orders").source()
        };
        let mut source = source_with("-c synchronous_commit=off").await;
        let sentences = |warnings: Vec<evenkeel_pipeline::Warning>| {
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let said = sentences(source.check(&Workload::new(64)).await.unwrap());
        let lost =
            "synchronous_commit is off: a crash of the server loses jobs that were stored in the last 600 ms";
        assert!(said.contains(lost), "{said}");
        assert!(said.contains("no timeout bounds all stages"), "{said}");
        let mut source = source_with("-c synchronous_commit=on").await;
        let mut workload = Workload::new(64);
        workload.timeout = Some(SECS(3));
        let said = sentences(source.check(&workload).await.unwrap());
        assert!(said.contains("there is no synchronous replica: a lost disk loses the jobs"), "{said}");
        assert!(!said.contains("timeout") && !said.contains("synchronous_commit"), "{said}");
        let fsync: String = schema.admin.fetch_scalar("select current_setting('fsync')", ()).await.unwrap();
        assert_eq!(said.contains("fsync is off"), fsync == "off", "{said}");
    });
}
