//! A broker whose clock is set: leases and delays end sooner or later, and nothing is lost.

use std::{convert::Infallible, time::Duration};

use evenkeel_pipeline::{
    Ack as _, Demand, MemoryAck, MemoryBroker, MemoryConfig, MemoryReceipt, MemorySource, Pipeline, Settle,
    SettleOutcome, Source as _,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Effects, assert_adds_up, faulty, filled, ms, numbers, secs};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The numbers and attempts of what is there now.
async fn pull(source: &mut MemorySource<u64>) -> Vec<(u64, u32, MemoryReceipt)> {
    let demand = Demand { items: 100, bytes: usize::MAX };
    let pulled = timeout(ms(1), source.pull(demand)).await.unwrap_or_else(|_| Ok(Vec::new()));
    let pulled = pulled.expect("it is up");
    pulled.into_iter().map(|delivery| (delivery.item, delivery.attempt, delivery.receipt)).collect()
}

async fn settle(ack: &MemoryAck<u64>, receipt: MemoryReceipt, settle: Settle) -> SettleOutcome {
    ack.settle(&[(receipt, settle)]).await.expect("it is up")[0]
}

#[test]
fn e7_a_clock_that_is_set_forward_ends_leases_and_the_next_attempt_decides() {
    World::run(async |_| {
        let broker = numbers(2, secs(30)).await;
        let (mut source, mut other) = (broker.source(), broker.source());
        let first = pull(&mut source).await;
        // It is set by less than the rest of the leases.
        broker.set_clock_forward(secs(20));
        assert!(pull(&mut other).await.is_empty());
        sleep(secs(5)).await;
        assert!(pull(&mut other).await.is_empty());
        broker.set_clock_forward(HOUR);
        let second = pull(&mut other).await;
        assert_eq!(second.iter().map(|(n, attempt, _)| (*n, *attempt)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
        let ack = source.ack();
        assert_eq!(ack.extend(&[first[0].2, first[1].2]).await.unwrap(), [0, 1]);
        for late in [Settle::Ack, Settle::Retry { after: ms(0) }, Settle::Release, Settle::Term] {
            assert_eq!(settle(&ack, first[0].2, late).await, SettleOutcome::Superseded);
        }
        assert_eq!(settle(&ack, second[0].2, Settle::Ack).await, SettleOutcome::Confirmed);
        assert_eq!((broker.snapshot().stored, broker.snapshot().expired), (1, 2));
    });
}

#[test]
fn e7_a_pull_that_waits_sees_at_once_what_the_clock_has_made_due() {
    World::run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let mut source = broker.source();
        let pulled = pull(&mut source).await;
        settle(&source.ack(), pulled[0].2, Settle::Retry { after: HOUR }).await;
        let waits = tokio::spawn(async move {
            let demand = Demand { items: 1, bytes: usize::MAX };
            let pulled = source.pull(demand).await.expect("it is up");
            (pulled[0].attempt, Instant::now())
        });
        sleep(secs(10)).await;
        let now = Instant::now();
        broker.set_clock_forward(2 * HOUR);
        assert_eq!(waits.await.unwrap(), (2, now));
    });
}

#[test]
fn e7_a_clock_that_is_set_back_keeps_leases_and_hides_none_that_end_before() {
    World::run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let (mut dead, mut other) = (broker.source(), broker.source());
        assert_eq!(pull(&mut dead).await.len(), 1);
        sleep(secs(10)).await;
        broker.set_clock_back(HOUR);
        // A lease of the new time ends before the older one.
        broker.publish(7).await.unwrap();
        assert_eq!(pull(&mut dead).await.len(), 1);
        sleep(secs(30)).await;
        let again = pull(&mut other).await;
        assert_eq!((again[0].0, again[0].1), (7, 2));
        assert_eq!(settle(&other.ack(), again[0].2, Settle::Ack).await, SettleOutcome::Confirmed);
        // The other one waits that much longer: 20 seconds were left of it.
        sleep(HOUR - secs(10) - ms(5)).await;
        assert!(pull(&mut other).await.is_empty());
        sleep(ms(10)).await;
        let last = pull(&mut other).await;
        assert_eq!((last[0].0, last[0].1), (0, 2));
    });
}

#[test]
fn e7_ids_are_as_old_as_the_clock_says() {
    World::run(async |_| {
        let broker = MemoryBroker::with(MemoryConfig { dedup_window: secs(60), ..MemoryConfig::default() });
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(1));
        broker.set_clock_forward(secs(59));
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), None);
        broker.set_clock_forward(secs(1));
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(2));
        broker.set_clock_back(HOUR);
        sleep(HOUR).await;
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), None);
        sleep(secs(60)).await;
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(3));
    });
}

#[test]
fn e7_a_clock_that_is_set_again_and_again_loses_nothing() {
    for seed in 0..50 {
        World::run(async |_| {
            let broker = filled(40, faulty(seed)).await;
            broker.close();
            let effects = Effects::default();
            let seen = effects.clone();
            let pipeline = Pipeline::from(broker.source())
                .stage("work", async move |n: u64| {
                    sleep(ms(200 + n % 7)).await;
                    seen.add(n);
                    Ok::<_, Infallible>(())
                })
                .limit(3)
                .seed(seed);
            let mut running = pipeline.start().unwrap();
            for step in 0..20_u64 {
                let _ = timeout(ms(100 + 37 * (seed + step) % 400), &mut running).await;
                match (seed + step) % 3 {
                    0 => broker.set_clock_back(secs(step)),
                    1 => broker.set_clock_forward(secs(2 * step)),
                    // As far as a clock goes.
                    _ => broker.set_clock_forward(Duration::MAX),
                }
                if broker.snapshot().stored == 0 {
                    break;
                }
            }
            if broker.snapshot().stored > 0 {
                assert_adds_up(&running.await.unwrap());
            }
            assert_eq!((broker.snapshot().stored, effects.items().len()), (0, 40));
        });
    }
}
