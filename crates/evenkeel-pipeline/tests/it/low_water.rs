//! The low-water mark against a set of all positions that are not settled, alone and in the source of a log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;
use evenkeel_pipeline::{
    Ack, Delivery, Demand, LowWaterMark, Pipeline, Settle, SettleOutcome, Source, SourceError,
};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::support::{Letters, collect, ms, no};

proptest! {
    #[test]
    fn the_mark_is_the_first_position_of_a_set_of_the_unsettled(
        start in 0_u64..100,
        steps in proptest::collection::vec((any::<bool>(), 0_u64..3, any::<prop::sample::Index>()), 1..200),
    ) {
        let mut mark = LowWaterMark::new(start);
        // The model: what was begun and is not settled, and the position behind all that was begun.
        let (mut open, mut next, mut stored) = (BTreeSet::new(), start, start);
        for (begins, gap, which) in steps {
            if begins || open.is_empty() {
                let position = next + gap;
                mark.begin(position);
                open.insert(position);
                next = position + 1;
            } else {
                let position = *which.get(&open.iter().copied().collect::<Vec<_>>());
                open.remove(&position);
                let moved = mark.settle(position);
                let expected = open.first().copied().unwrap_or(next);
                prop_assert_eq!(moved, (expected > stored).then_some(expected));
                stored = stored.max(expected);
            }
            prop_assert_eq!(mark.get(), stored);
            prop_assert_eq!(mark.in_hand(), open.len());
            // A crash here reads again all that is not settled.
            prop_assert!(open.iter().all(|position| *position >= mark.get()));
        }
    }
}

#[test]
fn deliveries_of_one_position_are_settled_each_and_others_change_nothing() {
    let mut mark = LowWaterMark::new(5);
    mark.begin(5);
    mark.begin(5);
    mark.begin(7);
    assert_eq!(mark.settle(6), None);
    assert_eq!(mark.settle(5), None);
    assert_eq!(mark.settle(5), Some(7));
    assert_eq!(mark.settle(5), None);
    // It is below the mark: done.
    mark.begin(6);
    assert_eq!((mark.in_hand(), mark.settle(7)), (1, Some(8)));
    mark.begin(u64::MAX);
    assert_eq!((mark.settle(u64::MAX), mark.get()), (Some(u64::MAX), u64::MAX));
}

/// A log of which only the mark outlives a crash.
struct Log {
    end: u64,
    next: u64,
    account: LogAck,
}

#[derive(Clone)]
struct LogAck(Arc<Mutex<Account>>);

struct Account {
    mark: LowWaterMark,
    stored: u64,
    attempts: BTreeMap<u64, u32>,
    again: Vec<(Instant, u64, u32)>,
    /// The model: all that was ever settled for good.
    settled: BTreeSet<u64>,
}

impl Log {
    fn from(stored: u64, end: u64, settled: BTreeSet<u64>) -> Self {
        let (attempts, again) = (BTreeMap::new(), Vec::new());
        let account = Account { mark: LowWaterMark::new(stored), stored, attempts, again, settled };
        Self { end, next: stored, account: LogAck(Arc::new(Mutex::new(account))) }
    }

    fn take(&mut self, demand: Demand) -> Option<Vec<Delivery<u64, u64>>> {
        let account = &mut *lock(&self.account.0);
        let (now, mut taken) = (Instant::now(), Vec::new());
        while taken.len() < demand.items.min(7) {
            let again = account.again.iter().position(|(due, ..)| *due <= now);
            let (position, attempt) = match again.map(|index| account.again.swap_remove(index)) {
                Some((_, position, attempt)) => (position, attempt),
                None if self.next < self.end => {
                    account.mark.begin(self.next);
                    self.next += 1;
                    (self.next - 1, 1)
                }
                None => break,
            };
            account.attempts.insert(position, attempt);
            taken.push(Delivery::new(position, position, attempt));
        }
        (!taken.is_empty() || account.mark.in_hand() == 0).then_some(taken)
    }
}

impl Source for Log {
    type Item = u64;
    type Ack = LogAck;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        loop {
            if let Some(taken) = self.take(demand) {
                return Ok(taken);
            }
            sleep(ms(1)).await;
        }
    }

    fn ack(&self) -> LogAck {
        self.account.clone()
    }
}

impl Ack for LogAck {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        sleep(ms(2)).await;
        let account = &mut *lock(&self.0);
        for (position, settle) in batch {
            let attempt = account.attempts.remove(position).expect("it is in hand");
            match settle {
                Settle::Ack | Settle::Term => {
                    account.settled.insert(*position);
                    if let Some(mark) = account.mark.settle(*position) {
                        assert!(mark > account.stored);
                        account.stored = mark;
                    }
                }
                Settle::Retry { after } => {
                    account.again.push((Instant::now() + *after, *position, attempt + 1))
                }
                Settle::Release => account.again.push((Instant::now(), *position, attempt)),
                _ => return Err(SourceError::permanent("a decision that is not known")),
            }
            // The first position that is not settled, unless all are that were begun: those of a crash before are read again.
            let unsettled = (0..).find(|position| !account.settled.contains(position));
            assert!(unsettled.is_some_and(|unsettled| account.stored <= unsettled), "{}", account.stored);
        }
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Each run is killed or drained, until one reads the log to its end.
    #[test]
    fn a_log_loses_no_position_under_random_crashes(
        stops in proptest::collection::vec((1_u64..120, any::<bool>()), 0..8),
        salt in 0_u64..1000,
    ) {
        World::run(async |_| {
            const END: u64 = 200;
            let letters = Letters::default();
            let (mut stored, mut settled) = (0, BTreeSet::new());
            for stop in stops.into_iter().map(Some).chain([None]) {
                let log = Log::from(stored, END, settled);
                let account = log.account.clone();
                let running = Pipeline::from(log)
                    .messages()
                    .stage("work", async move |message: evenkeel_pipeline::Message<u64>| {
                        let mix = (message.item + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
                        sleep(ms(mix)).await;
                        let fails = mix == 3 && message.attempt == 1 || message.item == 77;
                        if fails { Err(no("bad luck")) } else { Ok(()) }
                    })
                    .limit(9)
                    .backoff(|_| ms(5))
                    .max_attempts(3)
                    .dead_letter(collect(&letters))
                    .start()
                    .unwrap();
                match stop {
                    None => drop(running.await.unwrap()),
                    Some((after, true)) => {
                        sleep(ms(after)).await;
                        drop(running);
                    }
                    Some((after, false)) => {
                        sleep(ms(after)).await;
                        running.drain(ms(after % 10)).await.unwrap();
                    }
                }
                let account = lock(&account.0);
                (stored, settled) = (account.stored, account.settled.clone());
            }
            assert_eq!((stored, settled.len() as u64), (END, END));
            assert!(letters.lock().unwrap().iter().all(|(id, letter)| (&**id, letter.item) == ("77", 77)));
            assert!(!letters.lock().unwrap().is_empty());
        });
    }
}
