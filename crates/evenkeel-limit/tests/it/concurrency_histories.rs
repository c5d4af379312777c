//! Random histories of a concurrency limit, compared step by step with a model: a number and a list.

use std::{collections::VecDeque, task::Poll};

use evenkeel_limit::{AcquirePermit, ConcurrencyLimiter, Denied, Permit, Reason};
use evenkeel_testkit::World;
use proptest::{prelude::*, sample::Index};

use crate::fixtures::ByHand;

const MAX_WAITERS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Try(u32),
    Enter(u32),
    Poll(Index),
    Drop(Index),
    Release(Index),
    Drain,
    SetLimit(u32),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..7_u32).prop_map(Step::Try),
        40 => (0..7_u32).prop_map(Step::Enter),
        20 => any::<Index>().prop_map(Step::Poll),
        20 => any::<Index>().prop_map(Step::Drop),
        40 => any::<Index>().prop_map(Step::Release),
        10 => Just(Step::Drain),
        20 => (1..7_u32).prop_map(Step::SetLimit),
        1 => Just(Step::Close),
    ]
}

#[derive(Default)]
struct Model {
    limit: u64,
    in_use: u64,
    queue: VecDeque<(usize, u32)>,
    decided: Vec<(usize, Result<u32, Reason>)>,
    closed: bool,
    /// The number of steps after which nothing was in use and the queue was empty.
    ends: usize,
}

impl Model {
    fn take(&mut self, weight: u32) -> Result<(), Reason> {
        if self.closed {
            return Err(Reason::Closed);
        }
        if u64::from(weight) > self.limit {
            return Err(Reason::NeverFits);
        }
        if !self.queue.is_empty() || self.in_use + u64::from(weight) > self.limit {
            return Err(Reason::Busy);
        }
        self.in_use += u64::from(weight);
        Ok(())
    }

    /// Whether the request runs at once; if not, it waits.
    fn enter(&mut self, id: usize, weight: u32) -> Result<bool, Reason> {
        match self.take(weight) {
            Ok(()) => Ok(true),
            Err(Reason::Busy) if self.queue.len() < MAX_WAITERS => {
                self.queue.push_back((id, weight));
                Ok(false)
            }
            Err(Reason::Busy) => Err(Reason::QueueFull),
            Err(reason) => Err(reason),
        }
    }

    fn decision(&self, id: usize) -> Option<Result<u32, Reason>> {
        self.decided.iter().find(|decided| decided.0 == id).map(|decided| decided.1)
    }

    fn release(&mut self, weight: u32) {
        self.in_use -= u64::from(weight);
        self.serve();
    }

    fn leave(&mut self, id: usize) {
        self.queue.retain(|waiting| waiting.0 != id);
        self.release(self.decision(id).map_or(0, |decision| decision.unwrap_or(0)));
    }

    fn set_limit(&mut self, limit: u32) {
        self.limit = limit.into();
        self.refuse(|weight| (weight > limit).then_some(Reason::NeverFits));
    }

    fn close(&mut self) {
        self.closed = true;
        self.refuse(|_| Some(Reason::Closed));
    }

    fn refuse(&mut self, why: impl Fn(u32) -> Option<Reason>) {
        for (id, weight) in std::mem::take(&mut self.queue) {
            match why(weight) {
                Some(reason) => self.decided.push((id, Err(reason))),
                None => self.queue.push_back((id, weight)),
            }
        }
        self.serve();
    }

    fn serve(&mut self) {
        while let Some(&(id, weight)) = self.queue.front()
            && self.in_use + u64::from(weight) <= self.limit
        {
            self.in_use += u64::from(weight);
            self.decided.push((id, Ok(weight)));
            self.queue.pop_front();
        }
        self.ends += usize::from(self.is_idle());
    }

    fn is_idle(&self) -> bool {
        self.in_use == 0 && self.queue.is_empty()
    }
}

fn why(denied: Denied) -> Reason {
    assert_eq!(denied.retry_after, None);
    denied.reason
}

fn compare(limit: u32, steps: Vec<Step>) {
    let limiter = ConcurrencyLimiter::new(limit).max_waiters(MAX_WAITERS);
    let mut model = Model { limit: limit.into(), ..Model::default() };
    let mut permits: Vec<Permit<'_>> = vec![];
    let mut waiters: Vec<(usize, ByHand<AcquirePermit<'_>>)> = vec![];
    let mut drained = vec![];
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Try(weight) => {
                let got = limiter.try_acquire_many(weight).map_err(why);
                assert_eq!(got.as_ref().map(|_| ()).map_err(|reason| *reason), model.take(weight));
                permits.extend(got);
            }
            Step::Enter(weight) => {
                let (mut waiter, expected) =
                    (ByHand::new(limiter.acquire_many(weight)), model.enter(id, weight));
                match waiter.poll() {
                    Poll::Ready(got) => {
                        assert_eq!(got.as_ref().map(|_| true).map_err(|denied| why(*denied)), expected);
                        permits.extend(got);
                    }
                    Poll::Pending => {
                        assert_eq!(expected, Ok(false));
                        waiters.push((id, waiter));
                    }
                }
            }
            Step::Poll(index) if !waiters.is_empty() => {
                let index = index.index(waiters.len());
                let (id, waiter) = &mut waiters[index];
                match (waiter.poll(), model.decision(*id)) {
                    (Poll::Pending, None) => {}
                    (Poll::Ready(got), Some(decision)) => {
                        assert_eq!(got.as_ref().map(Permit::weight).map_err(|denied| why(*denied)), decision);
                        permits.extend(got);
                        waiters.remove(index);
                    }
                    (poll, decision) => panic!("{poll:?}, and not {decision:?}"),
                }
            }
            Step::Drop(index) if !waiters.is_empty() => {
                let (id, waiter) = waiters.remove(index.index(waiters.len()));
                drop(waiter);
                model.leave(id);
            }
            Step::Release(index) if !permits.is_empty() => {
                let permit = permits.remove(index.index(permits.len()));
                let weight = permit.weight();
                drop(permit);
                model.release(weight);
            }
            Step::Drain => {
                let mut end = ByHand::new(limiter.drained());
                assert_eq!(end.poll().is_ready(), model.is_idle());
                if !model.is_idle() {
                    drained.push((end, model.ends));
                }
            }
            Step::SetLimit(limit) => {
                limiter.set_limit(limit);
                model.set_limit(limit);
            }
            Step::Close => {
                limiter.close();
                model.close();
            }
            Step::Poll(_) | Step::Drop(_) | Step::Release(_) => {}
        }
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting), (model.in_use, model.queue.len()));
        for (id, waiter) in &waiters {
            assert_eq!(
                waiter.wakes(),
                usize::from(model.decision(*id).is_some()),
                "one wake for each decision"
            );
        }
        for (end, ends) in &drained {
            assert_eq!(end.wakes(), usize::from(model.ends > *ends));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn limit_and_model_agree(limit in 1..7_u32, steps in prop::collection::vec(step(), 1..100)) {
        World::run(async |_| compare(limit, steps));
    }
}
