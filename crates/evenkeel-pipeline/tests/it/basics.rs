//! An item goes through its stages and is acked; failures, panics and timeouts are delivered again, or dead.

use std::{convert::Infallible, time::Duration};

use evenkeel_pipeline::{Batch, Pipeline, SinkError};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{Effects, Letters, assert_adds_up, collect, ms, no, numbers, secs};

#[test]
fn items_go_through_all_stages_side_by_side_and_are_acked() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        broker.close();
        let effects = Effects::default();
        let written = effects.clone();
        let start = Instant::now();
        let pipeline = Pipeline::from(broker.source())
            .stage("double", async |n: u64| {
                sleep(ms(100)).await;
                Ok::<_, Infallible>(n * 2)
            })
            .limit(5)
            .stage("write", async move |n| {
                sleep(ms(100)).await;
                written.add(n);
                Ok::<_, Infallible>(())
            });
        let report = pipeline.start().unwrap().await.unwrap();
        // Two rounds of five, the second stage of the last behind them.
        assert_eq!(start.elapsed(), ms(300));
        assert_eq!((report.accepted, report.acked), (10, 10));
        assert_eq!(effects.items(), (0..10).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(broker.snapshot().stored, 0);
        assert_eq!(broker.snapshot().acked, 10);
    });
}

#[test]
fn a_failed_item_comes_again_after_its_delay_and_is_dead_after_its_last_attempt() {
    World::run(async |_| {
        let broker = numbers(2, secs(30)).await;
        broker.close();
        let (effects, letters) = (Effects::default(), Letters::default());
        let tried = effects.clone();
        let start = Instant::now();
        let pipeline = Pipeline::from(broker.source())
            .stage("try", async move |n| {
                tried.add(n);
                if n == 1 { Err(no("it is 1")) } else { Ok(()) }
            })
            .max_attempts(3)
            .dead_letter(collect(&letters));
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!(start.elapsed(), secs(1 + 2));
        assert_eq!((report.accepted, report.acked, report.nacked, report.dead), (4, 1, 2, 1));
        assert_eq!((effects.of(0), effects.of(1)), (1, 3));
        let letters = letters.lock().unwrap();
        let [(id, letter)] = letters.as_slice() else { panic!("{letters:?}") };
        assert!(id.starts_with("memory") && id.ends_with(":2"), "{id}");
        assert_eq!((letter.item, letter.attempts), (1, 3));
        assert_eq!(letter.reason, "stage `try`: it is 1");
        assert_eq!((broker.snapshot().terminated, broker.snapshot().stored), (1, 0));
    });
}

#[test]
fn a_panic_and_a_timeout_are_failures_of_their_item_with_their_reason() {
    World::builder().allow_panics(1).run(async |_| {
        let broker = numbers(3, secs(30)).await;
        broker.close();
        let letters = Letters::default();
        let pipeline = Pipeline::from(broker.source())
            .stage("try", async |n| match n {
                0 => panic!("boom {n}"),
                1 => {
                    sleep(secs(100)).await;
                    Ok(())
                }
                _ => Ok::<_, Infallible>(()),
            })
            .timeout(secs(5))
            .max_attempts(1)
            .dead_letter(collect(&letters));
        let start = Instant::now();
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!(start.elapsed(), secs(5));
        assert_eq!((report.acked, report.dead), (1, 2));
        let mut letters: Vec<_> = letters.lock().unwrap().iter().map(|(_, l)| l.reason.clone()).collect();
        letters.sort();
        assert_eq!(letters, ["stage `try`: panicked: boom 0", "stage `try`: timed out after 5s"]);
    });
}

#[test]
fn an_item_that_is_filtered_is_acked_and_goes_no_further() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        broker.close();
        let effects = Effects::default();
        let seen = effects.clone();
        let pipeline = Pipeline::from(broker.source())
            .filter_map("odd", async |n| Ok::<_, Infallible>((n % 2 == 1).then_some(n)))
            .stage("see", async move |n| {
                seen.add(n);
                Ok::<_, Infallible>(())
            });
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!(report.acked, 10);
        assert_eq!(effects.items(), [1, 3, 5, 7, 9]);
    });
}

#[test]
fn an_item_that_is_split_is_acked_when_its_last_part_is_done_and_fails_with_any() {
    World::run(async |_| {
        let broker = numbers(4, secs(30)).await;
        broker.close();
        let (effects, letters) = (Effects::default(), Letters::default());
        let seen = effects.clone();
        let pipeline = Pipeline::from(broker.source())
            .flat_map("split", async |n: u64| Ok::<_, Infallible>((0..n).map(move |part| n * 10 + part)))
            .messages()
            .stage("see", async move |part| {
                sleep(Duration::from_secs(part.item % 10)).await;
                seen.add(part.item);
                // The identity of each part: the item, and its index.
                let (item, index) = part.id.split_once(':').unwrap().1.split_once('/').unwrap();
                assert_eq!(item.parse::<u64>().unwrap() - 1, part.item / 10);
                assert_eq!(index.parse::<u64>().unwrap(), part.item % 10);
                if part.item == 20 { Err(no("part")) } else { Ok(()) }
            })
            .max_attempts(1)
            .dead_letter(collect(&letters));
        let start = Instant::now();
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!(start.elapsed(), secs(2));
        assert_eq!((report.accepted, report.acked, report.dead), (4, 3, 1));
        // The other part of the one that fails has ended, too.
        assert_eq!(effects.items(), [10, 20, 21, 30, 31, 32]);
        assert_eq!(letters.lock().unwrap()[0].1.item, 2);
    });
}

#[test]
fn the_parts_of_an_item_are_worked_on_as_the_limits_say_and_not_the_window() {
    World::run(async |_| {
        let broker = numbers(2, secs(30)).await;
        broker.close();
        let pipeline = Pipeline::from(broker.source())
            .flat_map("split", async |_| Ok::<_, Infallible>(0..50))
            .stage("see", async |_| {
                sleep(secs(1)).await;
                Ok::<_, Infallible>(())
            })
            .limit(25)
            .window(1);
        let start = Instant::now();
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.in_hand, snapshot.stages[1].in_flight), (1, 25));
        assert_eq!(running.await.unwrap().acked, 2);
        assert_eq!(start.elapsed(), secs(4));
    });
}

#[test]
fn a_batch_is_acked_as_a_whole_or_without_the_items_that_it_names() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let effects = Effects::default();
        let stored = effects.clone();
        let pipeline = Pipeline::from(broker.source())
            .batch("store", Batch::items(4).within(ms(200)), async move |items: Vec<u64>| {
                let failed: Vec<usize> = (0..items.len())
                    .filter(|i| {
                        stored.add(items[*i]);
                        items[*i] == 5 && stored.of(5) < 3
                    })
                    .collect();
                if failed.is_empty() { Ok(()) } else { Err(SinkError::some("not 5", failed)) }
            })
            .backoff(|attempt| secs(10 * u64::from(attempt)));
        let running = pipeline.start().unwrap();
        sleep(ms(199)).await;
        assert_eq!(effects.total(), 8);
        sleep(ms(2)).await;
        assert_eq!(effects.total(), 10);
        assert_eq!(broker.snapshot().acked, 9);
        broker.close();
        let start = Instant::now();
        let report = running.await.unwrap();
        // 5 comes again 10 and 20 seconds later, and waits for its batch to fill.
        assert_eq!(start.elapsed(), secs(30) + ms(199));
        assert_eq!((report.accepted, report.acked, report.nacked), (12, 10, 2));
        assert_eq!((effects.of(5), effects.total()), (3, 12));
        assert_adds_up(&report);
    });
}

#[test]
fn items_with_the_same_key_keep_their_order_while_others_go_on() {
    World::run(async |_| {
        let broker = numbers(12, secs(30)).await;
        broker.close();
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&order);
        let pipeline = Pipeline::from(broker.source()).keyed(|n: &u64| n % 3).stage("see", async move |n| {
            // The first ones of a key take longest, so that without an order they would be last.
            sleep(ms(100 - n)).await;
            seen.lock().unwrap().push(n);
            Ok::<_, Infallible>(())
        });
        let start = Instant::now();
        assert_eq!(pipeline.start().unwrap().await.unwrap().acked, 12);
        assert_eq!(start.elapsed(), ms(4 * 100 - (3 + 6 + 9)));
        let order = order.lock().unwrap();
        for key in 0..3 {
            let of_key: Vec<u64> = order.iter().copied().filter(|n| n % 3 == key).collect();
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
    });
}

#[test]
fn an_item_that_retries_within_its_stage_keeps_the_place_of_its_key_while_others_go_on() {
    World::run(async |_| {
        let broker = numbers(8, secs(30)).await;
        broker.close();
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&order);
        let pipeline = Pipeline::from(broker.source()).keyed(|n: &u64| n % 2).stage("call", async move |n| {
            // The first of key 0 fails twice, and waits a second each time.
            for _ in 0..if n == 0 { 2 } else { 0 } {
                sleep(secs(1)).await;
            }
            seen.lock().unwrap().push(n);
            Ok::<_, Infallible>(())
        });
        let start = Instant::now();
        assert_eq!(pipeline.start().unwrap().await.unwrap().acked, 8);
        assert_eq!(start.elapsed(), secs(2));
        assert_eq!(*order.lock().unwrap(), [1, 3, 5, 7, 0, 2, 4, 6]);
    });
}
