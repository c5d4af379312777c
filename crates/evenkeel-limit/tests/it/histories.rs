//! Random histories, compared step by step with the exact model: when permits are available (P2), the time to try
//! again (P5), more than the burst (P6), the order (P9), dropping anywhere (P10), changes of the rate (P16) and the
//! burst (P17), deadlines (P18), pauses, refunds and costs known afterwards (P24).

use std::{task::Poll, time::Duration};

use evenkeel_limit::{AcquireMany, Denied, Rate, RateLimiter};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{
    fixtures::ByHand,
    model::{Model, Refusal, Speed, magnitude},
};

/// A day in nanoseconds, times 7: a multiple of the times of all rates below.
const PARTS: i128 = 7 * 86_400_000_000_000;
const TIMES: [u64; 6] = [1, 1_000_000, 7_000_000, 1_000_000_000, 60_000_000_000, 86_400_000_000_000];

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Try(u32),
    Enter(u32, Option<u64>),
    Poll(prop::sample::Index),
    Drop(prop::sample::Index),
    /// Reserves permits, and uses another number of them.
    Settle(u32, u32),
    Refund(u32),
    Penalize(u64),
    SetRate(Speed),
    SetBurst(u32),
}

fn speed() -> impl Strategy<Value = Speed> {
    let permits = prop_oneof![1..50_u32, magnitude(32).prop_map(|n| n as u32)];
    (permits, prop::sample::select(&TIMES[..])).prop_map(|(permits, nanos)| Speed { permits, nanos })
}

fn burst() -> impl Strategy<Value = u32> {
    prop_oneof![1..20_u32, magnitude(31).prop_map(|n| n as u32)]
}

fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![magnitude(40), magnitude(25), (0..200_u64).prop_map(|n| n * 5_000_000)]
}

fn step(burst: u32) -> impl Strategy<Value = Step> {
    let permits =
        move || prop_oneof![4 => 1..=burst, 2 => 1..=burst.min(3), 1 => Just(burst), 1 => 0..=burst + 1];
    prop_oneof![
        6 => nanos().prop_map(Step::Advance),
        4 => permits().prop_map(Step::Try),
        8 => (permits(), prop::option::weighted(0.3, nanos())).prop_map(|(n, by)| Step::Enter(n, by)),
        4 => any::<prop::sample::Index>().prop_map(Step::Poll),
        4 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => (permits(), permits()).prop_map(|(reserved, used)| Step::Settle(reserved, used)),
        1 => permits().prop_map(Step::Refund),
        1 => nanos().prop_map(Step::Penalize),
        2 => speed().prop_map(Step::SetRate),
        1 => prop_oneof![permits().prop_map(|n| n.max(1)), self::burst()].prop_map(Step::SetBurst),
    ]
}

fn history() -> impl Strategy<Value = (Speed, u32, bool, Vec<Step>)> {
    (speed(), burst(), any::<bool>()).prop_flat_map(|(speed, burst, debt)| {
        (Just(speed), Just(burst), Just(debt), prop::collection::vec(step(burst), 1..60))
    })
}

fn rate(speed: Speed) -> Rate {
    Rate::per(speed.permits, Duration::from_nanos(speed.nanos))
}

fn refusal(denied: Denied) -> Refusal {
    (denied.reason, denied.retry_after.map(|wait| wait.as_nanos() as u64))
}

struct Waiter<'a> {
    id: usize,
    permits: u32,
    future: ByHand<AcquireMany<'a>>,
}

async fn compare(speed: Speed, burst: u32, debt: bool, steps: Vec<Step>) {
    let limiter = RateLimiter::new(rate(speed)).burst(burst);
    let limiter = if debt { limiter.oversize_as_debt() } else { limiter };
    let mut model = Model::new(PARTS, speed, burst, debt);
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
                assert_eq!(got.map_err(refusal), model.try_acquire(permits));
                count(got.is_ok());
            }
            // The model serves all waiters at once, the limiter 32 in one call.
            Step::Enter(permits, max_wait) if waiters.len() < 32 => {
                let expected = model.enter(id, permits, max_wait);
                let future = limiter.acquire_many(permits);
                let mut future = ByHand::new(match max_wait {
                    Some(max_wait) => future.by(Instant::now() + Duration::from_nanos(max_wait)),
                    None => future,
                });
                match future.poll() {
                    Poll::Ready(result) => {
                        assert_eq!(result.map_err(refusal), expected);
                        assert_eq!(model.is_served(id), expected.is_ok());
                        count(expected.is_ok());
                    }
                    Poll::Pending => {
                        assert!(expected.is_ok() && !model.is_served(id));
                        waiters.push(Waiter { id, permits, future });
                    }
                }
            }
            Step::Poll(index) if !waiters.is_empty() => {
                let index = index.index(waiters.len());
                let Waiter { id, future, .. } = &mut waiters[index];
                let expected = match model.refusal(*id) {
                    Some(refusal) => Poll::Ready(Err(refusal)),
                    None if model.is_served(*id) => Poll::Ready(Ok(())),
                    None => Poll::Pending,
                };
                assert_eq!(future.poll().map_err(refusal), expected);
                if let Poll::Ready(result) = expected {
                    waiters.remove(index);
                    count(result.is_ok());
                }
            }
            Step::Drop(index) if !waiters.is_empty() => {
                let waiter = waiters.remove(index.index(waiters.len()));
                drop(waiter.future);
                model.cancel(waiter.id, waiter.permits);
            }
            Step::Settle(reserved, used) => {
                let expected = model.enter(id, reserved, None);
                match ByHand::new(limiter.reserve(reserved)).poll() {
                    Poll::Ready(Ok(reservation)) => {
                        assert!(model.is_served(id));
                        reservation.settle(used);
                        if used > reserved {
                            model.charge(used - reserved);
                        } else {
                            model.refund(reserved - used);
                        }
                        count(true);
                    }
                    Poll::Ready(Err(denied)) => {
                        assert_eq!(Err(refusal(denied)), expected);
                        count(false);
                    }
                    Poll::Pending => {
                        assert!(expected.is_ok() && !model.is_served(id));
                        model.cancel(id, reserved);
                    }
                }
            }
            Step::Refund(permits) => {
                limiter.refund(permits);
                model.refund(permits);
            }
            Step::Penalize(nanos) => {
                limiter.penalize(Duration::from_nanos(nanos));
                model.penalize(nanos);
            }
            Step::SetRate(speed) => {
                limiter.set_rate(rate(speed));
                model.set_rate(speed);
            }
            Step::SetBurst(burst) => {
                limiter.set_burst(burst);
                model.set_burst(burst);
            }
            Step::Enter(..) | Step::Poll(_) | Step::Drop(_) => {}
        }
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.available, snapshot.waiting), (model.available(), model.waiting()));
        for waiter in &waiters {
            let decided = model.is_served(waiter.id) || model.refusal(waiter.id).is_some();
            assert_eq!(waiter.future.wakes(), usize::from(decided), "one wake for each decision");
        }
    }
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.granted, snapshot.refused), (granted, refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn limiter_and_model_agree((speed, burst, debt, steps) in history()) {
        World::run(|_| compare(speed, burst, debt, steps));
    }
}
