//! On several threads, in real time: the account adds up whatever runs beside what.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use evenkeel_pipeline::{Batch, MemoryConfig, Pipeline, SinkError};
use tokio::{runtime::Builder, task::yield_now};

use crate::support::{Letters, assert_adds_up, collect, filled, ms, no, secs};

fn on_threads(test: impl AsyncFn()) {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build();
    runtime.expect("threads can be spawned").block_on(test());
}

#[test]
fn a_hundred_thousand_deliveries_on_four_threads_add_up() {
    on_threads(async || {
        let config = MemoryConfig { ack_wait: ms(300), ..MemoryConfig::default() };
        let broker = filled(30_000, config).await;
        broker.close();
        let (letters, calls) = (Letters::default(), Arc::new(AtomicU64::new(0)));
        let pipeline = Pipeline::from(broker.source())
            .keyed(|n: &u64| n % 100)
            .stage("one", async move |n: u64| {
                let call = calls.fetch_add(1, SeqCst);
                if call.is_multiple_of(3) {
                    yield_now().await;
                }
                if n.is_multiple_of(1000) || call.is_multiple_of(50) { Err(no("unlucky")) } else { Ok(n) }
            })
            .limit(30)
            .stage("two", async |n| {
                if n.is_multiple_of(4) {
                    yield_now().await;
                }
                Ok::<_, Infallible>(n)
            })
            .limit(20)
            .flat_map("split", async |n| Ok::<_, Infallible>(vec![n; (n % 3) as usize]))
            .batch("store", Batch::items(50).within(ms(5)), async |items: Vec<u64>| {
                yield_now().await;
                if items.len() % 17 == 3 { Err(SinkError::some("no", [2])) } else { Ok(()) }
            })
            .limit(3)
            .window(400)
            .max_attempts(20)
            .backoff(|_| ms(1))
            .dead_letter(collect(&letters));
        let report = pipeline.start().unwrap().await.unwrap();
        assert_adds_up(&report);
        assert_eq!(report.acked + report.dead, 30_000);
        assert_eq!(report.left(), 0, "{report}");
        assert_eq!(report.accepted, broker.snapshot().delivered);
        assert_eq!(report.dead, letters.lock().unwrap().len() as u64);
        assert!((0..30).all(|n| letters.lock().unwrap().iter().any(|(_, letter)| letter.item == n * 1000)));
    });
}

#[test]
fn drains_on_four_threads_add_up_and_lose_nothing() {
    on_threads(async || {
        let broker = filled(20_000, MemoryConfig { ack_wait: secs(60), ..MemoryConfig::default() }).await;
        let mut acked = 0;
        for round in 0.. {
            let pipeline = Pipeline::from(broker.source())
                .stage("work", async |n: u64| {
                    for _ in 0..n % 7 {
                        yield_now().await;
                    }
                    Ok::<_, Infallible>(n)
                })
                .limit(50)
                .batch("store", Batch::items(20).within(ms(1)), async |_| Ok::<_, SinkError>(()))
                .limit(4);
            let running = pipeline.start().unwrap();
            tokio::time::sleep(ms(2 + round % 5)).await;
            let report = running.drain(ms(round % 3)).await.unwrap();
            assert_adds_up(&report);
            // Nothing has failed, and no lease has run out.
            assert_eq!(
                (report.nacked, report.superseded, report.unconfirmed, report.unfinished),
                (0, 0, 0, 0)
            );
            acked += report.acked;
            assert_eq!(broker.snapshot().acked, acked);
            assert_eq!(broker.snapshot().leased, 0);
            if acked == 20_000 {
                return;
            }
        }
    });
}

#[test]
fn a_handle_that_is_dropped_decides_about_no_item_on_four_threads() {
    on_threads(async || {
        let letters = Letters::default();
        for _ in 0..100 {
            let broker = filled(200, MemoryConfig { ack_wait: secs(60), ..MemoryConfig::default() }).await;
            let running = Pipeline::from(broker.source())
                .stage("work", async |_| std::future::pending::<Result<(), Infallible>>().await)
                .limit(200)
                .max_attempts(1)
                .dead_letter(collect(&letters))
                .start()
                .unwrap();
            while running.snapshot().stages[0].in_flight < 200 {
                yield_now().await;
            }
            drop(running);
            tokio::time::sleep(ms(5)).await;
            assert_eq!((broker.snapshot().leased, broker.snapshot().delayed), (200, 0));
        }
        assert_eq!(letters.lock().unwrap().len(), 0);
    });
}
