//! Messages, subjects, streams and accounts as others leave them.

use async_nats::jetstream::stream;
use evenkeel_pipeline::{
    Ack as _, Message, Settle,
    SettleOutcome::Confirmed,
    Sink as _, Source as _,
    nats::{JetStreamSink, Outgoing},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::harness::{
    Queue, attempts, ms, numbers, pull, pull_all, queue_config, run, run_alone, run_with, settle,
};

/// Publishes headers as they are, which a client would refuse.
async fn publish_raw(url: &str, subject: &str, headers: &str, payload: &str) {
    let mut server = TcpStream::connect(url.strip_prefix("nats://").unwrap()).await.unwrap();
    let (size, all) = (headers.len(), headers.len() + payload.len());
    let text = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {subject} {size} {all}\r\n{headers}{payload}\r\nPING\r\n"
    );
    server.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("PONG") {
        let mut buffer = [0; 4096];
        let read = server.read(&mut buffer).await.unwrap();
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        assert!(read > 0 && !answer.contains("-ERR"), "{answer}");
    }
}

#[test]
#[ignore = "real tier"]
fn messages_that_look_like_a_status_of_the_server_are_delivered() {
    run_with(async |url| {
        let queue = Queue::new(&url, queue_config()).await;
        let mut source = queue.source(ms(30_000)).await;
        for status in ["503", "404 No Messages", "408", "100 Idle Heartbeat", "409 Consumer Deleted", "409 x"]
        {
            let headers = format!("NATS/1.0 {status}\r\nA: b\r\n\r\n");
            publish_raw(&url, &format!("{}.a", queue.name), &headers, status).await;
        }
        queue.fill(1).await;
        let delivered = pull_all(&mut source, 7).await;
        assert_eq!(attempts(&delivered), [1; 7]);
        settle(&source, &delivered, Settle::Ack).await;
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_bucket_that_was_deleted_is_made_again_and_holds_up_no_ack() {
    // The bucket is that of all consumers.
    run_alone(async |mut server| {
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        queue.fill(4).await;
        let mut source = queue.source(ms(30_000)).await;
        let first = pull_all(&mut source, 4).await;
        settle(&source, &first[..1], Settle::Retry { after: ms(0) }).await;
        let delete = async || queue.context.delete_stream("KV_evenkeel_released").await.unwrap();
        delete().await;
        let again = pull(&mut source, 1).await;
        assert_eq!(attempts(&again), [2]);
        delete().await;
        let batch = [
            (first[1].receipt, Settle::Ack),
            (first[2].receipt, Settle::Release),
            (again[0].receipt, Settle::Ack),
            (first[3].receipt, Settle::Release),
        ];
        let settled = timeout(ms(20_000), source.ack().settle(&batch)).await.expect("it ends");
        assert_eq!(settled.unwrap(), [Confirmed; 4]);
        let back = pull_all(&mut source, 2).await;
        assert_eq!(attempts(&back), [1, 1]);
        settle(&source, &back, Settle::Ack).await;
        assert_eq!(queue.info().await.state.messages, 0);
    });
}

#[test]
#[ignore = "real tier"]
fn a_stream_that_was_deleted_and_made_again_is_read_from_its_start() {
    run_with(async |url| {
        let queue = Queue::new(&url, stream::Config::default()).await;
        queue.fill(2).await;
        let mut source = queue.source(ms(2000)).await;
        let old = pull_all(&mut source, 2).await;
        queue.context.delete_stream(&queue.name).await.unwrap();
        let config = stream::Config {
            name: queue.name.clone(),
            subjects: vec![format!("{}.>", queue.name)],
            ..stream::Config::default()
        };
        queue.context.create_stream(config).await.unwrap();
        queue.fill(3).await;
        let new = pull_all(&mut source, 3).await;
        assert_eq!(attempts(&new), [1, 1, 1]);
        let batch: Vec<_> = old.iter().chain(&new).map(|one| (one.receipt, Settle::Ack)).collect();
        let outcomes = source.ack().settle(&batch).await.unwrap();
        assert_eq!(outcomes[2..], [Confirmed; 3]);
        assert!(!outcomes[..2].contains(&Confirmed));
    });
}

#[test]
#[ignore = "real tier"]
fn subjects_that_cannot_be_fail_alone_and_at_once() {
    run(async |queue| {
        let name = queue.name.clone();
        let sink = JetStreamSink::new(queue.client.clone(), move |subject: &&str| {
            Outgoing::new(subject.replace("NAME", &name), "")
        });
        let subjects = [
            "NAME.a",
            "NAME.b c",
            "",
            "NAME..d",
            "NAME.*",
            "NAME.>",
            "NAME.",
            "NAME.e\r\nPUB",
            ".NAME",
            "NAME.\t",
            "NAME.f",
        ];
        let connects = || queue.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed);
        let before = connects();
        let batch = subjects.iter().enumerate().map(|(n, item)| Message {
            id: n.to_string(),
            attempt: 1,
            item: *item,
        });
        let sent = timeout(ms(20_000), sink.send(batch.collect())).await.expect("they fail at once");
        let error = sent.unwrap_err();
        let failed: Vec<&str> = subjects
            .iter()
            .enumerate()
            .filter(|(n, _)| error.has_failed(*n))
            .map(|(_, subject)| *subject)
            .collect();
        assert_eq!(failed, subjects[1..10], "{error}");
        assert_eq!((queue.info().await.state.messages, connects()), (2, before));
    });
}

#[test]
#[ignore = "real tier"]
fn an_account_at_its_limit_is_waited_for() {
    run_alone(async |mut server| {
        server.configure(
            "accounts { A { jetstream { max_file: 40KB, max_streams: 9, max_consumers: 9 }, users: [ { user: a, password: a } ] } }\n\
             no_auth_user: a\n",
        );
        server.start().await;
        let queue = Queue::new(&server.url(), queue_config()).await;
        let mut source = queue.source(ms(30_000)).await;
        let subject = format!("{}.a", queue.name);
        let sink = JetStreamSink::new(queue.client.clone(), move |item: &usize| {
            Outgoing::new(subject.as_str(), format!("{item:02000}"))
        });
        let batch = (0..50).map(|item| Message { id: item.to_string(), attempt: 1, item }).collect();
        let consume = async {
            sleep(ms(300)).await;
            let mut done = Vec::new();
            while done.len() < 50 {
                let some = pull(&mut source, 10).await;
                settle(&source, &some, Settle::Ack).await;
                done.extend(numbers(&some));
            }
            done.sort_unstable();
            done
        };
        let (sent, done) = tokio::join!(timeout(ms(30_000), sink.send(batch)), consume);
        sent.expect("it ends").unwrap();
        assert_eq!(done, (0..50).collect::<Vec<_>>());
        assert_eq!(queue.info().await.state.messages, 0);
    });
}
