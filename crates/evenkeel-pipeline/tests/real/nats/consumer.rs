//! The consumer at the server: made, changed, read back, deleted by others; and the check before the start.

use async_nats::jetstream::{consumer, stream};
use evenkeel_pipeline::{Ack as _, Settle, SettleOutcome, Source as _, Workload, nats::JetStream};
use tokio::time::{sleep, timeout};

use super::harness::{Queue, attempts, items, ms, numbers, pull_all, queue_config, run, run_with, settle};

#[test]
#[ignore = "real tier"]
fn the_consumer_is_as_it_was_asked_for() {
    run(async |queue| {
        let stream = queue.context.get_stream(&queue.name).await.unwrap();
        let other = consumer::pull::Config {
            durable_name: Some("worker".to_owned()),
            description: Some("ours".to_owned()),
            ack_policy: consumer::AckPolicy::Explicit,
            max_deliver: 3,
            max_ack_pending: 5,
            ..consumer::pull::Config::default()
        };
        stream.create_consumer(other).await.unwrap();
        let builder = queue.builder().filter(format!("{}.1", queue.name)).max_ack_pending(700);
        let mut source = builder.ack_wait(ms(7000)).open().await.unwrap();
        let config = queue.consumer().await.config;
        assert_eq!((config.ack_wait, config.max_ack_pending, config.max_deliver), (ms(7000), 700, -1));
        assert_eq!(config.ack_policy, consumer::AckPolicy::Explicit);
        // Settings that are not ours to decide are as they were.
        assert_eq!(config.description.as_deref(), Some("ours"));
        queue.fill(16).await;
        assert_eq!(numbers(&pull_all(&mut source, 2).await), [1, 9]);
        assert_eq!(source.ack().ack_wait(), Some(ms(7000)));
    });
}

#[test]
#[ignore = "real tier"]
fn a_setting_that_an_old_server_drops_is_an_error() {
    run(async |queue| {
        let [one, two] = [1, 2].map(|number| format!("{}.{number}", queue.name));
        let opened = queue.builder().filter(one).filter(two).open().await;
        if queue.client.is_server_compatible(2, 10, 0) {
            queue.fill(8).await;
            assert_eq!(numbers(&pull_all(&mut opened.unwrap(), 2).await), [1, 2]);
        } else {
            let error = opened.unwrap_err();
            let text = error.to_string();
            assert!(!error.is_transient());
            let version = queue.client.server_info().version;
            assert!(text.contains(&version) && text.contains("`filter_subjects`"), "{text}");
        }
    });
}

#[test]
#[ignore = "real tier"]
fn what_is_not_there_or_not_valid_is_a_permanent_error() {
    run(async |queue| {
        let client = || queue.client.clone();
        for (builder, text) in [
            (JetStream::new(client(), "NOBODY", "worker"), "there is no stream NOBODY"),
            (JetStream::new(client(), &queue.name, "a.b"), "names of streams and consumers"),
            (JetStream::new(client(), "", "worker"), "names of streams and consumers"),
            (queue.builder().ack_wait(ms(10)), "ack wait"),
            (queue.builder().max_ack_pending(0), "max_ack_pending"),
        ] {
            let error = builder.open().await.unwrap_err();
            assert!(!error.is_transient() && error.to_string().contains(text), "{error}");
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_queue_whose_consumer_was_deleted_goes_on() {
    run(async |queue| {
        queue.fill(6).await;
        let mut source = queue.source(ms(2000)).await;
        let before = pull_all(&mut source, 6).await;
        assert_eq!(settle(&source, &before[..3], Settle::Ack).await, [SettleOutcome::Confirmed; 3]);
        let stream = queue.context.get_stream(&queue.name).await.unwrap();
        let delete = async {
            sleep(ms(500)).await;
            stream.delete_consumer("worker").await.unwrap();
        };
        let (again, ()) = tokio::join!(pull_all(&mut source, 3), delete);
        assert_eq!(numbers(&again), numbers(&before[3..]));
        assert_eq!(attempts(&again), [1; 3]);
        // The deliveries of the old consumer are superseded.
        let receipts: Vec<_> = before[3..].iter().map(|one| one.receipt).collect();
        assert_eq!(source.ack().extend(&receipts).await.unwrap(), [0, 1, 2]);
        assert_eq!(settle(&source, &before[3..], Settle::Ack).await, [SettleOutcome::Superseded; 3]);
        assert_eq!(settle(&source, &again, Settle::Ack).await, [SettleOutcome::Confirmed; 3]);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn acks_of_a_consumer_that_was_deleted_are_superseded() {
    run(async |queue| {
        queue.fill(3).await;
        let mut source = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut source, 3).await;
        let stream = queue.context.get_stream(&queue.name).await.unwrap();
        stream.delete_consumer("worker").await.unwrap();
        let batch: Vec<_> = delivered.iter().map(|one| (one.receipt, Settle::Ack)).collect();
        let error = source.ack().settle(&batch).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(source.ack().settle(&batch).await.unwrap(), [SettleOutcome::Superseded; 3]);
    });
}

#[test]
#[ignore = "real tier"]
fn a_log_whose_consumer_was_deleted_is_not_delivered_from_its_start() {
    run_with(async |url| {
        let queue = Queue::new(&url, stream::Config::default()).await;
        queue.fill(6).await;
        let mut source = queue.source(ms(2000)).await;
        let before = pull_all(&mut source, 6).await;
        settle(&source, &before, Settle::Ack).await;
        let stream = queue.context.get_stream(&queue.name).await.unwrap();
        stream.delete_consumer("worker").await.unwrap();
        let error = timeout(ms(20_000), source.pull(items(5))).await.unwrap().unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("was deleted"), "{error}");
    });
}

#[test]
#[ignore = "real tier"]
fn the_check_says_what_a_stream_does_not_promise() {
    run_with(async |url| {
        let config = stream::Config {
            max_messages: 1000,
            max_age: ms(3_600_000),
            duplicate_window: ms(10_000),
            ..queue_config()
        };
        let queue = Queue::new(&url, config).await;
        let mut source = queue.builder().max_ack_pending(50).open().await.unwrap();
        let said = said(source.check(&Workload::new(100)).await.unwrap());
        for part in
            ["one replica", "discards its oldest", "after 3600s", "for 10s", "larger than max_ack_pending"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(
            said.contains("is older than 2.14"),
            !queue.client.is_server_compatible(2, 14, 0),
            "{said}"
        );
        assert!(!said.contains("will not deliver"), "{said}");

        let memory = stream::Config { storage: stream::StorageType::Memory, ..queue_config() };
        let queue = Queue::new(&url, memory).await;
        let mut source = queue.source(ms(1000)).await;
        let said = self::said(source.check(&Workload::new(1)).await.unwrap());
        assert!(said.contains("in memory") && !said.contains("discards"), "{said}");
    });
}

#[test]
#[ignore = "real tier"]
fn messages_that_the_server_has_given_up_are_told_and_swept() {
    run(async |queue| {
        queue.fill(3).await;
        let stream = queue.context.get_stream(&queue.name).await.unwrap();
        let limited = consumer::pull::Config {
            durable_name: Some("worker".to_owned()),
            ack_policy: consumer::AckPolicy::Explicit,
            ack_wait: ms(200),
            max_deliver: 1,
            ..consumer::pull::Config::default()
        };
        let bare = stream.create_consumer(limited).await.unwrap();
        let fetch = async || {
            use futures::StreamExt as _;
            bare.fetch().max_messages(3).expires(ms(500)).messages().await.unwrap().count().await
        };
        assert_eq!(fetch().await, 3);
        sleep(ms(300)).await;
        assert_eq!(fetch().await, 0);
        let mut source = queue.source(ms(5000)).await;
        let said = said(source.check(&Workload::new(1)).await.unwrap());
        assert!(said.contains("has 3 messages that its consumer will not deliver"), "{said}");
        // Not while something is in hand.
        queue.fill(1).await;
        let in_hand = pull_all(&mut source, 1).await;
        let builder = || queue.builder().ack_wait(ms(5000));
        let error = builder().sweep().await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("1 messages are in hand"), "{error}");
        settle(&source, &in_hand, Settle::Ack).await;
        assert_eq!(builder().sweep().await.unwrap(), 3);
        let again = pull_all(&mut source, 3).await;
        assert_eq!((numbers(&again), attempts(&again)), (vec![0, 1, 2], vec![1; 3]));
        assert_eq!(settle(&source, &again, Settle::Ack).await, [SettleOutcome::Confirmed; 3]);
        assert_eq!(builder().sweep().await.unwrap(), 0);
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

fn said(warnings: Vec<evenkeel_pipeline::Warning>) -> String {
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
