//! A million items: the memory stays what it was, with acks, leases, failures and batches.

#![cfg_attr(
    any(feature = "nats", feature = "postgres"),
    allow(clippy::unwrap_used, dead_code, reason = "it uses a part of what the real tier has")
)]

#[cfg(all(feature = "postgres", unix))]
#[path = "../real/harness.rs"]
mod harness;
#[cfg(all(feature = "postgres", unix))]
#[path = "../../../evenkeel-postgres/tests/real/instance.rs"]
mod instance;
#[cfg(all(feature = "nats", unix))]
mod nats;
#[cfg(all(feature = "postgres", unix))]
mod pg_cuts;
#[cfg(all(feature = "postgres", unix))]
mod pg_failure;
#[cfg(feature = "postgres")]
mod pg_flat;
#[cfg(all(feature = "postgres", unix))]
mod pg_kills;
#[cfg(all(feature = "postgres", unix))]
#[path = "../real/worker.rs"]
mod worker;

use std::{
    alloc::System,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{Batch, MemoryBroker, MemoryConfig, Pipeline, SinkError};
use evenkeel_testkit::alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::task::yield_now;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ITEMS: u64 = 1_000_000;

#[cfg(all(feature = "postgres", unix))]
fn say(text: &str) {
    use std::io::Write as _;

    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until the condition holds.
#[cfg(all(feature = "postgres", unix))]
async fn wait_for<Fut: Future<Output = bool>>(limit: Duration, what: &str, mut so: impl FnMut() -> Fut) {
    let waited = tokio::time::timeout(limit, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never happened that {what}");
}

fn live() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn a_million_items_leave_the_memory_as_it_was() {
    let broker = MemoryBroker::with(MemoryConfig {
        capacity: 2000,
        ack_wait: Duration::from_millis(500),
        ..MemoryConfig::default()
    });
    let samples = Arc::new(Mutex::new(Vec::new()));
    let pipeline = Pipeline::from(broker.source())
        .stage("one", async |n: u64| {
            if n.is_multiple_of(97) {
                yield_now().await;
            }
            Ok::<_, Infallible>(n)
        })
        .limit(64)
        .messages()
        .stage("two", async |message| {
            // A failure now and then, which comes again.
            if message.attempt == 1 && message.item.is_multiple_of(501) {
                Err("unlucky")
            } else {
                Ok(message.item)
            }
        })
        .limit(64)
        .batch("three", Batch::items(100).within(Duration::from_millis(5)), async |_| Ok::<_, SinkError>(()))
        .limit(4)
        .backoff(|_| Duration::from_millis(3));
    let running = pipeline.start().unwrap();
    let publish = async {
        for n in 0..ITEMS {
            broker.publish(n).await.unwrap();
            if n % 100_000 == 99_999 {
                samples.lock().unwrap().push(live());
            }
        }
        broker.close();
    };
    let ((), report) = tokio::join!(publish, running);
    let report = report.unwrap();
    assert_eq!((report.acked, report.left()), (ITEMS, 0), "{report}");
    let samples = samples.lock().unwrap();
    let (first, most) = (samples[0], *samples.iter().max().unwrap());
    assert!(most < first + (1 << 20), "{first} bytes after 100,000 items, {most} later: {samples:?}");
}
