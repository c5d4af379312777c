//! An outbox: jobs that are stored in the transaction of their cause, and published to a stream.

use std::{collections::BTreeSet, env, sync::Arc, time::Duration};

use async_nats::jetstream::stream;
use evenkeel_pipeline::{
    Batch, Message, PgJob, PgQueue, Pipeline, Running, Sink, SinkError,
    nats::{JetStreamSink, Outgoing},
};
use evenkeel_postgres::{Error, TxOptions};
use tokio::{sync::Notify, time::sleep};

use super::harness::{Delivered, Queue, ms, numbers, pull_all, queue_config, run_with, skip};
use crate::harness::{TestSchema, until};

/// Runs a test on each server of NATS, with a schema in the first PostgreSQL that there is.
fn run<Fut: Future<Output = ()>>(test: impl Fn(Arc<TestSchema>, String) -> Fut + Sync) {
    let found = ["EVENKEEL_TEST_POSTGRES", "EVENKEEL_TEST_POSTGRES18"]
        .into_iter()
        .find_map(|name| env::var(name).ok());
    let Some(address) = found else {
        return skip("no PostgreSQL server (cargo xtask servers up)");
    };
    run_with(async |url| {
        let schema = Arc::new(TestSchema::at(&address).await);
        test(Arc::clone(&schema), url).await;
        schema.drop_all().await;
    });
}

async fn outbox(schema: &TestSchema) -> PgQueue {
    schema.queue("outbox").await.lease(ms(1500))
}

/// Publishes jobs, and never comes to the mark if it is to die.
struct Publish<S> {
    sink: S,
    dies: Option<Arc<Notify>>,
}

impl<S: Sink<Vec<u8>>> Sink<Vec<u8>> for Publish<S> {
    async fn send(&self, batch: Vec<Message<Vec<u8>>>) -> Result<(), SinkError> {
        self.sink.send(batch).await?;
        if let Some(published) = &self.dies {
            published.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

fn relay(outbox: &PgQueue, stream: &Queue, dies: Option<Arc<Notify>>) -> Running {
    let subject = format!("{}.out", stream.name);
    let sink = JetStreamSink::new(stream.client.clone(), move |job: &Vec<u8>| {
        Outgoing::new(subject.as_str(), job.clone())
    });
    let pipeline = Pipeline::from(outbox.source());
    let batch = Batch::items(20).within(ms(5));
    pipeline.sink("publish", batch, Publish { sink, dies }).start().unwrap()
}

/// Takes all messages of a stream.
async fn all(stream: &Queue) -> Vec<Delivered> {
    let stored = stream.info().await.state.messages;
    let mut source = stream.source(ms(30_000)).await;
    pull_all(&mut source, usize::try_from(stored).unwrap()).await
}

#[test]
#[ignore = "real tier"]
fn the_messages_of_a_transaction_reach_the_stream_if_it_commits() {
    run(|schema, url| async move {
        let (outbox, stream) = (outbox(&schema).await, Queue::new(&url, queue_config()).await);
        schema.admin.batch_execute(&format!("create table {}.placed (n int)", schema.name)).await.unwrap();
        let running = relay(&outbox, &stream, None);
        for n in 0..20_i32 {
            let placed = schema.admin.transaction(TxOptions::new(), async |tx| {
                tx.execute(&format!("insert into {}.placed values ($1)", schema.name), (n,)).await?;
                outbox.enqueue_in(&tx, PgJob::new(n.to_string()).key("placed")).await?;
                // Every third order is refused after its message.
                tx.fetch_scalar::<i32>("select 1 / $1", ((n % 3).min(1),)).await
            });
            assert_eq!(placed.await.is_ok(), n % 3 > 0);
        }
        until("all are published", async || schema.jobs().await == 0).await;
        running.drain(ms(30_000)).await.unwrap();
        let messages = all(&stream).await;
        let placed: Vec<usize> = (0..20).filter(|n| n % 3 > 0).collect();
        // One key is one order.
        let order: Vec<usize> = messages.iter().map(super::harness::number).collect();
        assert_eq!(order, placed);
    });
}

#[test]
#[ignore = "real tier"]
fn a_relay_that_is_killed_between_publish_and_mark_publishes_again_under_the_same_id() {
    run(|schema, url| async move {
        for (window, is_deduplicated) in [(Duration::from_secs(60), true), (ms(100), false)] {
            let outbox = outbox(&schema).await;
            let config = stream::Config { duplicate_window: window, ..queue_config() };
            let stream = Queue::new(&url, config).await;
            outbox.enqueue_many((0..20).map(|n: usize| n.to_string())).await.unwrap();
            let published = Arc::new(Notify::new());
            let killed = relay(&outbox, &stream, Some(Arc::clone(&published)));
            published.notified().await;
            drop(killed);
            let before = stream.info().await.state.messages;
            assert!(before > 0 && schema.jobs().await == 20, "{before} published, none marked");
            sleep(ms(200)).await;
            let running = relay(&outbox, &stream, None);
            until("all are published", async || schema.jobs().await == 0).await;
            let report = running.drain(ms(30_000)).await.unwrap();
            assert_eq!(report.acked, 20, "{report}");
            let messages = all(&stream).await;
            let id = |message: &Delivered| {
                message.item.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string()
            };
            let ids: BTreeSet<String> = messages.iter().map(id).collect();
            assert_eq!((ids.len(), numbers(&messages).into_iter().collect::<BTreeSet<_>>().len()), (20, 20));
            // Within the window the stream drops them; behind it they are there twice, and known by their id.
            let again = messages.len() as u64 - 20;
            assert_eq!(again, if is_deduplicated { 0 } else { before });
        }
    });
}

#[test]
#[ignore = "real tier"]
fn outboxes_of_several_databases_share_a_stream() {
    run(|schema, url| async move {
        let stream = Queue::new(&url, queue_config()).await;
        let other = TestSchema::at(&schema.url).await;
        for (schema, first) in [(&*schema, 0), (&other, 20)] {
            let outbox = outbox(schema).await;
            outbox.enqueue_many((first..first + 20).map(|n: usize| n.to_string())).await.unwrap();
            let running = relay(&outbox, &stream, None);
            until("all are published", async || schema.jobs().await == 0).await;
            running.drain(ms(30_000)).await.unwrap();
        }
        let _: Result<(), Error> =
            other.admin.batch_execute(&format!("drop schema {} cascade", other.name)).await;
        assert_eq!(numbers(&all(&stream).await), (0..40).collect::<Vec<usize>>());
    });
}
