//! A source whose server keeps what a worker has in hand until it gives the worker up, and refuses what comes later.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{Ack, Delivery, Demand, Pipeline, Settle, SettleOutcome, Source, SourceError};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::support::{assert_adds_up, ms, secs};

/// A table with one job, and a server that may be away.
#[derive(Clone)]
struct Table(Arc<Mutex<State>>);

struct State {
    is_ready: bool,
    attempt: u32,
    down_until: Instant,
    /// The worker was given up.
    is_given_up: bool,
    told: Vec<Settle>,
}

impl Table {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            is_ready: true,
            attempt: 1,
            down_until: Instant::now(),
            is_given_up: false,
            told: Vec::new(),
        })))
    }

    fn step<R>(&self, step: impl FnOnce(&mut State) -> R) -> Result<R, SourceError> {
        let mut state = self.0.lock().expect("nobody panics with it");
        if Instant::now() < state.down_until {
            return Err(SourceError::transient("the server is away"));
        }
        Ok(step(&mut state))
    }

    fn go_down(&self, time: Duration) {
        self.0.lock().expect("nobody panics with it").down_until = Instant::now() + time;
    }

    fn told(&self) -> Vec<Settle> {
        self.0.lock().expect("nobody panics with it").told.clone()
    }
}

impl Source for Table {
    type Item = ();
    type Ack = Self;

    async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<(), u32>>, SourceError> {
        loop {
            let take = |state: &mut State| {
                std::mem::take(&mut state.is_ready).then(|| Delivery::new((), state.attempt, state.attempt))
            };
            if let Some(delivery) = self.step(take)? {
                return Ok(vec![delivery]);
            }
            sleep(ms(100)).await;
        }
    }

    fn ack(&self) -> Self {
        self.clone()
    }
}

impl Ack for Table {
    type Receipt = u32;

    fn ack_wait(&self) -> Option<Duration> {
        Some(secs(3))
    }

    fn is_fenced(&self) -> bool {
        true
    }

    async fn settle(&self, batch: &[(u32, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        self.step(|state| {
            let settle = |(_, settle): &(u32, Settle)| {
                state.told.push(*settle);
                if state.is_given_up {
                    return SettleOutcome::Superseded;
                }
                if let Settle::Retry { .. } = settle {
                    state.attempt += 1;
                    state.is_ready = true;
                }
                SettleOutcome::Confirmed
            };
            batch.iter().map(settle).collect()
        })
    }

    async fn extend(&self, receipts: &[u32]) -> Result<Vec<usize>, SourceError> {
        self.step(|state| if state.is_given_up { (0..receipts.len()).collect() } else { Vec::new() })
    }
}

#[test]
fn work_that_was_dropped_in_an_outage_is_handed_back_as_a_failure_and_runs_again() {
    World::run(async |_| {
        let table = Table::new();
        let pipeline = Pipeline::from(table.clone()).stage("work", async |()| {
            sleep(secs(5)).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        table.go_down(secs(10));
        sleep(secs(5)).await;
        // The lease has run out on our clock, and the server is not back.
        assert_eq!((running.snapshot().in_hand, running.snapshot().stages[0].in_flight), (0, 0));
        sleep(secs(30)).await;
        assert_eq!(table.told(), [Settle::Retry { after: Duration::ZERO }, Settle::Ack]);
        let report = running.drain(secs(0)).await.unwrap();
        assert_eq!((report.accepted, report.nacked, report.acked), (2, 1, 1), "{report}");
    });
}

#[test]
fn work_that_was_finished_in_an_outage_is_acked_late_and_does_not_run_again() {
    World::run(async |_| {
        let table = Table::new();
        let pipeline = Pipeline::from(table.clone()).stage("work", async |()| {
            sleep(secs(2)).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        table.go_down(secs(10));
        sleep(secs(60)).await;
        assert_eq!(table.told(), [Settle::Ack]);
        let report = running.drain(secs(0)).await.unwrap();
        assert_eq!((report.accepted, report.acked), (1, 1), "{report}");
    });
}

#[test]
fn a_failure_is_told_behind_an_outage_and_its_delay_holds() {
    World::run(async |_| {
        let table = Table::new();
        let pipeline = Pipeline::from(table.clone())
            .messages()
            .stage("fail once", async |message| {
                sleep(secs(2)).await;
                if message.attempt == 1 { Err("no") } else { Ok(()) }
            })
            .backoff(|_| secs(7));
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        table.go_down(secs(10));
        sleep(secs(60)).await;
        assert_eq!(table.told(), [Settle::Retry { after: secs(7) }, Settle::Ack]);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}

#[test]
fn a_worker_that_was_given_up_tells_nothing_of_dropped_work() {
    World::run(async |_| {
        let table = Table::new();
        let pipeline = Pipeline::from(table.clone()).stage("work", async |()| {
            sleep(secs(50)).await;
            Ok::<_, Infallible>(())
        });
        let running = pipeline.start().unwrap();
        sleep(ms(500)).await;
        table.step(|state| state.is_given_up = true).unwrap();
        sleep(secs(2)).await;
        assert_eq!((running.snapshot().in_hand, running.snapshot().counts.superseded), (0, 1));
        assert_eq!(table.told(), []);
        assert_adds_up(&running.drain(secs(0)).await.unwrap());
    });
}
