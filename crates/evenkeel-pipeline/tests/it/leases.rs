//! Leases: everything in hand is extended; a lost one drops the work, and disturbs no later attempt.

use std::convert::Infallible;

use evenkeel_pipeline::{
    Ack as _, Batch, Demand, MemoryConfig, Pipeline, Settle, SettleOutcome, SinkError, Source as _,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{Effects, assert_adds_up, faulty, filled, ms, no, numbers, secs};

#[test]
fn ten_thousand_items_in_hand_for_ten_ack_waits_are_not_delivered_again() {
    World::run(async |_| {
        let broker = numbers(10_000, secs(1)).await;
        broker.close();
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |_| {
                sleep(secs(10)).await;
                Ok::<_, Infallible>(())
            })
            .window(10_000);
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!((report.accepted, report.acked), (10_000, 10_000));
        assert_eq!((broker.snapshot().redelivered, broker.snapshot().expired), (0, 0));
    });
}

#[test]
fn a_slow_consumer_causes_no_redelivery() {
    World::run(async |_| {
        // A client that takes 200 at a time, and works on one after the other, has most of them delivered many times.
        let broker = numbers(200, secs(1)).await;
        broker.close();
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |_| {
                sleep(ms(100)).await;
                Ok::<_, Infallible>(())
            })
            .limit(1)
            .window(200);
        let start = Instant::now();
        assert_eq!(pipeline.start().unwrap().await.unwrap().acked, 200);
        assert_eq!((broker.snapshot().delivered, broker.snapshot().expired), (200, 0));
        assert_eq!(start.elapsed(), secs(20));
    });
}

#[test]
fn items_that_wait_for_a_limit_or_a_batch_keep_their_leases() {
    World::run(async |_| {
        let broker = numbers(1000, secs(1)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |n| {
                sleep(ms(100)).await;
                Ok::<_, Infallible>(n)
            })
            .limit(10)
            .batch("store", Batch::items(800).within(secs(60)), async |_| Ok::<_, SinkError>(()))
            .window(1000);
        let start = Instant::now();
        let running = pipeline.start().unwrap();
        while broker.snapshot().acked < 1000 {
            sleep(secs(1)).await;
        }
        // 80 rounds to the first batch, and the time of the second.
        assert_eq!(start.elapsed(), secs(8 + 60 + 1));
        assert_eq!((broker.snapshot().redelivered, broker.snapshot().expired), (0, 0));
        broker.close();
        assert_eq!(running.await.unwrap().acked, 1000);
    });
}

#[test]
fn a_function_is_not_called_for_an_item_whose_lease_was_lost_before_its_turn() {
    World::run(async |_| {
        let broker = numbers(2, secs(3)).await;
        let effects = Effects::default();
        let called = effects.clone();
        let pipeline = Pipeline::from(broker.source()).keyed(|_| 0).stage("work", move |n| {
            // Before the future is polled.
            called.add(n);
            async {
                sleep(secs(1000)).await;
                Ok::<_, Infallible>(())
            }
        });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        broker.crash(secs(100));
        sleep(secs(4)).await;
        assert_eq!((effects.items(), running.snapshot().counts.superseded), (vec![0], 2));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn all_parts_of_an_item_are_dropped_when_its_lease_is_lost() {
    World::run(async |_| {
        let broker = numbers(1, secs(3)).await;
        let pipeline = Pipeline::from(broker.source())
            .flat_map("split", async |_| Ok::<_, Infallible>(0..3))
            .stage("work", async |part: i32| {
                sleep(secs(1000 + u64::try_from(part)?)).await;
                Ok::<_, std::num::TryFromIntError>(())
            });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        assert_eq!(running.snapshot().stages[1].in_flight, 3);
        broker.crash(secs(100));
        sleep(secs(4)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.stages[1].in_flight, snapshot.counts.superseded), (0, 1));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn work_is_dropped_when_its_lease_runs_out_on_our_clock() {
    World::run(async |_| {
        let broker = numbers(1, secs(3)).await;
        let effects = Effects::default();
        let (begun, ended) = (effects.clone(), Effects::default());
        let done = ended.clone();
        let pipeline = Pipeline::from(broker.source()).stage("work", async move |n| {
            begun.add(n);
            sleep(secs(100)).await;
            done.add(n);
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(ms(1)).await;
        assert_eq!(effects.total(), 1);
        // The extension at 1 s is not confirmed, so the lease ends 3 s after the delivery.
        broker.crash(secs(20));
        sleep(ms(2998)).await;
        assert_eq!(running.snapshot().in_hand, 1);
        sleep(ms(2)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.in_hand, snapshot.counts.superseded), (0, 1));
        assert_eq!(ended.total(), 0);
        // Another attempt begins when the broker is back: the one whose lease ran out has counted.
        while effects.total() < 2 {
            sleep(ms(100)).await;
        }
        let report = running.drain(secs(0)).await.unwrap();
        assert_eq!((report.accepted, report.superseded, report.released), (2, 1, 1));
        assert_eq!(broker.snapshot().expired, 1);
    });
}

#[test]
fn the_failure_of_a_superseded_attempt_is_not_told() {
    World::run(async |_| {
        let config = MemoryConfig { ack_wait: secs(3), ..MemoryConfig::default() };
        let broker = filled(1, config).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("fail", async |_| {
                sleep(ms(500)).await;
                Err::<(), _>(no("always"))
            })
            .backoff(|_| secs(60));
        let running = pipeline.start().unwrap();
        sleep(ms(100)).await;
        // It fails at 0.5 s, and the broker is away until the lease has ended.
        broker.crash(secs(5));
        sleep(secs(10)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.counts.superseded, snapshot.counts.nacked), (1, 1));
        // The second attempt has begun behind the downtime, and its own nak holds.
        assert_eq!((broker.snapshot().expired, broker.snapshot().delayed), (1, 1));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_batch_goes_on_without_an_item_whose_lease_is_lost_before_it_begins() {
    World::run(async |_| {
        let broker = numbers(3, secs(3)).await;
        let effects = Effects::default();
        let stored = effects.clone();
        let pipeline = Pipeline::from(broker.source()).batch(
            "store",
            Batch::items(10).within(secs(10)),
            async move |items: Vec<u64>| {
                items.into_iter().for_each(|n| stored.add(n));
                Ok::<_, SinkError>(())
            },
        );
        let running = pipeline.start().unwrap();
        sleep(ms(1)).await;
        broker.crash(secs(4));
        sleep(secs(4)).await;
        // At 3 s the leases of all are lost; the second deliveries come into the same batch, which begins at 10 s.
        sleep(ms(5900)).await;
        assert_eq!((effects.total(), running.snapshot().counts.superseded), (0, 0));
        sleep(ms(100)).await;
        assert_eq!((effects.total(), running.snapshot().counts.superseded), (3, 3));
        assert_eq!(broker.snapshot().stored, 0);
        broker.close();
        let report = running.await.unwrap();
        assert_eq!((report.accepted, report.acked, report.superseded), (6, 3, 3));
    });
}

#[test]
fn items_that_wait_for_a_limit_leave_when_their_lease_is_lost() {
    World::run(async |_| {
        let broker = numbers(20, secs(3)).await;
        let effects = Effects::default();
        let begun = effects.clone();
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async move |n| {
                begun.add(n);
                sleep(secs(100)).await;
                Ok::<_, Infallible>(n)
            })
            .limit(1)
            .flat_map("split", async |n| Ok::<_, Infallible>([n]))
            .batch("store", Batch::items(1), async |_| Ok::<_, SinkError>(()));
        let running = pipeline.start().unwrap();
        sleep(ms(1)).await;
        broker.crash(secs(60));
        sleep(ms(2999)).await;
        assert_eq!((running.snapshot().in_hand, running.snapshot().stages[0].queued), (20, 19));
        sleep(ms(1)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.in_hand, snapshot.counts.superseded, snapshot.stages[0].queued), (0, 20, 0));
        assert_eq!(effects.total(), 1);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn an_ack_of_a_message_that_another_delivery_has_ended_is_superseded() {
    World::run(async |_| {
        let broker = numbers(1, secs(3)).await;
        let demand = Demand { items: 1, bytes: usize::MAX };
        let (mut source, ack) = (broker.source(), broker.source().ack());
        let first = source.pull(demand).await.unwrap()[0].receipt;
        sleep(secs(4)).await;
        let second = source.pull(demand).await.unwrap()[0].receipt;
        assert_eq!(ack.settle(&[(second, Settle::Ack)]).await.unwrap(), [SettleOutcome::Confirmed]);
        // The message is gone: the answer to the one that ended it stays the same, if that was lost.
        for _ in 0..2 {
            let outcomes = ack.settle(&[(first, Settle::Ack), (second, Settle::Ack)]).await.unwrap();
            assert_eq!(outcomes, [SettleOutcome::Superseded, SettleOutcome::Confirmed]);
        }
        assert_eq!(ack.settle(&[(first, Settle::Term)]).await.unwrap(), [SettleOutcome::Superseded]);
        assert_eq!((broker.snapshot().acked, broker.snapshot().terminated), (1, 0));
    });
}

#[test]
fn no_more_acks_are_reported_than_there_are_messages() {
    for seed in 0..30 {
        World::run(async |_| {
            let broker = filled(100, faulty(seed)).await;
            broker.close();
            let pipeline = Pipeline::from(broker.source())
                .stage("work", async |n| {
                    sleep(ms(n % 10)).await;
                    Ok::<_, Infallible>(())
                })
                .limit(20);
            let report = pipeline.start().unwrap().await.unwrap();
            // A message that is delivered twice is acked by one of the two.
            assert_eq!((report.acked, broker.snapshot().acked), (100, 100), "seed {seed}");
            assert_adds_up(&report);
        });
    }
}
