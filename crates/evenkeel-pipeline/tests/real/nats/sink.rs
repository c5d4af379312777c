//! Publications: in a window, once by id, and with back-pressure.

use async_nats::{HeaderMap, jetstream::stream};
use evenkeel_pipeline::{
    Message, Settle, Sink as _,
    nats::{JetStreamSink, Outgoing},
};
use tokio::time::{sleep, timeout};

use super::harness::{Queue, ms, pull_all, queue_config, run, run_with, settle};

fn messages(range: std::ops::Range<usize>) -> Vec<Message<usize>> {
    range.map(|item| Message { id: format!("id/{item}"), attempt: 1, item }).collect()
}

fn sink(queue: &Queue) -> JetStreamSink<impl Fn(&usize) -> Outgoing + use<>> {
    let subject = format!("{}.a", queue.name);
    JetStreamSink::new(queue.client.clone(), move |item: &usize| {
        Outgoing::new(subject.as_str(), item.to_string())
    })
}

#[test]
#[ignore = "real tier"]
fn a_batch_is_stored_once_and_in_order() {
    run(async |queue| {
        let sink = sink(&queue);
        sink.send(messages(0..1000)).await.unwrap();
        sink.send(messages(0..1000)).await.unwrap();
        assert_eq!(queue.info().await.state.messages, 1000);
        let mut source = queue.source(ms(30_000)).await;
        let delivered = pull_all(&mut source, 1000).await;
        for (index, one) in delivered.iter().enumerate() {
            assert_eq!(super::harness::number(one), index);
            let headers = one.item.headers.as_ref().unwrap();
            assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), format!("id/{index}"));
        }
    });
}

#[test]
#[ignore = "real tier"]
fn a_full_stream_is_waited_for() {
    run_with(async |url| {
        let config =
            stream::Config { max_messages: 10, discard: stream::DiscardPolicy::New, ..queue_config() };
        let queue = Queue::new(&url, config).await;
        let sink = sink(&queue);
        let mut source = queue.source(ms(30_000)).await;
        let consume = async {
            sleep(ms(500)).await;
            assert_eq!(queue.info().await.state.messages, 10);
            for _ in 0..35 {
                let one = pull_all(&mut source, 1).await;
                settle(&source, &one, Settle::Ack).await;
            }
        };
        let (sent, ()) = tokio::join!(timeout(ms(30_000), sink.send(messages(0..35))), consume);
        sent.expect("it ends").unwrap();
        assert_eq!(queue.info().await.state.last_sequence, 35);
    });
}

#[test]
#[ignore = "real tier"]
fn an_item_that_cannot_be_stored_fails_alone() {
    run_with(async |url| {
        let queue = Queue::new(&url, stream::Config { max_message_size: 5000, ..queue_config() }).await;
        let subject = format!("{}.a", queue.name);
        let sink = JetStreamSink::new(queue.client.clone(), move |item: &usize| match item {
            1 => Outgoing::new(subject.as_str(), vec![0; 2_000_000]),
            3 => Outgoing::new(subject.as_str(), vec![0; 6000]),
            4 => Outgoing::new("nobody.has.this", ""),
            5 => Outgoing::new("not a subject", ""),
            _ => {
                let mut headers = HeaderMap::new();
                headers.insert("Kind", "good");
                Outgoing::new(subject.as_str(), "x").headers(headers)
            }
        });
        let mut batch = messages(0..8);
        batch[6].id = "two\nlines".to_owned();
        let error = sink.send(batch).await.unwrap_err();
        let failed: Vec<_> = (0..8).filter(|index| error.has_failed(*index)).collect();
        assert_eq!(failed, [1, 3, 4, 5, 6], "{error}");
        assert_eq!(queue.info().await.state.messages, 3);
    });
}
