//! Random histories, compared step by step with the exact model: when permits are there (P2), the time to come
//! back (P5), the order (P9), dropping anywhere (P10), and changes of the rate (P16).

use std::{task::Poll, time::Duration};

use evenkeel_limit::{AcquireMany, Rate, RateLimiter, Reason};
use evenkeel_testkit::World;
use proptest::prelude::*;

use crate::{
    instruments::ByHand,
    model::{Model, Speed},
};

/// A day in nanoseconds, times 7: a multiple of the times of all rates below.
const PARTS: u128 = 7 * 86_400_000_000_000;
const TIMES: [u64; 6] = [1, 1_000_000, 7_000_000, 1_000_000_000, 60_000_000_000, 86_400_000_000_000];

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Try(u32),
    Enter(u32),
    Poll(prop::sample::Index),
    Drop(prop::sample::Index),
    SetRate(Speed),
}

/// As many small numbers as large ones.
fn magnitude(bits: u32) -> impl Strategy<Value = u64> {
    (1..=bits, any::<u64>()).prop_map(|(bits, number)| (number >> (64 - bits)).max(1))
}

fn speed() -> impl Strategy<Value = Speed> {
    let permits = prop_oneof![1..50_u32, magnitude(32).prop_map(|n| n as u32)];
    (permits, prop::sample::select(&TIMES[..])).prop_map(|(permits, nanos)| Speed { permits, nanos })
}

fn step(burst: u32) -> impl Strategy<Value = Step> {
    let permits =
        move || prop_oneof![4 => 1..=burst, 2 => 1..=burst.min(3), 1 => Just(burst), 1 => 0..=burst + 1];
    prop_oneof![
        3 => prop_oneof![magnitude(40), magnitude(25), (0..200_u64).prop_map(|n| n * 5_000_000)].prop_map(Step::Advance),
        2 => permits().prop_map(Step::Try),
        4 => permits().prop_map(Step::Enter),
        2 => any::<prop::sample::Index>().prop_map(Step::Poll),
        2 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => speed().prop_map(Step::SetRate),
    ]
}

fn history() -> impl Strategy<Value = (Speed, u32, Vec<Step>)> {
    let burst = prop_oneof![1..20_u32, magnitude(31).prop_map(|n| n as u32)];
    (speed(), burst)
        .prop_flat_map(|(speed, burst)| (Just(speed), Just(burst), prop::collection::vec(step(burst), 1..60)))
}

fn rate(speed: Speed) -> Rate {
    Rate::per(speed.permits, Duration::from_nanos(speed.nanos))
}

struct Waiter<'a> {
    id: usize,
    permits: u32,
    future: ByHand<AcquireMany<'a>>,
}

async fn compare(speed: Speed, burst: u32, steps: Vec<Step>) {
    let limiter = RateLimiter::new(rate(speed)).burst(burst);
    let mut model = Model::new(PARTS, speed, burst);
    let mut waiters: Vec<Waiter<'_>> = vec![];
    let (mut granted, mut refused) = (0, 0);
    let mut count = |ok| *(if ok { &mut granted } else { &mut refused }) += 1;
    let _first_use = limiter.snapshot();
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Advance(nanos) => {
                tokio::time::advance(Duration::from_nanos(nanos)).await;
                model.advance(nanos);
            }
            Step::Try(permits) => {
                let got = limiter.try_acquire_many(permits);
                let expected = model.try_acquire(permits);
                assert_eq!(got.is_ok(), expected.is_ok());
                if let (Err(denied), Err(nanos)) = (got, expected) {
                    let reason = if nanos.is_some() { Reason::Busy } else { Reason::NeverFits };
                    assert_eq!(
                        (denied.reason, denied.retry_after),
                        (reason, nanos.map(Duration::from_nanos))
                    );
                }
                count(got.is_ok());
            }
            // The model serves all at once, the limiter 32 in one call.
            Step::Enter(permits) if waiters.len() < 32 => {
                let fits = model.enter(id, permits);
                let mut future = ByHand::new(limiter.acquire_many(permits));
                match future.poll() {
                    Poll::Ready(result) => {
                        assert_eq!(result.is_ok(), fits);
                        assert_eq!(model.is_served(id), fits);
                        count(fits);
                    }
                    Poll::Pending => {
                        assert!(fits && !model.is_served(id));
                        waiters.push(Waiter { id, permits, future });
                    }
                }
            }
            Step::Poll(index) if !waiters.is_empty() => {
                let index = index.index(waiters.len());
                let poll = waiters[index].future.poll();
                assert_eq!(poll.is_ready(), model.is_served(waiters[index].id));
                if poll.is_ready() {
                    waiters.remove(index);
                    count(true);
                }
            }
            Step::Drop(index) if !waiters.is_empty() => {
                let waiter = waiters.remove(index.index(waiters.len()));
                drop(waiter.future);
                model.cancel(waiter.id, waiter.permits);
            }
            Step::SetRate(speed) => {
                limiter.set_rate(rate(speed));
                model.set_rate(speed);
            }
            Step::Enter(_) | Step::Poll(_) | Step::Drop(_) => {}
        }
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.available, snapshot.waiting), (model.available(), model.waiting()));
        for waiter in &waiters {
            assert_eq!(
                waiter.future.wakes(),
                usize::from(model.is_served(waiter.id)),
                "one wake for each grant"
            );
        }
    }
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.granted, snapshot.refused), (granted, refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn limiter_and_model_agree((speed, burst, steps) in history()) {
        World::run(|_| compare(speed, burst, steps));
    }
}
