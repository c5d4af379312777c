//! Failures of sources and sinks: those that pass are told and repeated, others end the pipeline with its report.

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
    Ack, Batch, DeadLetter, Delivery, Demand, Message, Pipeline, Settle, SettleOutcome, SinkError, Source,
    SourceError, Warning, Workload,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{Effects, assert_adds_up, ms, no, numbers, secs};

/// A source of numbers whose calls do as they are told.
#[derive(Clone, Default)]
struct Scripted {
    pull: Script,
    settle: Script,
    extend: Script,
    check: Script,
    stop: Script,
    stopped: Arc<AtomicU32>,
    lease: Option<Duration>,
}

/// The number of the call that begins to fail, and how.
#[derive(Clone, Default)]
struct Script(Arc<AtomicU32>, Option<(u32, How)>);

#[derive(Clone, Copy)]
enum How {
    /// As often, then it goes on.
    Transient(u32),
    Permanent,
    Panic,
    Hang,
    /// As often, then it goes on.
    HangFor(u32),
}

fn from(call: u32, how: How) -> Script {
    Script(Arc::default(), Some((call, how)))
}

impl Script {
    async fn play(&self, name: &str) -> Result<(), SourceError> {
        let call = self.0.fetch_add(1, SeqCst) + 1;
        match self.1 {
            Some((first, How::Transient(times))) if (first..first + times).contains(&call) => {
                Err(SourceError::transient(format!("{name} passes")))
            }
            Some((first, How::Permanent)) if call >= first => {
                Err(SourceError::permanent(format!("{name} is over")))
            }
            Some((first, How::Panic)) if call >= first => panic!("{name} panics"),
            Some((first, How::Hang)) if call >= first => pending().await,
            Some((first, How::HangFor(times))) if (first..first + times).contains(&call) => pending().await,
            _ => Ok(()),
        }
    }
}

impl Source for Scripted {
    type Item = u64;
    type Ack = Self;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        self.pull.play("pull").await?;
        Ok((0..demand.items as u64).map(|n| Delivery::new(n, n, 1)).collect())
    }

    fn ack(&self) -> Self {
        self.clone()
    }

    async fn check(&mut self, workload: &Workload) -> Result<Vec<Warning>, SourceError> {
        self.check.play("check").await?;
        Ok(vec![Warning::new(format!("{} at once, {:?} at most", workload.window, workload.timeout))])
    }

    async fn stop(&mut self) {
        self.stopped.fetch_add(1, SeqCst);
        // It has no error to return.
        let _ = self.stop.play("stop").await;
    }
}

impl Ack for Scripted {
    type Receipt = u64;

    fn ack_wait(&self) -> Option<Duration> {
        self.lease
    }

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        self.settle.play("settle").await?;
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }

    async fn extend(&self, _: &[u64]) -> Result<Vec<usize>, SourceError> {
        self.extend.play("extend").await.map(|()| Vec::new())
    }
}

fn start(source: &Scripted) -> evenkeel_pipeline::Running {
    let pipeline = Pipeline::from(source.clone())
        .stage("work", async |_| {
            sleep(secs(1)).await;
            Ok::<_, Infallible>(())
        })
        .limit(4)
        .timeout(secs(7))
        .window(4);
    pipeline.start().expect("it is valid")
}

#[test]
fn an_error_that_passes_is_told_and_the_call_repeated_after_growing_pauses() {
    World::run(async |_| {
        let source = Scripted { pull: from(2, How::Transient(3)), ..Scripted::default() };
        let running = start(&source);
        sleep(ms(1001)).await;
        assert_eq!(source.pull.0.load(SeqCst), 2);
        // Pauses of 50 to 100, 100 to 200, and 200 to 400 ms.
        sleep(ms(300)).await;
        assert_eq!(running.snapshot().last_error.as_deref(), Some("pull passes"));
        sleep(ms(400)).await;
        assert_eq!((source.pull.0.load(SeqCst), running.snapshot().errors), (5, 3));
        assert_eq!(running.drain(secs(9)).await.unwrap().acked, 8);

        let source = Scripted { settle: from(1, How::Transient(2)), ..Scripted::default() };
        let running = start(&source);
        sleep(ms(1001)).await;
        assert_eq!(running.snapshot().counts.acked, 0);
        assert_eq!(running.snapshot().unsettled, 4);
        sleep(ms(999)).await;
        assert_eq!((running.snapshot().counts.acked, running.snapshot().errors), (4, 2));
    });
}

#[test]
fn a_permanent_error_of_a_pull_ends_the_pipeline_behind_what_is_in_hand() {
    World::run(async |_| {
        let source = Scripted { pull: from(2, How::Permanent), ..Scripted::default() };
        let start_time = Instant::now();
        let error = start(&source).await.unwrap_err();
        assert_eq!(start_time.elapsed(), secs(1));
        assert_eq!(error.to_string(), "the pipeline has ended: pull is over");
        assert_eq!((error.report().accepted, error.report().acked), (4, 4));
        assert_eq!(source.stopped.load(SeqCst), 1);
        let source = Scripted { check: from(1, How::Permanent), ..Scripted::default() };
        let error = start(&source).await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: check is over");
        assert_eq!(source.pull.0.load(SeqCst), 0);
    });
}

#[test]
fn work_ends_at_once_when_nothing_can_be_settled_or_extended_any_more() {
    World::run(async |_| {
        let source = Scripted { settle: from(2, How::Permanent), ..Scripted::default() };
        let error = start(&source).await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: settle is over");
        let report = *error.report();
        assert_eq!((report.accepted, report.acked, report.unconfirmed), (12, 4, 8));
        assert_adds_up(&report);

        let lease = Some(secs(3));
        let source = Scripted { extend: from(1, How::Permanent), lease, ..Scripted::default() };
        let error = start(&source).await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: extend is over");
        assert_adds_up(error.report());
    });
}

#[test]
fn a_panic_of_the_source_is_the_error_of_the_pipeline_and_the_report_adds_up() {
    World::builder().allow_panics(4).run(async |_| {
        let panics = || from(2, How::Panic);
        let lease = Some(secs(2));
        for (source, message) in [
            (Scripted { pull: panics(), ..Scripted::default() }, "panicked: pull panics"),
            (Scripted { settle: panics(), ..Scripted::default() }, "panicked: settle panics"),
            (Scripted { extend: panics(), lease, ..Scripted::default() }, "panicked: extend panics"),
            (Scripted { check: from(1, How::Panic), ..Scripted::default() }, "panicked: check panics"),
        ] {
            let error = start(&source).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the pipeline has ended: {message}"));
            assert_adds_up(error.report());
        }
    });
}

#[test]
fn calls_that_never_return_hold_up_no_drain() {
    World::run(async |_| {
        let hangs = || from(1, How::Hang);
        let lease = Some(secs(3600));
        for (source, time, left) in [
            (Scripted { pull: from(2, How::Hang), ..Scripted::default() }, ms(500), 0),
            (Scripted { check: hangs(), ..Scripted::default() }, ms(0), 0),
            (Scripted { settle: hangs(), ..Scripted::default() }, secs(2 + 5), 4),
            (Scripted { extend: hangs(), lease, ..Scripted::default() }, ms(500), 0),
            (Scripted { stop: hangs(), ..Scripted::default() }, secs(2 + 5), 0),
            (Scripted { settle: hangs(), stop: hangs(), ..Scripted::default() }, secs(2 + 5), 4),
        ] {
            let running = start(&source);
            sleep(ms(500)).await;
            let start_time = Instant::now();
            let report = running.drain(secs(2)).await.unwrap();
            assert_eq!((start_time.elapsed(), report.left()), (time, left));
            assert_adds_up(&report);
        }
    });
}

#[test]
fn leases_run_out_while_an_extension_hangs() {
    World::run(async |_| {
        let source = Scripted { extend: from(1, How::Hang), lease: Some(ms(900)), ..Scripted::default() };
        let running = start(&source);
        sleep(ms(899)).await;
        assert_eq!(running.snapshot().counts.superseded, 0);
        sleep(ms(2)).await;
        assert_eq!(running.snapshot().counts.superseded, 4);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn an_extension_that_hangs_is_told_and_given_up_when_its_leases_have_run_out() {
    World::run(async |_| {
        let (extend, lease) = (|| from(1, How::Hang), Some(ms(900)));
        // There are no more items: nothing but the call is waited for.
        let pull = from(2, How::Hang);
        let source = Scripted { extend: extend(), lease, pull, ..Scripted::default() };
        let running = start(&source);
        sleep(secs(10)).await;
        let snapshot = running.snapshot();
        assert_eq!((snapshot.counts.superseded, snapshot.errors), (4, 1));
        let text = "the source has not answered within 900ms: leases are lost";
        assert_eq!(snapshot.last_error.as_deref(), Some(text));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());

        let source = Scripted { extend: extend(), lease, ..Scripted::default() };
        let running = start(&source);
        sleep(secs(10)).await;
        assert!(source.extend.0.load(SeqCst) > 5);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn an_ack_wait_of_zero_is_refused_and_a_tiny_one_is_lost_in_time_and_a_huge_one_never() {
    World::run(async |_| {
        let source = |lease| Scripted { lease: Some(lease), ..Scripted::default() };
        let pipeline = Pipeline::from(source(ms(0))).stage("work", async |_| Ok::<_, Infallible>(()));
        let error = pipeline.start().unwrap_err().to_string();
        assert_eq!(error, "the ack wait of the source is zero: every lease would be lost at once");
        let running = start(&source(Duration::from_nanos(1)));
        sleep(ms(100)).await;
        let counts = running.snapshot().counts;
        assert!(counts.superseded > 4 && counts.acked == 0, "{counts}");
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
        let running = start(&source(Duration::MAX));
        sleep(ms(1500)).await;
        let counts = running.snapshot().counts;
        assert_eq!((counts.acked, counts.superseded), (4, 0));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_drain_behind_an_outage_settles_at_once() {
    World::run(async |_| {
        // The pause behind the ninth failure is longer than the time to hand back.
        let (pull, settle) = (from(2, How::Hang), from(1, How::Transient(9)));
        let source = Scripted { pull, settle, ..Scripted::default() };
        let running = start(&source);
        while source.settle.0.load(SeqCst) < 9 {
            sleep(ms(10)).await;
        }
        let start_time = Instant::now();
        let report = running.drain(secs(1)).await.unwrap();
        assert_eq!((report.acked, report.left(), start_time.elapsed()), (4, 0, ms(0)));
    });
}

#[test]
fn the_check_comes_before_the_first_pull_and_its_warnings_are_shown() {
    World::run(async |_| {
        let source = Scripted { check: from(1, How::Transient(1)), ..Scripted::default() };
        let running = start(&source);
        sleep(ms(1)).await;
        assert_eq!((source.pull.0.load(SeqCst), running.snapshot().errors), (0, 1));
        sleep(ms(100)).await;
        assert_eq!(source.pull.0.load(SeqCst), 1);
        assert_eq!(running.snapshot().warnings, [Warning::new("4 at once, Some(7s) at most")]);
    });
}

#[test]
fn sinks_that_fail_or_panic_fail_their_items_and_a_dead_letter_sink_delays_the_end() {
    World::builder().allow_panics(2).run(async |_| {
        let broker = numbers(3, secs(30)).await;
        broker.close();
        let (calls, effects) = (Arc::new(AtomicU32::new(0)), Effects::default());
        let (letters, written) = (Arc::clone(&calls), effects.clone());
        let pipeline = Pipeline::from(broker.source())
            .sink("store", Batch::items(3), async |batch: Vec<Message<u64>>| {
                if batch.len() == 3 { panic!("no such table") } else { Err(SinkError::all(no("full"))) }
            })
            .max_attempts(1)
            .backoff(|_| secs(2))
            .dead_letter(move |batch: Vec<Message<DeadLetter<u64>>>| {
                let (call, written) = (letters.fetch_add(1, SeqCst), written.clone());
                async move {
                    match call {
                        0 => Err(SinkError::some("not that one", [1])),
                        1 => panic!("the dead letter sink"),
                        _ => {
                            batch.iter().for_each(|letter| written.add(letter.item.item));
                            Ok(())
                        }
                    }
                }
            });
        let start_time = Instant::now();
        let report = pipeline.start().unwrap().await.unwrap();
        // Two are written at once; the third comes again twice, and is not run any more.
        assert_eq!(start_time.elapsed(), secs(4));
        assert_eq!((report.accepted, report.dead, report.nacked), (5, 3, 2));
        assert_eq!((effects.items().len(), calls.load(SeqCst)), (1, 3));
    });
}

#[test]
fn a_settlement_that_hangs_is_told_and_sent_again() {
    World::run(async |_| {
        let (pull, lease) = (from(2, How::Hang), Some(secs(9)));
        let source = Scripted { settle: from(1, How::HangFor(2)), pull, lease, ..Scripted::default() };
        let running = start(&source);
        sleep(ms(30_999)).await;
        assert_eq!((running.snapshot().errors, running.snapshot().unsettled), (0, 4));
        sleep(ms(2)).await;
        let text = "the source has not answered 4 decisions within 30s: they are sent again";
        assert_eq!(running.snapshot().last_error.as_deref(), Some(text));
        sleep(secs(31)).await;
        let snapshot = running.snapshot();
        // Behind two pauses; the leases were extended meanwhile.
        assert_eq!((snapshot.errors, snapshot.unsettled, snapshot.counts.acked), (2, 0, 4));
        assert_eq!(source.settle.0.load(SeqCst), 3);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_dead_letter_sink_that_hangs_is_told_and_waited_for() {
    World::run(async |_| {
        let broker = numbers(3, secs(3)).await;
        let pipeline = Pipeline::from(broker.source())
            .stage("work", async |_| Err::<(), _>(no("no")))
            .max_attempts(1)
            .dead_letter(async |_: Vec<Message<DeadLetter<u64>>>| {
                sleep(secs(70)).await;
                Ok::<_, SinkError>(())
            });
        let running = pipeline.start().unwrap();
        sleep(secs(65)).await;
        assert_eq!((running.snapshot().errors, running.snapshot().counts.dead), (2, 0));
        let text = "the dead letter sink failed: it has not answered for 60s, and is waited for";
        assert_eq!(running.snapshot().last_error.as_deref(), Some(text));
        sleep(secs(6)).await;
        assert_eq!((broker.snapshot().terminated, broker.snapshot().expired), (3, 0));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_stop_that_hangs_behind_the_last_item_is_told_and_waited_for() {
    World::run(async |_| {
        let (pull, stop) = (from(2, How::Permanent), from(1, How::Hang));
        let source = Scripted { pull, stop, ..Scripted::default() };
        let mut running = start(&source);
        assert!(tokio::time::timeout(secs(32), &mut running).await.is_err());
        let text = "the source has not stopped for 30s, and is waited for";
        assert_eq!((running.snapshot().last_error.as_deref(), running.snapshot().errors), (Some(text), 1));
        let start_time = Instant::now();
        let error = running.drain(secs(0)).await.unwrap_err();
        // A drain gives it up.
        assert_eq!((start_time.elapsed(), error.report().acked), (secs(5), 4));
        assert_eq!(error.to_string(), "the pipeline has ended: pull is over");
    });
}

#[test]
fn a_check_that_hangs_is_told() {
    World::run(async |_| {
        let source = Scripted { check: from(1, How::Hang), ..Scripted::default() };
        let running = start(&source);
        sleep(secs(31)).await;
        let text = "the source has not answered its check for 30s";
        assert_eq!((running.snapshot().last_error.as_deref(), running.snapshot().errors), (Some(text), 1));
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}
