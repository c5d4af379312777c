//! Code of users that panics where nobody expects it: the item fails, and the account goes on.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Batch, DeadLetter, Delivery, Demand, MemoryBroker, MemoryConfig, Message, Pipeline, Settle,
    SettleOutcome, SinkError, Source, SourceError,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{Letters, assert_adds_up, collect, ms, no, numbers, secs};

/// A value whose clone or drop panics, if it is told to.
#[derive(Debug)]
struct Bomb {
    number: u64,
    on_clone: bool,
    on_drop: bool,
}

impl Clone for Bomb {
    fn clone(&self) -> Self {
        assert!(!self.on_clone, "clone of {}", self.number);
        Self { number: self.number, on_clone: false, on_drop: self.on_drop }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.on_drop && !std::thread::panicking() {
            self.on_drop = false;
            panic!("drop of {}", self.number);
        }
    }
}

#[test]
fn an_item_whose_drop_panics_fails_and_the_others_are_acked() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("make", async |number| {
                Ok::<_, Infallible>(Bomb { number, on_clone: false, on_drop: number == 3 })
            })
            .stage("drop", async |bomb: Bomb| {
                drop(bomb);
                Ok::<_, Infallible>(())
            })
            .backoff(|_| secs(100));
        let running = pipeline.start().unwrap();
        sleep(secs(1)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.counts.acked, snapshot.counts.nacked), (9, 1));
        assert_eq!(snapshot.stages[1].last_failure.as_deref(), Some("stage `drop`: panicked: drop of 3"));
        assert_adds_up(&running.drain(secs(1)).await.unwrap());
    });
}

#[test]
fn a_value_that_panics_when_the_pipeline_drops_it_fails_its_item() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(10, secs(30)).await;
        // The last stage returns it, and nobody takes it.
        let pipeline = Pipeline::from(broker.source()).stage("make", async |number| {
            Ok::<_, Infallible>(Bomb { number, on_clone: false, on_drop: number == 3 })
        });
        let running = pipeline.start().unwrap();
        sleep(ms(999)).await;
        let counts = running.snapshot().counts;
        // It comes again a second later, and not at once.
        assert_eq!((counts.acked, counts.nacked, counts.unfinished), (9, 1, 0));
        assert_adds_up(&running.drain(secs(1)).await.unwrap());
    });
}

#[test]
fn a_clone_that_panics_in_the_broker_loses_no_message() {
    World::builder().allow_panics(1).run(async |_| {
        let broker = MemoryBroker::new();
        for number in 0..3 {
            broker.publish(Bomb { number, on_clone: number == 1, on_drop: false }).await.unwrap();
        }
        let running =
            Pipeline::from(broker.source()).stage("work", async |_| Ok::<_, Infallible>(())).start().unwrap();
        // The pull panics, which ends the pipeline; all messages are still there.
        let error = running.await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: panicked: clone of 1");
        assert_eq!((broker.snapshot().stored, broker.snapshot().leased), (3, 0));
        assert_adds_up(error.report());
    });
}

#[test]
fn a_backoff_that_panics_is_replaced_by_the_default() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let running = Pipeline::from(broker.source())
            .stage("work", async |_| Err::<(), _>(no("no")))
            .backoff(|_| panic!("no delay"))
            .start()
            .unwrap();
        sleep(ms(500)).await;
        assert_eq!((running.snapshot().counts.nacked, broker.snapshot().delayed), (1, 1));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_key_that_panics_fails_its_item_and_no_other() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(10, secs(30)).await;
        broker.close();
        let letters = Letters::default();
        let running = Pipeline::from(broker.source())
            .keyed(|n: &u64| if *n == 3 { panic!("no key") } else { *n })
            .stage("work", async |_| Ok::<_, Infallible>(()))
            .max_attempts(2)
            .backoff(|_| secs(7))
            .dead_letter(collect(&letters))
            .start()
            .unwrap();
        let start = Instant::now();
        let report = running.await.unwrap();
        assert_eq!((report.acked, report.nacked, report.dead, start.elapsed()), (9, 1, 1, secs(7)));
        let letters = letters.lock().unwrap();
        assert_eq!((letters[0].1.item, &*letters[0].1.reason), (3, "its key: panicked: no key"));
    });
}

#[test]
fn the_size_of_an_item_that_panics_fails_it_and_no_other() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let size = |n: &u64| if *n == 3 { panic!("no size") } else { 1 };
        let running = Pipeline::from(broker.source())
            .batch("store", Batch::items(100).max_bytes(3, size), async |_| Ok::<_, SinkError>(()))
            .max_attempts(1)
            .dead_letter(collect(&Letters::default()))
            .start()
            .unwrap();
        sleep(ms(500)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.counts.acked, snapshot.counts.dead), (9, 1));
        assert_eq!(snapshot.stages[0].last_failure.as_deref(), Some("stage `store`: panicked: no size"));
        assert_adds_up(&running.drain(secs(1)).await.unwrap());
    });
}

/// Three numbers; the receipt of the second cannot be displayed.
struct Unnamed(u32);

#[derive(Clone)]
struct UnnamedAck;

#[derive(Clone, Copy)]
struct Name(u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert_ne!(self.0, 1, "no name");
        self.0.fmt(f)
    }
}

impl Source for Unnamed {
    type Item = u64;
    type Ack = UnnamedAck;

    async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<u64, Name>>, SourceError> {
        self.0 += 1;
        Ok(if self.0 == 1 { (0..3).map(|n| Delivery::new(n, Name(n), 1)).collect() } else { Vec::new() })
    }

    fn ack(&self) -> UnnamedAck {
        UnnamedAck
    }
}

impl Ack for UnnamedAck {
    type Receipt = Name;

    async fn settle(&self, batch: &[(Name, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

/// An error that cannot be displayed.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

#[test]
fn a_dead_letter_whose_origin_or_error_panics_holds_up_no_other() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let pipeline = |letters: &Letters| {
            Pipeline::from(Unnamed(0))
                .stage("work", async |_| Err::<(), _>(no("no")))
                .max_attempts(1)
                .dead_letter(collect(letters))
        };
        let letters = Letters::default();
        let report = pipeline(&letters).start().unwrap().await.unwrap();
        assert_eq!((report.dead, report.nacked, letters.lock().unwrap().len()), (2, 1, 2));
        let speechless = pipeline(&letters)
            .dead_letter(async |_: Vec<Message<DeadLetter<u64>>>| Err::<(), _>(SinkError::all(Unspeakable)));
        let report = speechless.start().unwrap().await.unwrap();
        assert_eq!((report.dead, report.nacked), (0, 3));
    });
}

#[test]
fn times_that_no_clock_can_tell_are_forever() {
    World::run(async |_| {
        let (forever, lease) = (Duration::MAX, secs(30));
        let config = MemoryConfig { ack_wait: forever, dedup_window: forever, ..MemoryConfig::default() };
        let broker = MemoryBroker::with(MemoryConfig { sync_every: Some(forever), ..config });
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), Some(1));
        sleep(secs(1000)).await;
        assert_eq!(broker.publish_once("a", 1).await.unwrap(), None);
        let running =
            Pipeline::from(broker.source()).stage("work", async |_| Ok::<_, Infallible>(())).start().unwrap();
        sleep(secs(1)).await;
        assert_eq!(running.snapshot().counts.acked, 1);
        broker.crash(forever);
        broker.close();
        sleep(secs(1)).await;
        assert!(running.snapshot().errors > 0);
        drop(running);

        let every = Some(Duration::from_nanos(1));
        let broker = MemoryBroker::with(MemoryConfig {
            sync_every: every,
            ack_wait: lease,
            ..MemoryConfig::default()
        });
        sleep(secs(100_000)).await;
        broker.publish(1).await.unwrap();
        broker.sync().await;
        assert_eq!(broker.power_loss(secs(1)).lost, 0);
    });
}

/// An item that cannot be copied.
struct Unclonable(u64);

impl Clone for Unclonable {
    fn clone(&self) -> Self {
        panic!("clone of {}", self.0)
    }
}

/// Numbers with their attempts, which come again at once when they fail.
#[derive(Clone)]
struct Again(Arc<Mutex<VecDeque<(u64, u32)>>>);

impl Source for Again {
    type Item = Unclonable;
    type Ack = Self;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<Unclonable, Name>>, SourceError> {
        loop {
            let deliver =
                |(n, attempt)| Delivery::new(Unclonable(n), Name(100 * u64::from(attempt) + n), attempt);
            let pulled: Vec<_> = {
                let mut queue = self.0.lock().expect("nobody panics with it");
                let count = demand.items.min(queue.len());
                queue.drain(..count).map(deliver).collect()
            };
            if !pulled.is_empty() {
                return Ok(pulled);
            }
            sleep(ms(1)).await;
        }
    }

    fn ack(&self) -> Self {
        self.clone()
    }
}

impl Ack for Again {
    type Receipt = Name;

    async fn settle(&self, batch: &[(Name, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        for (name, settle) in batch {
            if let Settle::Retry { .. } = settle {
                let attempt = (name.0 / 100) as u32;
                self.0.lock().expect("nobody panics with it").push_back((name.0 % 100, attempt + 1));
            }
        }
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn an_item_whose_clone_panics_is_its_own_dead_letter() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let source = Again(Arc::new(Mutex::new((0..3).map(|n| (n, 1)).collect())));
        let (letters, runs) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (written, ran) = (Arc::clone(&letters), Arc::clone(&runs));
        let pipeline = Pipeline::from(source)
            .stage("work", async move |item: Unclonable| {
                *ran.lock().unwrap() += 1;
                if item.0 == 0 { Ok(()) } else { Err(no("always")) }
            })
            .max_attempts(2)
            .dead_letter(move |batch: Vec<Message<DeadLetter<Unclonable>>>| {
                written.lock().unwrap().extend(batch.into_iter().map(|m| (m.item.item.0, m.item.attempts)));
                async { Ok::<_, SinkError>(()) }
            });
        let running = pipeline.start().unwrap();
        sleep(secs(1)).await;
        let snapshot = running.snapshot();
        // Each has run twice; the third delivery is the dead letter, which needs no copy.
        assert_eq!((snapshot.counts.acked, snapshot.counts.nacked, snapshot.counts.dead), (1, 4, 2));
        assert_eq!((*runs.lock().unwrap(), snapshot.errors), (5, 2));
        let text = "an item could not be copied for its dead letter: panicked: clone of 2";
        assert_eq!(snapshot.last_error.as_deref(), Some(text));
        let mut letters = letters.lock().unwrap().clone();
        letters.sort_unstable();
        assert_eq!(letters, [(1, 2), (2, 2)]);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}
