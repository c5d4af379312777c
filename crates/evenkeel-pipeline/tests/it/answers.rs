//! Answers of a source that do not fit the question.

use std::{convert::Infallible, time::Duration};

use evenkeel_pipeline::{Ack, Delivery, Demand, Pipeline, Settle, SettleOutcome, Source, SourceError};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::support::{assert_adds_up, ms, secs};

#[test]
fn answers_that_do_not_fit_their_decisions_end_the_pipeline() {
    struct Short;
    #[derive(Clone)]
    struct ShortAck;
    impl Source for Short {
        type Item = ();
        type Ack = ShortAck;
        async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<(), u64>>, SourceError> {
            Ok(vec![Delivery::new((), 7, 1)])
        }
        fn ack(&self) -> ShortAck {
            ShortAck
        }
    }
    impl Ack for ShortAck {
        type Receipt = u64;
        async fn settle(&self, _: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
            Ok(Vec::new())
        }
    }
    World::run(async |_| {
        let pipeline = Pipeline::from(Short).stage("work", async |()| {
            sleep(secs(1)).await;
            Ok::<_, Infallible>(())
        });
        let error = pipeline.window(1).start().unwrap().await.unwrap_err();
        assert_eq!(error.to_string(), "the pipeline has ended: 0 answers to 1 decisions");
        assert_adds_up(error.report());
    });
}

/// A source of three numbers, whose extensions have an answer of their own.
struct Extended(std::ops::Range<u64>, Vec<usize>);

#[derive(Clone)]
struct ExtendedAck(Vec<usize>);

impl Source for Extended {
    type Item = u64;
    type Ack = ExtendedAck;

    async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        Ok(self.0.by_ref().map(|n| Delivery::new(n, n, 1)).collect())
    }

    fn ack(&self) -> ExtendedAck {
        ExtendedAck(self.1.clone())
    }
}

impl Ack for ExtendedAck {
    type Receipt = u64;

    fn ack_wait(&self) -> Option<Duration> {
        Some(secs(3))
    }

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }

    async fn extend(&self, _: &[u64]) -> Result<Vec<usize>, SourceError> {
        Ok(self.0.clone())
    }
}

#[test]
fn lost_leases_are_told_in_any_order_and_one_that_there_is_not_ends_the_pipeline() {
    World::run(async |_| {
        for (lost, outcome) in [
            (vec![2, 0], Ok(2)),
            (vec![1, 1, 2], Ok(2)),
            (vec![0, 3], Err("the pipeline has ended: lease 3 of 3 is said to be lost")),
        ] {
            let pipeline = Pipeline::from(Extended(0..3, lost)).stage("work", async |_| {
                sleep(ms(1500)).await;
                Ok::<_, Infallible>(())
            });
            let ended = pipeline.start().unwrap().await;
            let superseded = ended.map(|report| report.superseded).map_err(|error| error.to_string());
            assert_eq!(superseded, outcome.map_err(str::to_owned));
        }
    });
}
