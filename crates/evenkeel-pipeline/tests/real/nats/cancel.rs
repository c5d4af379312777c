//! Every call to JetStream is dropped at each of its awaits: nothing is lost, and calling it again is harmless.

use async_nats::jetstream::consumer;
use evenkeel_pipeline::{
    Ack as _, DeadLetter, Message, Settle, SettleOutcome, Sink as _, Source as _, Workload,
    nats::{Checkpoint, DeadLetterSubject, JetStreamSink, Outgoing},
};
use futures::{StreamExt as _, future::join_all};
use tokio::time::sleep;

use super::harness::{Queue, items, ms, number, pull_all, queue_config, run, run_with, settle};
use crate::cut::{at_each_await, polled};

#[test]
#[ignore = "real tier"]
fn an_open_that_is_dropped_can_be_made_again() {
    run(async |queue| {
        queue.fill(1).await;
        at_each_await(async |times| {
            let opened = polled(times, queue.builder().ack_wait(ms(30_000)).open()).await;
            let is_done = opened.is_some();
            drop(opened);
            // No message is in hand of a source that nobody has.
            assert_eq!(queue.source(ms(30_000)).await.ack().extend(&[]).await.unwrap(), Vec::<usize>::new());
            let consumer = queue.consumer().await;
            assert_eq!((consumer.num_pending, consumer.num_ack_pending), (1, 0));
            is_done
        })
        .await;
    });
}

/// Drops a sweep of one message after so many polls, and returns whether it had ended. The message is delivered in any case.
async fn sweep_that_is_dropped(url: &str, times: usize) -> bool {
    let queue = Queue::new(url, queue_config()).await;
    queue.fill(1).await;
    let limited = consumer::pull::Config {
        durable_name: Some("worker".to_owned()),
        ack_policy: consumer::AckPolicy::Explicit,
        ack_wait: ms(100),
        max_deliver: 1,
        ..consumer::pull::Config::default()
    };
    let stream = queue.context.get_stream(&queue.name).await.unwrap();
    let bare = stream.create_consumer(limited).await.unwrap();
    let fetch = async |expires| {
        bare.fetch().max_messages(1).expires(ms(expires)).messages().await.unwrap().count().await
    };
    assert_eq!(fetch(5000).await, 1);
    // The server gives the message up when it is asked for another one.
    while queue.consumer().await.num_ack_pending > 0 {
        sleep(ms(200)).await;
        assert_eq!(fetch(200).await, 0);
    }
    let builder = || queue.builder().ack_wait(ms(30_000));
    let swept = polled(times, builder().sweep()).await;
    assert!(swept.as_ref().is_none_or(|stuck| *stuck.as_ref().unwrap() == 1));
    assert!(builder().sweep().await.unwrap() <= u64::from(swept.is_none()));
    let mut source = queue.source(ms(30_000)).await;
    let again = pull_all(&mut source, 1).await;
    assert_eq!((number(&again[0]), again[0].attempt), (0, 1));
    assert_eq!(settle(&source, &again, Settle::Ack).await, [SettleOutcome::Confirmed]);
    assert_eq!(queue.info().await.state.messages, 0);
    swept.is_some()
}

#[test]
#[ignore = "real tier"]
fn a_sweep_that_is_dropped_can_be_made_again() {
    run_with(async |url| {
        let swept = join_all((0..50).map(|times| sweep_that_is_dropped(&url, times))).await;
        assert!(swept.contains(&true) && !swept[0], "{swept:?}");
    });
}

#[test]
#[ignore = "real tier"]
fn a_checkpoint_whose_calls_are_dropped_never_goes_back() {
    run(async |queue| {
        let mut number = 0;
        at_each_await(async |times| {
            number += 1;
            let (client, key) = (queue.client.clone(), format!("log.{number}"));
            let opened = polled(times, Checkpoint::open(client.clone(), &queue.name, &key)).await;
            let is_open = opened.is_some();
            drop(opened);
            let checkpoint = Checkpoint::open(client, &queue.name, &key).await.unwrap();
            checkpoint.store(5).await.unwrap();
            let stored = polled(times, checkpoint.store(9)).await;
            let loaded = polled(times, checkpoint.load()).await;
            let position = checkpoint.load().await.unwrap();
            assert!(position == Some(9) || position == Some(5) && stored.is_none(), "{position:?}");
            assert!(loaded.as_ref().is_none_or(|loaded| *loaded.as_ref().unwrap() >= Some(5)));
            checkpoint.store(9).await.unwrap();
            checkpoint.store(7).await.unwrap();
            assert_eq!(checkpoint.load().await.unwrap(), Some(9));
            is_open && stored.is_some() && loaded.is_some()
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_source_whose_calls_are_dropped_loses_no_message_and_counts_no_attempt() {
    run(async |queue| {
        at_each_await(async |times| {
            queue.fill(1).await;
            let mut source = queue.source(ms(30_000)).await;
            let checked = polled(times, source.check(&Workload::new(1))).await;
            let pulled = polled(times, source.pull(items(1))).await;
            let is_done = checked.is_some() && pulled.is_some();
            let first = match pulled {
                Some(pulled) => pulled.unwrap(),
                None => pull_all(&mut source, 1).await,
            };
            assert_eq!((number(&first[0]), first[0].attempt), (0, 1));
            let (ack, receipt) = (source.ack(), first[0].receipt);
            polled(times, ack.extend(&[receipt])).await;
            assert_eq!(ack.extend(&[receipt]).await.unwrap(), Vec::<usize>::new());
            // It is handed back once, as the same attempt, however often that is said.
            let back = polled(times, ack.settle(&[(receipt, Settle::Release)])).await;
            if back.is_none() {
                ack.settle(&[(receipt, Settle::Release)]).await.unwrap();
            }
            let again = pull_all(&mut source, 1).await;
            assert_eq!(again[0].attempt, 1);
            let acked = polled(times, ack.settle(&[(again[0].receipt, Settle::Ack)])).await;
            if acked.is_none() {
                let outcomes = ack.settle(&[(again[0].receipt, Settle::Ack)]).await.unwrap();
                assert_eq!(outcomes, [SettleOutcome::Confirmed]);
            }
            polled(times, source.pause()).await;
            polled(times, source.stop()).await;
            source.stop().await;
            assert_eq!(queue.info().await.state.messages, 0);
            is_done
        })
        .await;
    });
}

#[test]
#[ignore = "real tier"]
fn a_sink_that_is_dropped_writes_each_message_once_in_the_end() {
    run(async |queue| {
        let name = queue.name.clone();
        let subject = format!("{name}.out");
        let outgoing = move |item: &String| Outgoing::new(subject.as_str(), item.clone().into_bytes());
        let sink = JetStreamSink::new(queue.client.clone(), outgoing);
        let letters = DeadLetterSubject::new(queue.client.clone(), format!("{name}.dead"));
        // A letter has a message of a stream.
        queue.fill(1).await;
        let mut source = queue.source(ms(30_000)).await;
        let item = pull_all(&mut source, 1).await.remove(0).item;
        let mut count = 0;
        at_each_await(async |times| {
            count += 1;
            let message =
                |id: &str| Message { id: format!("{id} {count}"), attempt: 1, item: "x".to_owned() };
            let batch = || vec![message("a"), message("b")];
            let sent = polled(times, sink.send(batch())).await;
            sink.send(batch()).await.unwrap();
            assert_eq!(queue.info().await.state.messages, 3 * count);
            let dead = || {
                let item = DeadLetter::new(item.clone(), "no".to_owned(), 1);
                vec![Message { id: format!("{name}:{count}"), attempt: 1, item }]
            };
            let buried = polled(times, letters.send(dead())).await;
            letters.send(dead()).await.unwrap();
            assert_eq!(queue.info().await.state.messages, 3 * count + 1);
            sent.is_some() && buried.is_some()
        })
        .await;
    });
}
