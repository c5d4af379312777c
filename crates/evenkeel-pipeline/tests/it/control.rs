//! Control while it runs: pause, limits, the window, the budget, and the numbers.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Batch, Bottleneck, Deliveries, Delivery, Demand, MemoryBroker, Pipeline, Settle, SettleOutcome,
    SinkError, Source, SourceError,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{ms, no, numbers, secs};

async fn second<T>(item: T) -> Result<T, Infallible> {
    sleep(secs(1)).await;
    Ok(item)
}

#[test]
fn a_pause_stops_pulls_and_a_resume_goes_on() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let running =
            Pipeline::from(broker.source()).stage("work", second).limit(2).window(2).start().unwrap();
        sleep(ms(1500)).await;
        running.pause();
        sleep(secs(60)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.counts.acked, snapshot.in_hand, snapshot.is_paused), (4, 0, true));
        assert_eq!(snapshot.bottleneck(), Bottleneck::Paused);
        running.resume();
        sleep(ms(3001)).await;
        assert_eq!(running.snapshot().counts.acked, 10);
        // A pull that waits for items is given up as well.
        sleep(secs(1)).await;
        running.pause();
        broker.publish(10).await.unwrap();
        sleep(secs(5)).await;
        assert_eq!((running.snapshot().counts.accepted, broker.snapshot().stored), (10, 1));
        running.resume();
        sleep(ms(1001)).await;
        assert_eq!(broker.snapshot().stored, 0);
    });
}

#[test]
fn a_limit_can_be_raised_and_lowered_while_items_wait_for_it() {
    World::run(async |_| {
        let broker = numbers(100, secs(30)).await;
        let running =
            Pipeline::from(broker.source()).stage("work", second).limit(1).window(50).start().unwrap();
        sleep(ms(500)).await;
        let stage = || running.snapshot().stages[0].clone();
        assert_eq!((stage().in_flight, stage().queued, stage().limit), (1, 49, 1));
        let name = "work".to_owned();
        assert_eq!(running.snapshot().bottleneck(), Bottleneck::Stage { name, queued: 49, in_flight: 1 });
        assert!(running.set_limit("work", 10));
        sleep(ms(1)).await;
        assert_eq!((stage().in_flight, stage().queued), (10, 40));
        assert!(running.set_limit("work", 4));
        sleep(secs(1)).await;
        // Ten have ended, and four follow.
        assert_eq!((stage().in_flight, stage().done), (4, 10));
        assert!(!running.set_limit("another", 4));
    });
}

#[test]
#[should_panic(expected = "the limit of a stage must not be zero")]
fn a_limit_of_zero_is_refused_while_it_runs() {
    World::run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let running = Pipeline::from(broker.source()).stage("work", second).start().unwrap();
        let _ = running.set_limit("work", 0);
    });
}

#[test]
fn the_snapshot_tells_waiting_from_working_and_names_the_bottleneck() {
    World::run(async |_| {
        let broker = numbers(4, secs(30)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("fast", second)
            .stage("slow", async |n| {
                sleep(secs(3)).await;
                if n == 3 { Err(no("it is 3")) } else { Ok(()) }
            })
            .limit(1)
            .backoff(|_| secs(1000));
        let running = pipeline.start().unwrap();
        let first = running.snapshot();
        sleep(ms(6500)).await;
        let snapshot = running.snapshot();
        let name = "slow".to_owned();
        assert_eq!(snapshot.bottleneck(), Bottleneck::Stage { name, queued: 2, in_flight: 1 });
        assert_eq!(snapshot.bottleneck().to_string(), "stage `slow`: 2 wait for it, 1 are in flight");
        assert_eq!((snapshot.stages[0].working, snapshot.stages[0].waiting), (secs(4), secs(0)));
        assert_eq!((snapshot.stages[1].working, snapshot.stages[1].waiting), (secs(3), secs(3)));
        assert_eq!(snapshot.rate_since(&first, "fast"), Some(4.0 / 6.5));
        assert_eq!(snapshot.rate_since(&first, "another"), None);
        assert_eq!((snapshot.in_hand, snapshot.counts.acked, snapshot.counts.unfinished), (3, 1, 3));
        sleep(secs(10)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.stages[1].done, snapshot.stages[1].failed), (3, 1));
        assert_eq!(snapshot.stages[1].last_failure.as_deref(), Some("stage `slow`: it is 3"));
        assert_eq!(snapshot.bottleneck(), Bottleneck::Source);
    });
}

#[test]
fn a_future_is_dropped_before_another_item_takes_its_turn() {
    struct Held(Arc<Mutex<u32>>);
    impl Drop for Held {
        fn drop(&mut self) {
            *self.0.lock().expect("nobody panics with it") -= 1;
        }
    }
    World::run(async |_| {
        let broker = numbers(30, secs(30)).await;
        broker.close();
        let held = Arc::new(Mutex::new(0));
        let pipeline = Pipeline::from(broker.source())
            .stage("work", move |n: u64| {
                let guard = Held(Arc::clone(&held));
                let mut held = held.lock().expect("nobody panics with it");
                *held += 1;
                assert_eq!(*held, 1);
                async move {
                    let _guard = &guard;
                    // Some end at their first poll, and some fail.
                    sleep(ms(n % 3)).await;
                    if n % 5 == 4 { Err("five") } else { Ok(()) }
                }
            })
            .limit(1)
            .timeout(ms(2))
            .backoff(|_| ms(1))
            .window(30);
        let running = pipeline.start().unwrap();
        sleep(ms(100)).await;
        let stage = running.snapshot().stages[0].clone();
        assert!(stage.done >= 16 && stage.failed > 10, "{stage:?}");
        assert!(!stage.last_failure.expect("some fail").contains("panicked"));
        drop(running);
    });
}

/// A source that notes what it was asked for, and gives all of it.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<usize>>>, Duration);

impl Source for Asked {
    type Item = ();
    type Ack = Self;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<(), u64>>, SourceError> {
        self.0.lock().expect("nobody panics with it").push(demand.items);
        Ok((0..demand.items).map(|_| Delivery::new((), 0, 1)).collect())
    }

    fn ack(&self) -> Self {
        self.clone()
    }
}

impl Ack for Asked {
    type Receipt = u64;

    fn linger(&self) -> Duration {
        self.1
    }

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        self.0.lock().expect("nobody panics with it").push(1000 + batch.len());
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn a_pull_asks_for_the_free_window_and_waits_until_that_is_worth_it() {
    World::run(async |_| {
        let asked = Asked::default();
        let running =
            Pipeline::from(asked.clone()).stage("work", second).limit(10).window(50).start().unwrap();
        sleep(ms(1500)).await;
        // Ten have ended: 40 are in hand, of which 30 wait. Half of those that may wait are worth a pull.
        assert_eq!(*asked.0.lock().expect("nobody panics with it"), [50, 1010]);
        sleep(secs(1)).await;
        assert_eq!(*asked.0.lock().expect("nobody panics with it"), [50, 1010, 20, 1010]);
        drop(running);
        let asked = Asked::default();
        let running =
            Pipeline::from(asked.clone()).stage("work", second).limit(10).window(10).start().unwrap();
        sleep(ms(1500)).await;
        assert_eq!(*asked.0.lock().expect("nobody panics with it"), [10, 10, 1010]);
        drop(running);
    });
}

#[test]
fn decisions_wait_for_the_time_that_the_source_wants_them_together() {
    World::run(async |_| {
        let asked = Asked(Arc::default(), ms(100));
        let pipeline = Pipeline::from(asked.clone())
            .stage("work", async |()| {
                sleep(ms(60)).await;
                Ok::<_, Infallible>(())
            })
            .limit(10)
            .window(10);
        let running = pipeline.start().unwrap();
        sleep(ms(350)).await;
        // Ends at 60, 120, 180, 240, 300; settled at 160 and at 280.
        let settled = |asked: &Asked| -> Vec<usize> {
            asked.0.lock().expect("nobody panics with it").iter().copied().filter(|n| *n > 1000).collect()
        };
        assert_eq!(settled(&asked), [1020, 1020]);
        // The end does not linger.
        let report = running.drain(secs(9)).await.unwrap();
        assert_eq!(report.acked, 60);
    });
}

#[test]
fn the_budget_bounds_the_bytes_in_hand_but_for_the_first_item_of_a_pull() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        for size in [40, 40, 40, 500, 60] {
            broker.publish_sized(size, size).await.unwrap();
        }
        let most = Arc::new(Mutex::new(Vec::new()));
        let running = Pipeline::from(broker.source()).stage("work", second).budget(100).start().unwrap();
        for _ in 0..5 {
            sleep(ms(900)).await;
            most.lock().expect("nobody panics with it").push(running.snapshot().bytes);
            sleep(ms(100)).await;
        }
        assert_eq!(*most.lock().expect("nobody panics with it"), [80, 540, 60, 0, 0]);
        broker.close();
        assert_eq!(running.await.unwrap().acked, 5);
    });
}

#[test]
fn settings_that_make_no_pipeline_are_refused_in_a_sentence() {
    World::run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let from = || Pipeline::from(broker.source());
        let staged = || from().stage("work", second);
        let error = from().start().unwrap_err().to_string();
        assert_eq!(error, "the pipeline has no stage, batch or sink: it would ack items untouched");
        let error = from().limit(3).stage("work", second).start().unwrap_err().to_string();
        assert_eq!(error, "a limit or timeout stands before the first stage: it belongs behind its stage");
        let error = staged().limit(0).start().unwrap_err().to_string();
        assert_eq!(error, "the limit of stage `work` is zero");
        let error = staged().timeout(Duration::ZERO).start().unwrap_err().to_string();
        assert_eq!(error, "the timeout of stage `work` is zero");
        assert_eq!(staged().window(0).start().unwrap_err().to_string(), "the window is zero");
        assert_eq!(staged().budget(0).start().unwrap_err().to_string(), "the budget is zero bytes");
        let error = staged().stage("work", second).start().unwrap_err().to_string();
        assert_eq!(error, "two stages have the name `work`");
        let error = staged().max_attempts(3).start().unwrap_err().to_string();
        assert_eq!(error, "max_attempts needs a dead letter sink: items would be lost");
        let letters = crate::support::Letters::default();
        let dead = staged().max_attempts(0).dead_letter(crate::support::collect(&letters));
        assert_eq!(dead.start().unwrap_err().to_string(), "the number of attempts is zero");
        let batch = from().batch("store", Batch::items(100), async |_| Ok::<_, SinkError>(())).window(50);
        let error = batch.start().unwrap_err().to_string();
        let text = "a batch of stage `store` has 100 items, and the window only 50: it would never be full";
        assert_eq!(error, text);
        let batch =
            |batch: Batch<u64>| from().batch("store", batch, async |_| Ok::<_, SinkError>(())).budget(100);
        let error = batch(Batch::items(10)).start().unwrap_err().to_string();
        let text = "a batch of stage `store` has no time limit, and the budget may hold fewer items: it would never be full";
        assert_eq!(error, text);
        drop(batch(Batch::items(10).within(secs(1))).start().unwrap());
    });
}

/// A source that counts its pauses.
struct Counting<S> {
    source: S,
    pauses: Arc<Mutex<Vec<Duration>>>,
    start: Instant,
}

impl<S: Source> Source for Counting<S> {
    type Item = S::Item;
    type Ack = S::Ack;

    async fn pull(&mut self, demand: Demand) -> Result<Deliveries<S>, SourceError> {
        self.source.pull(demand).await
    }

    fn ack(&self) -> S::Ack {
        self.source.ack()
    }

    async fn pause(&mut self) {
        self.pauses.lock().expect("no panic").push(self.start.elapsed());
    }
}

#[test]
fn a_source_is_told_of_each_pause_once_also_while_the_window_is_full() {
    World::run(async |_| {
        let broker = numbers(4, secs(30)).await;
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let source = Counting { source: broker.source(), pauses: Arc::clone(&pauses), start: Instant::now() };
        let running = Pipeline::from(source).stage("work", second).window(2).start().unwrap();
        // The window is full at first; a pull waits at the end.
        for wait in [500, 999, 3999] {
            sleep(ms(wait)).await;
            running.pause();
            running.pause();
            sleep(ms(1)).await;
            running.resume();
        }
        assert_eq!(*pauses.lock().unwrap(), [ms(500), ms(1500), ms(5500)]);
        let report = running.drain(secs(60)).await.unwrap();
        assert_eq!(report.acked, 4);
    });
}

#[test]
fn a_drain_ends_a_pause_and_a_batch_stage_takes_a_new_limit() {
    World::run(async |_| {
        let broker = numbers(100, secs(30)).await;
        let pipeline = Pipeline::from(broker.source())
            .batch("store", Batch::items(10), async |_| {
                sleep(secs(1)).await;
                Ok::<_, SinkError>(())
            })
            .limit(1)
            .window(100);
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        let stage = || running.snapshot().stages[0].clone();
        assert_eq!((stage().in_flight, stage().queued), (1, 9));
        assert!(running.set_limit("store", 5));
        sleep(ms(600)).await;
        assert_eq!((stage().in_flight, stage().queued, stage().done), (5, 4, 1));
        running.pause();
        let report = running.drain(secs(60)).await.unwrap();
        assert_eq!((report.acked, report.left()), (100, 0));
    });
}

/// Six items at once, and none later.
struct SixItems {
    was_pulled: bool,
    began: Instant,
    demands: Arc<Mutex<Vec<(Duration, usize)>>>,
}

impl Source for SixItems {
    type Item = u64;
    type Ack = Instantly;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        self.demands.lock().expect("nobody panics with it").push((self.began.elapsed(), demand.items));
        if std::mem::replace(&mut self.was_pulled, true) {
            return std::future::pending().await;
        }
        Ok((1..=6).map(|n| Delivery::new(n, n, 1)).collect())
    }

    fn ack(&self) -> Instantly {
        Instantly
    }
}

#[derive(Clone)]
struct Instantly;

impl Ack for Instantly {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn a_pull_that_waits_is_asked_again_when_the_room_is_twice_its_demand() {
    World::run(async |_| {
        let demands = Arc::<Mutex<Vec<(Duration, usize)>>>::default();
        let source = SixItems { was_pulled: false, began: Instant::now(), demands: Arc::clone(&demands) };
        let work = async |n: u64| {
            sleep(secs(n)).await;
            Ok::<_, Infallible>(())
        };
        let running = Pipeline::from(source).stage("work", work).limit(6).window(8).start().unwrap();
        sleep(secs(60)).await;
        let expected = [(0, 8), (0, 2), (2, 4), (6, 8)].map(|(at, items)| (secs(at), items));
        assert_eq!(*demands.lock().unwrap(), expected);
        let report = running.drain(secs(1)).await.unwrap();
        assert_eq!(report.acked, 6, "{report}");
    });
}
