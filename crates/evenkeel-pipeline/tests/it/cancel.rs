//! Every future is dropped at each of its awaits: nothing is lost, and nothing is left.

use std::{convert::Infallible, rc::Rc, time::Duration};

use evenkeel_pipeline::{
    Ack as _, Batch, Demand, Faults, MemoryBroker, MemoryConfig, Pipeline, Settle, SinkError, Source as _,
};
use evenkeel_testkit::{World, cancel};
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::support::{filled, ms, numbers, secs};

fn slow() -> MemoryConfig {
    let faults = Faults { latency: ms(5), ..Faults::default() };
    MemoryConfig { ack_wait: secs(2), faults, sync_every: Some(ms(300)), ..MemoryConfig::default() }
}

/// Drops the future of a call after each number of milliseconds, and goes on with what it worked on.
fn cut<S, F>(make: impl Fn() -> F, go_on: impl AsyncFn(S), call: impl AsyncFn(&mut S))
where
    F: Future<Output = S>,
{
    for time in 0.. {
        let ended = World::run(async |_| {
            let mut state = make().await;
            let ended = tokio::time::timeout(ms(time), call(&mut state)).await.is_ok();
            go_on(state).await;
            ended
        });
        if ended {
            return;
        }
    }
}

#[test]
fn a_pull_a_publish_and_a_settlement_that_are_dropped_lose_nothing() {
    cut(
        || filled(5, slow()),
        async |broker: MemoryBroker<u64>| {
            let mut source = broker.source();
            let pulled = source.pull(Demand { items: 9, bytes: usize::MAX }).await.unwrap();
            assert!(pulled.len() == 5 || broker.snapshot().leased == 5);
            sleep(secs(3)).await;
            let again = source.pull(Demand { items: 9, bytes: usize::MAX }).await.unwrap();
            assert_eq!(again.iter().map(|d| d.item).sum::<u64>(), 10);
            let ack = source.ack();
            let batch: Vec<_> = again.iter().map(|d| (d.receipt, Settle::Ack)).collect();
            let cut = tokio::time::timeout(ms(2), ack.settle(&batch)).await.is_err();
            assert_eq!(ack.settle(&batch).await.unwrap().len(), 5, "{cut}");
            assert_eq!(broker.snapshot().acked, 5);
        },
        async |broker: &mut MemoryBroker<u64>| {
            let mut source = broker.source();
            if let Ok(pulled) = source.pull(Demand { items: 9, bytes: usize::MAX }).await {
                // It was not dropped: the leases run out.
                assert_eq!(pulled.len(), 5);
            }
        },
    );
    cut(
        || filled(0, slow()),
        async |broker: MemoryBroker<u64>| {
            broker.publish(2).await.unwrap();
            broker.sync().await;
            assert_eq!(broker.power_loss(Duration::ZERO).lost, 0);
            let stored = broker.snapshot().stored as u64;
            assert_eq!((stored, broker.snapshot().published), (broker.snapshot().published, stored));
        },
        async |broker: &mut MemoryBroker<u64>| {
            broker.publish(1).await.unwrap();
            broker.sync().await;
        },
    );
}

async fn running(broker: &MemoryBroker<u64>) -> evenkeel_pipeline::Running {
    let pipeline = Pipeline::from(broker.source())
        .stage("work", async |n: u64| {
            sleep(ms(3 + n % 5)).await;
            Ok::<_, Infallible>(n)
        })
        .limit(3)
        .batch("store", Batch::items(4).within(ms(6)), async |_| {
            sleep(ms(3)).await;
            Ok::<_, SinkError>(())
        });
    pipeline.start().expect("it is valid")
}

#[test]
fn a_drain_that_is_dropped_aborts_all_and_every_item_comes_again() {
    let cuts = cancel::every_point(
        async || Rc::new(filled(20, slow()).await),
        async |broker| {
            let running = running(&broker).await;
            sleep(ms(10)).await;
            running.drain(ms(30)).await.unwrap();
        },
        async |broker| {
            broker.close();
            let report = running(&broker).await.await.unwrap();
            assert_eq!(report.accepted, report.acked);
            assert_eq!((broker.snapshot().acked, broker.snapshot().stored), (20, 0));
        },
    );
    assert!(cuts.points() >= 2, "{cuts:?}");
}

#[test]
fn waiting_for_the_end_can_be_given_up_and_taken_up_again() {
    World::run(async |_| {
        let broker = numbers(20, secs(2)).await;
        broker.close();
        let mut running = running(&broker).await;
        while tokio::time::timeout(ms(1), &mut running).await.is_err() {}
        assert_eq!(broker.snapshot().acked, 20);
    });
}

#[test]
fn a_waiter_that_is_dropped_behind_its_turn_passes_the_turn_on() {
    World::run(async |_| {
        let demand = Demand { items: 1, bytes: usize::MAX };
        let slow = MemoryBroker::with(MemoryConfig { capacity: 1, ..slow() });
        slow.publish(0_u64).await.unwrap();
        let publish = |n| {
            let slow = slow.clone();
            tokio::spawn(async move { slow.publish(n).await.unwrap() })
        };
        let first = publish(1);
        sleep(ms(100)).await;
        let second = publish(2);
        sleep(ms(100)).await;
        let mut source = slow.source();
        let pulled = source.pull(demand).await.unwrap();
        source.ack().settle(&[(pulled[0].receipt, Settle::Ack)]).await.unwrap();
        yield_now().await;
        first.abort();
        assert!(timeout(secs(1), second).await.is_ok());
    });
}

#[test]
fn a_publish_that_is_dropped_at_any_await_has_stored_nothing_or_all() {
    // The broker is full, and has room later.
    let full = async || {
        let broker = MemoryBroker::with(MemoryConfig { capacity: 1, ..slow() });
        broker.publish(0_u64).await.unwrap();
        let mut source = broker.source();
        tokio::spawn(async move {
            sleep(ms(50)).await;
            let pulled = source.pull(Demand { items: 1, bytes: usize::MAX }).await.unwrap();
            source.ack().settle(&[(pulled[0].receipt, Settle::Ack)]).await.unwrap();
        });
        broker
    };
    macro_rules! cut {
        ($call:expr) => {
            let cuts = cancel::every_point(full, $call, async |broker: MemoryBroker<u64>| {
                sleep(secs(1)).await;
                let stored = broker.snapshot().stored;
                assert!(stored <= 1);
                // There is room for it, and for one alone.
                if stored == 0 {
                    assert_eq!(
                        timeout(secs(1), broker.publish(7)).await.map(|stored| stored.is_ok()),
                        Ok(true)
                    );
                }
                assert!(timeout(secs(1), broker.publish(8)).await.is_err());
            });
            assert!(cuts.points() >= 2, "{cuts:?}");
        };
    }
    cut!(async |broker| broker.publish(1).await.map(drop).unwrap());
    cut!(async |broker| broker.publish_sized(1, 10).await.map(drop).unwrap());
    cut!(async |broker| broker.publish_once("a", 1).await.map(drop).unwrap());
}

#[test]
fn an_id_whose_publish_was_dropped_is_stored_once_in_the_end() {
    let cuts = cancel::every_point(
        // It is told apart after the hour that a cut waits.
        async || filled(0, MemoryConfig { dedup_window: secs(100_000), ..slow() }).await,
        async |broker| broker.publish_once("a", 1).await.map(drop).unwrap(),
        async |broker: MemoryBroker<u64>| {
            broker.publish_once("a", 1).await.unwrap();
            assert_eq!(broker.snapshot().stored, 1);
        },
    );
    assert!(cuts.points() >= 1, "{cuts:?}");
}

#[test]
fn a_sync_that_is_dropped_at_any_await_changes_nothing() {
    let cuts = cancel::every_point(
        async || filled(3, slow()).await,
        async |broker| broker.sync().await,
        async |broker: MemoryBroker<u64>| {
            broker.publish(3).await.unwrap();
            broker.sync().await;
            assert_eq!((broker.power_loss(Duration::ZERO).lost, broker.snapshot().stored), (0, 4));
        },
    );
    assert!(cuts.points() >= 1, "{cuts:?}");
}
