//! Code of users that blocks its thread, on several of them, keeps nothing that another thread could do: no other item, no
//! ack, no pull, no dead letter.

use std::{
    convert::Infallible,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Batch, DeadLetter, Delivery, Demand, Message, Pipeline, Settle, SettleOutcome, SinkError, Source,
    SourceError,
};
use tokio::{runtime::Builder, time::sleep};

use crate::support::{ms, no, secs};

/// The numbers of what has happened, which code waits for that blocks its thread.
#[derive(Default)]
struct Counts {
    pulled: u64,
    /// The items that a function was done with.
    passed: u64,
    /// The letters that the sink was done with.
    written: u64,
    settled: u64,
    stopped: u64,
}

#[derive(Clone, Default)]
struct Events {
    counts: Arc<(Mutex<Counts>, Condvar)>,
    /// Whether a thread is blocked: one at a time is, so that there is another one.
    is_blocking: Arc<AtomicBool>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Events {
    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.counts.0.lock().expect("nobody panics with it"));
        self.counts.1.notify_all();
    }

    /// Blocks the thread, unless another one is blocked, until a number has become what `awaited` makes of those of now.
    fn block(&self, what: &str, awaited: impl FnOnce(&Counts) -> u64, number: impl Fn(&Counts) -> u64) {
        if !self.failures.lock().expect("nobody panics with it").is_empty()
            || self.is_blocking.swap(true, SeqCst)
        {
            return;
        }
        let counts = self.counts.0.lock().expect("nobody panics with it");
        let awaited = awaited(&counts);
        let is_early = |counts: &mut Counts| number(counts) < awaited;
        let (counts, timeout) =
            self.counts.1.wait_timeout_while(counts, secs(10), is_early).expect("nobody panics with it");
        if timeout.timed_out() {
            let text = format!("{what}: {awaited} awaited, and {} there", number(&counts));
            self.failures.lock().expect("nobody panics with it").push(text);
        }
        self.is_blocking.store(false, SeqCst);
    }

    fn assert_none_was_kept(&self) {
        assert_eq!(*self.failures.lock().expect("nobody panics with it"), Vec::<String>::new());
    }
}

/// Numbers, so many with each pull, whose calls may block their threads.
struct Numbers {
    next: u64,
    end: u64,
    at_a_time: usize,
    events: Events,
    blocks: Blocks,
}

#[derive(Clone, Copy, Default)]
struct Blocks {
    pull: bool,
    /// Whether the source says that no pull does.
    no_pull: bool,
    settle: bool,
    extend: bool,
    stop: bool,
    ack_wait: Option<Duration>,
}

#[derive(Clone)]
struct NumberAck {
    end: u64,
    events: Events,
    blocks: Blocks,
}

impl Source for Numbers {
    type Item = u64;
    type Ack = NumberAck;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        if self.blocks.pull {
            self.events.block(
                "a pull waits for the items before",
                |counts| counts.pulled,
                |counts| counts.passed,
            );
        }
        let end = self.end.min(self.next + demand.items.min(self.at_a_time) as u64);
        let deliveries: Vec<_> = (self.next..end).map(|n| Delivery::new(n, n, 1)).collect();
        self.next = end;
        self.events.count(|counts| counts.pulled += deliveries.len() as u64);
        Ok(deliveries)
    }

    fn ack(&self) -> NumberAck {
        NumberAck { end: self.end, events: self.events.clone(), blocks: self.blocks }
    }

    fn may_block(&self) -> bool {
        !self.blocks.no_pull
    }

    async fn stop(&mut self) {
        self.events.count(|counts| counts.stopped += 1);
        if self.blocks.stop {
            self.events.block("a stop waits for the other one", |_| 2, |counts| counts.stopped);
        }
    }
}

impl Ack for NumberAck {
    type Receipt = u64;

    fn ack_wait(&self) -> Option<Duration> {
        self.blocks.ack_wait
    }

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        if self.blocks.settle {
            let more = |counts: &Counts| (counts.pulled + 1).min(self.end);
            self.events.block("a settlement waits for a pull", more, |counts| counts.pulled);
        }
        self.events.count(|counts| counts.settled += batch.len() as u64);
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }

    async fn extend(&self, receipts: &[u64]) -> Result<Vec<usize>, SourceError> {
        if self.blocks.extend && receipts.is_empty() {
            self.events.block("an extension waits for the work to be dropped", |_| 1, |counts| counts.passed);
        }
        if self.blocks.extend { Err(SourceError::transient("no")) } else { Ok(Vec::new()) }
    }
}

fn numbers(end: u64, at_a_time: usize, events: &Events, blocks: Blocks) -> Numbers {
    Numbers { next: 0, end, at_a_time, events: events.clone(), blocks }
}

fn on_threads(test: impl AsyncFn()) {
    for threads in [2, 4] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_time()
            .build()
            .expect("threads can be spawned");
        runtime.block_on(test());
    }
}

/// Each seventh item blocks its thread until all that have ended before it are settled.
#[test]
fn an_item_that_blocks_keeps_no_ack() {
    on_threads(async || {
        let sizes = [(1, 1), (1, 50), (4, 3), (64, 64)];
        for ((limit, at_a_time), no_pull) in sizes.into_iter().flat_map(|size| [(size, false), (size, true)])
        {
            let events = Events::default();
            let inner = events.clone();
            let blocks = Blocks { no_pull, ..Blocks::default() };
            let running = Pipeline::from(numbers(1000, at_a_time, &events, blocks))
                .stage("work", async move |n: u64| {
                    if n % 7 == 6 {
                        inner.block(
                            "an item waits for acks",
                            |counts| counts.passed,
                            |counts| counts.settled,
                        );
                    }
                    Ok::<_, Infallible>(())
                })
                .limit(limit)
                .filter_map("passed", {
                    let events = events.clone();
                    async move |()| {
                        events.count(|counts| counts.passed += 1);
                        Ok::<_, Infallible>(None::<()>)
                    }
                })
                .start()
                .unwrap();
            assert_eq!(running.await.unwrap().acked, 1000);
            events.assert_none_was_kept();
        }
    });
}

/// Each fifth item blocks its thread behind a stage with a limit, until another item has passed that.
#[test]
fn an_item_that_blocks_keeps_none_that_waits_for_the_limit_it_has_left() {
    const ITEMS: u64 = 200;
    on_threads(async || {
        let events = Events::default();
        let (inner, passed) = (events.clone(), events.clone());
        let running = Pipeline::from(numbers(ITEMS, 64, &events, Blocks::default()))
            .stage("narrow", async |n: u64| {
                sleep(ms(1)).await;
                Ok::<_, Infallible>(n)
            })
            .limit(1)
            .stage("wide", async move |n: u64| {
                passed.count(|counts| counts.passed += 1);
                if n % 5 == 4 {
                    let more = |counts: &Counts| (counts.passed + 1).min(ITEMS);
                    inner.block("an item waits for the next one", more, |counts| counts.passed);
                }
                Ok::<_, Infallible>(())
            })
            .start()
            .unwrap();
        assert_eq!(running.await.unwrap().acked, ITEMS);
        events.assert_none_was_kept();
    });
}

/// The same for batches.
#[test]
fn a_batch_that_blocks_keeps_no_ack() {
    on_threads(async || {
        for (limit, size) in [(1, 1), (1, 10), (3, 4)] {
            let events = Events::default();
            let inner = events.clone();
            let running = Pipeline::from(numbers(1000, 50, &events, Blocks::default()))
                .batch("store", Batch::items(size).within(ms(1)), async move |items: Vec<u64>| {
                    if items[0].is_multiple_of(3) {
                        inner.block(
                            "a batch waits for acks",
                            |counts| counts.passed,
                            |counts| counts.settled,
                        );
                    }
                    inner.count(|counts| counts.passed += items.len() as u64);
                    Ok::<_, SinkError>(())
                })
                .limit(limit)
                .start()
                .unwrap();
            assert_eq!(running.await.unwrap().acked, 1000);
            events.assert_none_was_kept();
        }
    });
}

/// Each pull blocks its thread until all items before it have run.
#[test]
fn a_pull_that_blocks_keeps_no_item() {
    on_threads(async || {
        for at_a_time in [1, 7, 64] {
            let events = Events::default();
            let inner = events.clone();
            let running =
                Pipeline::from(numbers(1000, at_a_time, &events, Blocks { pull: true, ..Blocks::default() }))
                    .stage("work", async move |_| {
                        inner.count(|counts| counts.passed += 1);
                        Ok::<_, Infallible>(())
                    })
                    .start()
                    .unwrap();
            assert_eq!(running.await.unwrap().acked, 1000);
            events.assert_none_was_kept();
        }
    });
}

/// Each settlement blocks its thread until more is pulled.
#[test]
fn a_settlement_that_blocks_keeps_no_pull() {
    on_threads(async || {
        for (at_a_time, no_pull) in [(1, false), (1, true), (7, false), (7, true), (64, false), (64, true)] {
            let events = Events::default();
            let blocks = Blocks { settle: true, no_pull, ..Blocks::default() };
            let source = numbers(1000, at_a_time, &events, blocks);
            let running =
                Pipeline::from(source).stage("work", async |_| Ok::<_, Infallible>(())).start().unwrap();
            assert_eq!(running.await.unwrap().acked, 1000);
            events.assert_none_was_kept();
        }
    });
}

/// Each call of the sink blocks its thread until the letters of the calls before are settled.
#[test]
fn a_dead_letter_sink_that_blocks_keeps_no_settlement() {
    on_threads(async || {
        let events = Events::default();
        let inner = events.clone();
        let running = Pipeline::from(numbers(1000, 500, &events, Blocks::default()))
            .stage("work", async |_| Err::<(), _>(no("bad")))
            .window(500)
            .max_attempts(1)
            .dead_letter(move |letters: Vec<Message<DeadLetter<u64>>>| {
                inner.block(
                    "a letter waits for settlements",
                    |counts| counts.written,
                    |counts| counts.settled,
                );
                inner.count(|counts| counts.written += letters.len() as u64);
                async { Ok::<_, SinkError>(()) }
            })
            .start()
            .unwrap();
        assert_eq!(running.await.unwrap().dead, 1000);
        events.assert_none_was_kept();
    });
}

/// Extensions fail until the lease is lost, and the next one blocks its thread until the work is dropped.
#[test]
fn an_extension_that_blocks_keeps_no_work_whose_lease_is_lost() {
    struct Dropped(Events);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.count(|counts| counts.passed += 1);
        }
    }
    on_threads(async || {
        for _ in 0..5 {
            let events = Events::default();
            let inner = events.clone();
            let blocks = Blocks { extend: true, ack_wait: Some(ms(30)), ..Blocks::default() };
            let running = Pipeline::from(numbers(1, 1, &events, blocks))
                .stage("work", async move |_| {
                    let _dropped = Dropped(inner);
                    std::future::pending::<Result<(), Infallible>>().await
                })
                .start()
                .unwrap();
            assert_eq!(running.await.unwrap().superseded, 1);
            events.assert_none_was_kept();
        }
    });
}

/// The stop of each source blocks its thread until both have begun.
#[test]
fn a_stop_that_blocks_keeps_no_other_one() {
    on_threads(async || {
        let events = Events::default();
        let blocks = Blocks { stop: true, ..Blocks::default() };
        let running = Pipeline::from(numbers(10, 10, &events, blocks))
            .merge(numbers(10, 10, &events, blocks))
            .stage("work", async |_| Ok::<_, Infallible>(()))
            .start()
            .unwrap();
        assert_eq!(running.await.unwrap().acked, 20);
        events.assert_none_was_kept();
    });
}
