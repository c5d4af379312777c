//! Messages at a server that gives none of them, in the dumps of evenkeel-inspect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::Subscriber;
use evenkeel_inspect::{Dump, FindingKind, InspectedResource, dump_at};
use evenkeel_pipeline::{
    Pipeline, Running, Settle,
    nats::{JetStream, JetStreamMessage},
};
use evenkeel_testkit::net::{Proxy, Toxics};
use futures::StreamExt as _;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::harness::{Queue, ms, pull, queue_config, run, run_with, settle, skip};

const MINUTE: Duration = Duration::from_secs(60);

/// A dump of this test, as it would be if nothing happened for this time.
fn dump_in(time: Duration) -> Dump {
    dump_at(Some(Handle::current().id()), Instant::now() + time)
}

fn source(dump: &Dump) -> &InspectedResource {
    dump.resources.iter().find(|resource| resource.kind == "source").expect("a source")
}

/// Runs a pipeline on the queue that counts its messages.
async fn counting(builder: JetStream) -> (Running, Arc<AtomicUsize>) {
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let pipeline =
        Pipeline::from(builder.open().await.unwrap()).stage("count", move |_: JetStreamMessage| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Relaxed);
                Ok::<_, std::io::Error>(())
            }
        });
    (pipeline.start().unwrap(), done)
}

/// Waits until the numbers of the consumer are in a dump with these words.
async fn until_read(words: &str) {
    for _ in 0..600 {
        if source(&dump_in(Duration::ZERO)).notes.iter().any(|note| note.contains(words)) {
            return;
        }
        sleep(ms(50)).await;
    }
    panic!("it was not read: {}", dump_in(Duration::ZERO));
}

/// Takes the requests until none comes for a while, and returns how many there were: a check at the start is one as well.
async fn until_quiet(requests: &mut Subscriber) -> usize {
    let mut count = 0;
    while timeout(ms(500), requests.next()).await.is_ok() {
        count += 1;
    }
    count
}

/// Waits until so many are done, and none of them is pending: the last is counted before it is acknowledged.
async fn until_done(done: &AtomicUsize, count: usize) {
    for _ in 0..600 {
        if done.load(Relaxed) == count && dump_in(60 * MINUTE).findings.is_empty() {
            return;
        }
        sleep(ms(50)).await;
    }
    panic!("{} of {count} are done: {}", done.load(Relaxed), dump_in(60 * MINUTE));
}

#[test]
#[ignore = "real tier"]
fn messages_that_the_server_gives_to_nobody_are_found() {
    run(async |queue| {
        if !queue.client.is_server_compatible(2, 11, 0) {
            return skip("a server before 2.11 cannot pause a consumer");
        }
        let (running, done) = counting(queue.builder()).await;
        let set_paused = async |until: &str| {
            let subject = format!("$JS.API.CONSUMER.PAUSE.{}.worker", queue.name);
            let body = format!("{{\"pause_until\":\"{until}\"}}");
            queue.client.request(subject, body.into()).await.unwrap();
        };
        set_paused("2999-01-01T00:00:00Z").await;
        queue.fill(5).await;
        until_read("had 5 messages to deliver, 0 of at most 65536 in hand").await;
        let dump = dump_in(MINUTE);
        let [finding] = &*dump.findings else { panic!("{dump}") };
        assert_eq!(finding.kind, FindingKind::NoProgress, "{dump}");
        assert!(
            finding.summary.starts_with("no progress: source (")
                && finding.summary.contains(") has 5 pending, "),
            "{dump}"
        );
        assert!(dump_in(Duration::ZERO).findings.is_empty(), "{dump}");
        // The past: the consumer goes on.
        set_paused("2000-01-01T00:00:00Z").await;
        until_done(&done, 5).await;
        assert_eq!(source(&dump_in(MINUTE)).backlog, None);
        running.drain(ms(5000)).await.expect("it drains");
    });
}

#[test]
#[ignore = "real tier"]
fn messages_behind_the_limit_of_those_in_hand_are_found_late() {
    run(async |queue| {
        queue.fill(6).await;
        let builder = || queue.builder().max_ack_pending(1).ack_wait(ms(600_000));
        // Another process has one in hand.
        let mut other = builder().open().await.unwrap();
        let held = pull(&mut other, 1).await;
        let (running, done) = counting(builder()).await;
        until_read("had 5 messages to deliver, 1 of at most 1 in hand").await;
        assert!(dump_in(5 * MINUTE).findings.is_empty(), "it may work on it: {}", dump_in(5 * MINUTE));
        let dump = dump_in(11 * MINUTE);
        let [finding] = &*dump.findings else { panic!("{dump}") };
        assert_eq!(finding.kind, FindingKind::NoProgress, "{dump}");
        settle(&other, &held, Settle::Ack).await;
        until_done(&done, 5).await;
        running.drain(ms(5000)).await.expect("it drains");
    });
}

#[test]
#[ignore = "real tier"]
fn an_empty_consumer_is_read_seldom_and_is_no_finding() {
    run(async |queue| {
        let subject = format!("$JS.API.CONSUMER.INFO.{}.worker", queue.name);
        let (running, _) = counting(queue.builder()).await;
        let mut reads = queue.client.subscribe(subject).await.unwrap();
        until_read("had 0 messages to deliver, 0 of at most 65536 in hand, and 1 requests").await;
        assert!(until_quiet(&mut reads).await > 0, "no read was seen");
        assert!(timeout(ms(9000), reads.next()).await.is_err(), "it was read again");
        let dump = dump_in(60 * MINUTE);
        assert!(dump.findings.is_empty(), "{dump}");
        running.drain(ms(5000)).await.expect("it drains");
    });
}

/// The pull is dropped when the numbers were asked for and have not come.
#[test]
#[ignore = "real tier"]
fn a_pull_that_is_dropped_beside_a_read_loses_nothing_and_reads_no_more_often() {
    run_with(async |url| {
        let proxy = Proxy::start(url.trim_start_matches("nats://")).await.unwrap();
        let queue = Queue::new(&proxy.address().to_string(), queue_config()).await;
        let mut source = queue.source(ms(30_000)).await;
        let beside = async_nats::connect(&url).await.unwrap();
        let subject = format!("$JS.API.CONSUMER.INFO.{}.worker", queue.name);
        let mut reads = beside.subscribe(subject).await.unwrap();
        beside.flush().await.unwrap();
        proxy.link().downstream(Toxics::new().latency(ms(900)));
        assert!(timeout(ms(5500), pull(&mut source, 1)).await.is_err(), "the queue is empty");
        proxy.link().heal();
        assert!(until_quiet(&mut reads).await > 0, "no read was seen");
        assert!(timeout(ms(9000), pull(&mut source, 1)).await.is_err(), "the queue is empty");
        assert!(timeout(ms(100), reads.next()).await.is_err(), "it was read again");
        queue.fill(1).await;
        let pulled = timeout(ms(10_000), pull(&mut source, 1)).await.expect("it comes");
        assert_eq!(pulled[0].attempt, 1);
    });
}

/// A heartbeat comes each second, and each read takes longer.
#[test]
#[ignore = "real tier"]
fn heartbeats_end_no_read() {
    run_with(async |url| {
        let proxy = Proxy::start(url.trim_start_matches("nats://")).await.unwrap();
        let queue = Queue::new(&proxy.address().to_string(), queue_config()).await;
        proxy.link().downstream(Toxics::new().latency(ms(1200)));
        let (running, _) = counting(queue.builder()).await;
        until_read("had 0 messages to deliver, 0 of at most 65536 in hand").await;
        running.drain(ms(20_000)).await.expect("it drains");
    });
}
