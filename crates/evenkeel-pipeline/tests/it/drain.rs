//! A drain: what has begun ends within the time, the rest is handed back without an attempt, and the report adds up.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Batch, Deliveries, Demand, DrainReport, MemoryAck, MemoryBroker, MemoryConfig, MemoryReceipt,
    MemorySnapshot, MemorySource, Pipeline, Running, Settle, SettleOutcome, SinkError, Source, SourceError,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{Effects, Letters, assert_adds_up, collect, faulty, filled, ms, no, numbers, secs};

#[test]
fn a_drain_finishes_what_is_in_hand_and_pulls_no_more() {
    World::run(async |_| {
        let broker = numbers(100, secs(30)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |_| {
                sleep(secs(1)).await;
                Ok::<_, Infallible>(())
            })
            .limit(10)
            .window(20);
        let running = pipeline.start().unwrap();
        sleep(ms(1500)).await;
        let start = Instant::now();
        let report = running.drain(secs(60)).await.unwrap();
        // 10 were done at 1 s, and 5 more were worth a pull: all of them end.
        assert_eq!((report.accepted, report.acked, report.left()), (30, 30, 0));
        assert_eq!(start.elapsed(), ms(1500));
        assert_eq!(broker.snapshot().stored, 70);
    });
}

#[test]
fn a_drain_hands_the_rest_back_at_its_deadline_without_an_attempt() {
    World::run(async |_| {
        let broker = numbers(8, secs(30)).await;
        let attempts = Effects::default();
        let work = |attempts: Effects, time: u64| {
            Pipeline::from(broker.source())
                .messages()
                .stage("work", async move |message| {
                    attempts.add(u64::from(message.attempt));
                    sleep(secs(time)).await;
                    Ok::<_, Infallible>(())
                })
                .limit(4)
                .window(8)
        };
        let running = work(attempts.clone(), 10).start().unwrap();
        sleep(secs(1)).await;
        let start = Instant::now();
        let report = running.drain(secs(5)).await.unwrap();
        assert_eq!(start.elapsed(), secs(5));
        assert_eq!((report.accepted, report.acked, report.released), (8, 0, 8));
        assert_eq!(report.to_string(), "8 accepted: 0 acked, 0 nacked, 0 dead, 8 left (8 handed back)");
        broker.close();
        let report = work(attempts.clone(), 1).start().unwrap().await.unwrap();
        assert_eq!((report.accepted, report.acked), (8, 8));
        // All of them were the first attempt.
        assert_eq!(attempts.of(1), 4 + 8);
    });
}

#[test]
fn a_drain_of_zero_hands_everything_back_at_once() {
    World::run(async |_| {
        let broker = numbers(100, secs(30)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |n| {
                sleep(secs(1)).await;
                Ok::<_, Infallible>(n)
            })
            .batch("store", Batch::items(40).within(secs(9)), async |_| Ok::<_, SinkError>(()));
        let running = pipeline.start().unwrap();
        sleep(ms(1500)).await;
        let start = Instant::now();
        let report = running.drain(secs(0)).await.unwrap();
        assert_eq!(start.elapsed(), ms(0));
        // Two batches of the window of 80 are full; those that were pulled behind them still run.
        assert_eq!((report.accepted, report.acked, report.released), (100, 80, 20));
        assert_eq!(broker.snapshot().leased, 0);
    });
}

#[test]
fn a_partial_batch_is_written_when_the_last_item_before_it_has_ended() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let pipeline = Pipeline::from(broker.source()).batch(
            "store",
            Batch::items(500).within(secs(3600)),
            async |_| Ok::<_, SinkError>(()),
        );
        let running = pipeline.start().unwrap();
        sleep(secs(60)).await;
        let start = Instant::now();
        let report = running.drain(secs(60)).await.unwrap();
        assert_eq!((start.elapsed(), report.acked), (ms(0), 10));
    });
}

#[test]
fn a_drain_against_a_broker_that_is_gone_ends_and_tells_the_unconfirmed() {
    World::run(async |_| {
        let broker = numbers(10, secs(600)).await;
        let pipeline = Pipeline::from(broker.source()).stage("work", async |n| {
            sleep(secs(if n < 4 { 1 } else { 1000 })).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        broker.crash(secs(3600));
        let start = Instant::now();
        let report = running.drain(secs(10)).await.unwrap();
        assert_eq!(start.elapsed(), secs(15));
        assert_eq!((report.accepted, report.acked, report.unconfirmed), (10, 0, 10));
        assert_adds_up(&report);
    });
}

#[test]
fn a_handle_that_is_dropped_settles_nothing() {
    World::run(async |_| {
        let broker = numbers(10, secs(30)).await;
        let pipeline = Pipeline::from(broker.source()).stage("work", async |_| {
            sleep(secs(10)).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(secs(1)).await;
        drop(running);
        sleep(secs(28)).await;
        assert_eq!(broker.snapshot().leased, 10);
        sleep(secs(2)).await;
        assert_eq!((broker.snapshot().leased, broker.snapshot().expired), (0, 10));
    });
}

/// A source, of which with an odd seed every eighth settlement or so is never answered: it is not carried out, or its answer
/// does not come.
struct Mute(MemorySource<u64>, u64);

#[derive(Clone)]
struct MuteAck {
    ack: MemoryAck<u64>,
    seed: u64,
    calls: Arc<AtomicU32>,
}

impl Source for Mute {
    type Item = u64;
    type Ack = MuteAck;

    async fn pull(&mut self, demand: Demand) -> Result<Deliveries<Self>, SourceError> {
        self.0.pull(demand).await
    }

    fn ack(&self) -> MuteAck {
        MuteAck { ack: self.0.ack(), seed: self.1, calls: Arc::default() }
    }
}

impl Ack for MuteAck {
    type Receipt = MemoryReceipt;

    fn ack_wait(&self) -> Option<Duration> {
        self.ack.ack_wait()
    }

    async fn settle(&self, batch: &[(MemoryReceipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        let call = u64::from(self.calls.fetch_add(1, SeqCst)) * 13 + self.seed;
        let hangs = self.seed % 2 == 1;
        if hangs && call % 16 == 3 {
            return pending().await;
        }
        let outcomes = self.ack.settle(batch).await;
        if hangs && call % 16 == 10 { pending().await } else { outcomes }
    }

    async fn extend(&self, receipts: &[MemoryReceipt]) -> Result<Vec<usize>, SourceError> {
        self.ack.extend(receipts).await
    }
}

/// A pipeline with every kind of stage, and all that can go wrong in it.
fn busy(brokers: &[MemoryBroker<u64>; 2], letters: &Letters, calls: &Arc<AtomicU32>, seed: u64) -> Running {
    let calls = Arc::clone(calls);
    let pipeline = Pipeline::from(brokers[0].source())
        .merge(Mute(brokers[1].source(), seed))
        .seed(seed)
        .stage("work", async move |n: u64| {
            let call = u64::from(calls.fetch_add(1, SeqCst));
            sleep(ms((n * 37 + call * 11) % 400)).await;
            match (n + call) % 70 {
                1 => panic!("worse"),
                n if n.is_multiple_of(7) => Err(no("unlucky")),
                _ => Ok(n),
            }
        })
        .limit(20)
        .timeout(ms(350))
        .filter_map("filter", async |n| Ok::<_, Infallible>((n % 5 > 0).then_some(n)))
        .flat_map("split", async |n| Ok::<_, Infallible>((0..n % 4).map(move |part| n * 10 + part)))
        .keyed(|n| n % 13)
        .stage("in order", async |n| {
            sleep(ms(n % 30)).await;
            if n.is_multiple_of(53) { Err(no("out of order")) } else { Ok(n) }
        })
        .limit(8)
        .batch("store", Batch::items(7).within(ms(50)), async |items: Vec<u64>| {
            sleep(ms(items.len() as u64 * 10)).await;
            let failed: Vec<usize> =
                (0..items.len()).filter(|index| items[*index].is_multiple_of(11)).collect();
            if failed.is_empty() { Ok(()) } else { Err(SinkError::some("eleven", failed)) }
        })
        .limit(2)
        .window(50)
        .max_attempts(3)
        .backoff(|attempt| ms(100 * u64::from(attempt)))
        .dead_letter(collect(letters));
    pipeline.start().expect("it is valid")
}

#[test]
fn every_delivery_is_accounted_for_in_a_hundred_drains_under_load() {
    let (mut kinds, mut late) = (DrainReport::default(), 0);
    for seed in 0..100 {
        let (report, elapsed, within) = World::builder().allow_panics(usize::MAX).run(async |_| {
            let brokers = [filled(500, faulty(seed)).await, filled(500, faulty(seed + 1000)).await];
            let (letters, calls) = (Letters::default(), Arc::default());
            let running = busy(&brokers, &letters, &calls, seed);
            sleep(ms(seed * 53)).await;
            if seed % 3 == 0 {
                brokers[seed as usize % 2].crash(ms(seed * 40));
            }
            let (start, within) = (Instant::now(), ms(seed % 10 * 100));
            let report = running.drain(within).await.unwrap();
            assert_eq!(
                report.accepted,
                report.acked + report.nacked + report.dead + report.left(),
                "seed {seed}"
            );
            let snapshots = brokers.each_ref().map(MemoryBroker::snapshot);
            let sum = |count: fn(&MemorySnapshot) -> u64| snapshots.iter().map(count).sum::<u64>();
            assert_eq!(report.accepted, sum(|broker| broker.delivered), "seed {seed}");
            // All that is told as settled is gone, and the rest is still there.
            assert!(report.acked <= sum(|broker| broker.acked), "seed {seed}");
            assert!(report.dead <= sum(|broker| broker.terminated), "seed {seed}");
            assert_eq!(
                sum(|broker| broker.stored as u64 + broker.acked + broker.terminated),
                1000,
                "seed {seed}"
            );
            assert!(report.dead <= letters.lock().unwrap().len() as u64, "seed {seed}");
            (report, start.elapsed(), within)
        });
        // A settlement without an answer holds the end up for the time of handing back, and no longer.
        assert!(elapsed <= within + secs(5), "seed {seed}: {elapsed:?}");
        late += u32::from(elapsed > within);
        kinds = [kinds, report].into_iter().sum();
    }
    // Every end of a delivery was among them.
    for count in [kinds.acked, kinds.nacked, kinds.dead, kinds.released, kinds.superseded, kinds.unconfirmed]
    {
        assert!(count >= 20, "{kinds}");
    }
    assert!((10..90).contains(&late), "{late}");
}

#[test]
fn a_stop_under_load_counts_as_no_attempt() {
    for seed in 0..20 {
        World::run(async |_| {
            let broker = filled(300, MemoryConfig { ack_wait: secs(3), ..MemoryConfig::default() }).await;
            let most = Arc::new(AtomicU32::new(0));
            let mut acked = 0;
            for round in 0.. {
                let most = Arc::clone(&most);
                let pipeline = Pipeline::from(broker.source())
                    .messages()
                    .stage("work", async move |message| {
                        most.fetch_max(message.attempt, SeqCst);
                        sleep(ms((message.item * 31 + seed * 7) % 900)).await;
                        Ok::<_, Infallible>(())
                    })
                    .limit(10)
                    .window(40);
                let running = pipeline.start().unwrap();
                sleep(ms(1000 + seed * 13)).await;
                let report = running.drain(ms(round % 3 * 100)).await.unwrap();
                assert_eq!((report.nacked, report.dead, report.superseded), (0, 0, 0));
                acked += report.acked;
                if acked == 300 {
                    break;
                }
            }
            assert_eq!(most.load(SeqCst), 1);
            assert_eq!(broker.snapshot().stored, 0);
        });
    }
}
