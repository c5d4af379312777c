//! Several sources of one pipeline: none waits for another, each settles and leases its own, and an error says whose it is.

use std::{
    convert::Infallible,
    future::pending,
    rc::Rc,
    sync::{Arc, Mutex},
};

use evenkeel_pipeline::{
    Ack, Batch, Delivery, Demand, LowWaterMark, MemoryBroker, MemoryConfig, Pipeline, Running, Settle,
    SettleOutcome, SinkError, Source, SourceError, Warning, Workload,
};
use evenkeel_testkit::{World, cancel};
use tokio::time::{Instant, sleep};

use crate::support::{Effects, Letters, assert_adds_up, collect, faulty, filled, ms, no, numbers, secs};

async fn second(n: u64) -> Result<u64, Infallible> {
    sleep(secs(1)).await;
    Ok(n)
}

#[test]
fn items_of_all_sources_are_settled_at_their_own_and_the_last_one_ends_the_pipeline() {
    World::run(async |_| {
        let (one, two, three) =
            (numbers(30, secs(30)).await, numbers(20, secs(2)).await, numbers(0, secs(30)).await);
        one.close();
        three.close();
        let effects = Effects::default();
        let seen = effects.clone();
        let pipeline = Pipeline::from(one.source())
            .merge(two.source())
            .merge(three.source())
            .stage("work", async move |n| {
                seen.add(n);
                second(n).await
            })
            .limit(10);
        let mut running = pipeline.start().unwrap();
        assert!(tokio::time::timeout(secs(60), &mut running).await.is_err());
        assert_eq!((one.snapshot().acked, two.snapshot().acked), (30, 20));
        assert_eq!((effects.of(0), effects.of(19), effects.of(29)), (2, 2, 1));
        let start = Instant::now();
        two.close();
        let report = running.await.unwrap();
        assert_eq!((report.accepted, report.acked, start.elapsed()), (50, 50, ms(0)));
    });
}

#[test]
fn a_source_with_a_backlog_leaves_the_others_their_share() {
    World::run(async |_| {
        let (full, idle) = (numbers(1000, secs(30)).await, numbers(0, secs(30)).await);
        let pipeline = Pipeline::from(full.source()).merge(idle.source()).stage("work", second).limit(7);
        let running = pipeline.window(11).start().unwrap();
        sleep(ms(5500)).await;
        // The shares are 6 and 5; the window is never above.
        assert_eq!((full.snapshot().leased, running.snapshot().window), (6, 11));
        idle.publish(7).await.unwrap();
        sleep(ms(1)).await;
        assert_eq!((idle.snapshot().leased, running.snapshot().in_hand), (1, 7));
        sleep(secs(1)).await;
        assert_eq!(idle.snapshot().acked, 1);
        for n in 0..100 {
            idle.publish(n).await.unwrap();
        }
        let before = (full.snapshot().acked, idle.snapshot().acked);
        sleep(secs(22)).await;
        let (full, idle) = (full.snapshot().acked - before.0, idle.snapshot().acked - before.1);
        // About half and half.
        assert!(full + idle >= 22 * 7 - 1 && idle >= 60 && full >= 60, "{full} and {idle}");
        drop(running);
    });
}

#[test]
fn one_source_alone_keeps_the_stages_busy_by_default() {
    World::run(async |_| {
        let (full, idle) = (numbers(1000, secs(30)).await, numbers(0, secs(30)).await);
        let pipeline = Pipeline::from(full.source()).merge(idle.source()).stage("work", second).limit(100);
        let running = pipeline.start().unwrap();
        sleep(ms(9500)).await;
        assert_eq!((full.snapshot().acked, running.snapshot().window), (900, 200));
        drop(running);
    });
}

/// A log of numbers that ends, fails or hangs behind the last, with the mark up to which all is settled.
#[derive(Clone)]
struct Log {
    next: u64,
    end: u64,
    ends_with: Option<Result<(), &'static str>>,
    mark: Arc<Mutex<LowWaterMark>>,
}

fn log(from: u64, end: u64, ends_with: Option<Result<(), &'static str>>) -> Log {
    Log { next: from, end, ends_with, mark: Arc::new(Mutex::new(LowWaterMark::new(from))) }
}

impl Log {
    fn mark(&self) -> u64 {
        self.mark.lock().expect("nobody panics with it").get()
    }
}

impl Source for Log {
    type Item = u64;
    type Ack = Self;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        let end = self.end.min(self.next + demand.items as u64);
        let positions = self.next..end;
        self.next = end;
        if positions.is_empty() {
            match self.ends_with {
                None => pending().await,
                Some(Ok(())) => return Ok(Vec::new()),
                Some(Err("panic")) => panic!("of a log"),
                Some(Err(text)) => return Err(SourceError::permanent(text)),
            }
        }
        let mut mark = self.mark.lock().expect("nobody panics with it");
        positions.clone().for_each(|position| mark.begin(position));
        drop(mark);
        Ok(positions.map(|position| Delivery::new(position, position, 1)).collect())
    }

    fn ack(&self) -> Self {
        self.clone()
    }

    async fn check(&mut self, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
        Ok(vec![Warning::new(format!("{} at once", workload.window))])
    }
}

impl Ack for Log {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        let mut mark = self.mark.lock().expect("nobody panics with it");
        for (position, settle) in batch {
            if matches!(settle, Settle::Ack | Settle::Term) {
                let _ = mark.settle(*position);
            }
        }
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn each_log_has_its_own_low_water_mark() {
    World::run(async |_| {
        let (one, two) = (log(100, 110, Some(Ok(()))), log(5, 9, None));
        let pipeline = Pipeline::from(one.clone()).merge(two.clone()).stage("work", async |n| {
            // The second position of each is late.
            sleep(secs(if n == 101 || n == 6 { n } else { 1 })).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(secs(2)).await;
        assert_eq!((one.mark(), two.mark()), (101, 6));
        assert_eq!(running.snapshot().warnings.len(), 2);
        assert_eq!(running.snapshot().warnings[1], Warning::new("source 2: 64 at once"));
        sleep(secs(5)).await;
        assert_eq!((one.mark(), two.mark()), (101, 9));
        assert_adds_up(&running.drain(secs(200)).await.unwrap());
        assert_eq!((one.mark(), two.mark()), (110, 9));
    });
}

#[test]
fn a_source_that_fails_for_good_is_named_and_the_items_of_all_are_finished() {
    for (how, text) in [("it was deleted", "it was deleted"), ("panic", "panicked: of a log")] {
        World::builder().allow_panics(1).run(async |_| {
            let broker = numbers(1000, secs(30)).await;
            let pipeline = Pipeline::from(broker.source())
                .merge(log(0, 3, None))
                .merge(log(0, 3, Some(Err(how))))
                .stage("work", second)
                .limit(30)
                .window(30);
            let start = Instant::now();
            let error = pipeline.start().unwrap().await.unwrap_err();
            assert_eq!(error.to_string(), format!("the pipeline has ended: source 3: {text}"));
            // The error came at once, and stopped the pulls of the others.
            assert_eq!((start.elapsed(), error.report().accepted, error.report().acked), (secs(1), 16, 16));
            assert_eq!((broker.snapshot().stored, broker.snapshot().leased), (990, 0));
        });
    }
}

#[test]
fn an_error_that_passes_is_told_with_its_source_and_holds_up_no_other() {
    World::run(async |_| {
        let (down, up) = (numbers(100, secs(1)).await, numbers(100, secs(1)).await);
        let pipeline = Pipeline::from(up.source()).merge(down.source()).stage("work", second).limit(10);
        let running = pipeline.window(10).start().unwrap();
        sleep(ms(500)).await;
        down.crash(secs(10));
        sleep(secs(10)).await;
        let snapshot = running.snapshot();
        assert_eq!(snapshot.last_error.as_deref(), Some("source 2: the broker is down"));
        assert_eq!((up.snapshot().acked, up.snapshot().expired, snapshot.unsettled), (50, 0, 5));
        // The pause in which the broker comes back is the eighth at most, of 12.8 s, as the first eight take 12.75 s at
        // least: half of a tenth of a second, doubled seven times. Then 100 items take 20 s, as the share is 5.
        sleep(ms(12_800 + 20_000 + 100)).await;
        assert_eq!((up.snapshot().acked, down.snapshot().acked), (100, 100));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn dead_letters_of_all_sources_go_to_one_sink() {
    World::run(async |_| {
        let (one, two) = (numbers(3, secs(30)).await, numbers(3, secs(30)).await);
        one.close();
        two.close();
        let letters = Letters::default();
        let pipeline = Pipeline::from(one.source())
            .merge(two.source())
            .stage("fail", async |n| if n == 1 { Ok(()) } else { Err(no("always")) })
            .max_attempts(2)
            .backoff(|_| ms(5))
            .dead_letter(collect(&letters));
        let report = pipeline.start().unwrap().await.unwrap();
        assert_eq!((report.accepted, report.acked, report.nacked, report.dead), (10, 2, 4, 4));
        let mut origins: Vec<String> = letters.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
        origins.sort();
        origins.dedup();
        assert_eq!(origins.len(), 4);
    });
}

#[test]
fn shares_that_are_too_small_are_refused() {
    World::run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let merged = || Pipeline::from(broker.source()).merge(broker.source()).merge(broker.source());
        let error = merged().window(2).stage("work", second).start().unwrap_err().to_string();
        assert_eq!(error, "a window of 2 has no room for each of 3 sources");
        let error = merged().budget(2).stage("work", second).start().unwrap_err().to_string();
        assert_eq!(error, "a budget of 2 bytes has no room for each of 3 sources");
        let store = async |_: Vec<u64>| Ok::<_, SinkError>(());
        let batch = merged().batch("store", Batch::items(100), store).window(299);
        let text = "a batch of stage `store` has 100 items, and the window only 99 for each of 3 sources: it would never be full";
        assert_eq!(batch.start().unwrap_err().to_string(), text);
        drop(merged().batch("store", Batch::items(100), store).start().unwrap());
    });
}

#[test]
fn a_budget_is_shared_out_as_well() {
    World::run(async |_| {
        let brokers = [MemoryBroker::new(), MemoryBroker::new()];
        for broker in &brokers {
            for n in 0..20 {
                broker.publish_sized(n, 10).await.unwrap();
            }
        }
        let [one, two] = &brokers;
        let pipeline = Pipeline::from(one.source()).merge(two.source()).stage("work", second).budget(100);
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        assert_eq!((running.snapshot().bytes, one.snapshot().leased, two.snapshot().leased), (100, 5, 5));
        drop(running);
    });
}

fn merged(one: &MemoryBroker<u64>, two: &MemoryBroker<u64>) -> Running {
    let pipeline = Pipeline::from(one.source())
        .merge(two.source())
        .keyed(|n: &u64| n % 5)
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
fn a_drain_that_is_dropped_at_any_await_loses_no_item_of_any_source() {
    let cuts = cancel::every_point(
        async || {
            let slow = MemoryConfig { ack_wait: secs(2), ..faulty(7) };
            Rc::new((filled(10, slow.clone()).await, filled(10, slow).await))
        },
        async |brokers| {
            let running = merged(&brokers.0, &brokers.1);
            sleep(ms(10)).await;
            assert_adds_up(&running.drain(ms(30)).await.unwrap());
        },
        async |brokers| {
            brokers.0.close();
            brokers.1.close();
            assert_adds_up(&merged(&brokers.0, &brokers.1).await.unwrap());
            for broker in [&brokers.0, &brokers.1] {
                assert_eq!((broker.snapshot().acked, broker.snapshot().stored), (10, 0));
            }
        },
    );
    assert!(cuts.points() >= 2, "{cuts:?}");
}

#[test]
fn a_pause_stops_all_sources_and_a_dropped_handle_settles_nothing() {
    World::run(async |_| {
        let (one, two) = (numbers(10, secs(3)).await, numbers(10, secs(3)).await);
        let pipeline = Pipeline::from(one.source()).merge(two.source()).stage("work", second).limit(4);
        let running = pipeline.window(4).start().unwrap();
        sleep(ms(500)).await;
        running.pause();
        sleep(secs(5)).await;
        assert_eq!((one.snapshot().acked, two.snapshot().acked, running.snapshot().is_paused), (2, 2, true));
        running.resume();
        sleep(ms(500)).await;
        assert_eq!((one.snapshot().leased, two.snapshot().leased), (2, 2));
        drop(running);
        sleep(secs(4)).await;
        assert_eq!((one.snapshot().expired, two.snapshot().expired), (2, 2));
    });
}

/// Runs a merge of sources whose calls fail now and then, and returns what happened when.
fn trace(seed: u64) -> Vec<(u128, u64)> {
    World::run(async |_| {
        let (one, two) = (filled(40, faulty(3)).await, filled(40, faulty(4)).await);
        one.close();
        two.close();
        let (start, events) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&events);
        let pipeline = Pipeline::from(one.source())
            .merge(two.source())
            .stage("work", async move |n: u64| {
                seen.lock().expect("nobody panics with it").push((start.elapsed().as_nanos(), n));
                sleep(ms(n % 7)).await;
                Ok::<_, Infallible>(())
            })
            .limit(3)
            .seed(seed);
        one.crash(secs(5));
        two.crash(secs(3));
        assert_adds_up(&pipeline.start().expect("it is valid").await.expect("it ends"));
        let mut events = events.lock().expect("nobody panics with it");
        events.push((start.elapsed().as_nanos(), 0));
        events.clone()
    })
}

#[test]
fn a_seed_makes_the_pauses_of_failing_sources_reproducible() {
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}
