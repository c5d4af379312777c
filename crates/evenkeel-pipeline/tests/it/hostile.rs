//! Code of users that panics where nobody expects it: the item fails, and the account goes on.

use std::convert::Infallible;

use evenkeel_pipeline::{MemoryBroker, Pipeline};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::support::{assert_adds_up, ms, no, numbers, secs};

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
fn a_backoff_that_panics_is_replaced_by_the_default_and_a_key_that_panics_ends_the_pipeline() {
    World::builder().allow_panics(usize::MAX).run(async |_| {
        let broker = numbers(1, secs(30)).await;
        let failing = |_| async { Err::<(), _>(no("no")) };
        let running = Pipeline::from(broker.source())
            .stage("work", failing)
            .backoff(|_| panic!("no delay"))
            .start()
            .unwrap();
        sleep(ms(500)).await;
        assert_eq!((running.snapshot().counts.nacked, broker.snapshot().delayed), (1, 1));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
        sleep(secs(2)).await;
        let running = Pipeline::from(broker.source())
            .keyed(|_: &u64| -> u64 { panic!("no key") })
            .stage("work", failing)
            .start()
            .unwrap();
        let error = running.await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: panicked: no key");
        assert_adds_up(error.report());
    });
}
