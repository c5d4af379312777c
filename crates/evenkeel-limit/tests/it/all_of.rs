//! Several limits at once (P19): all or none, whatever the order.

use std::{sync::Arc, time::Duration};

use evenkeel_limit::{ConcurrencyLimiter, Demand, Keyed, RateLimiter, Reason, all_of, try_all_of};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Debug)]
struct Limits {
    fast: RateLimiter,
    slow: RateLimiter,
    first: ConcurrencyLimiter,
    second: ConcurrencyLimiter,
}

impl Limits {
    fn new() -> Self {
        Self {
            fast: RateLimiter::per_second(100).burst(5),
            slow: RateLimiter::per_second(10).burst(2),
            first: ConcurrencyLimiter::new(3),
            second: ConcurrencyLimiter::new(2),
        }
    }

    fn demand(&self, limit: u8, n: u32) -> Demand<'_> {
        match limit {
            0 => self.fast.demand(n),
            1 => self.slow.demand(n),
            2 => self.first.demand(n),
            _ => self.second.demand(n),
        }
    }

    fn left(&self) -> (u32, u32, u64, u64, usize) {
        let (fast, slow) = (self.fast.snapshot(), self.slow.snapshot());
        let (first, second) = (self.first.snapshot(), self.second.snapshot());
        let waiting = fast.waiting + slow.waiting + first.waiting + second.waiting;
        (fast.available, slow.available, first.in_use, second.in_use, waiting)
    }
}

const UNTOUCHED: (u32, u32, u64, u64, usize) = (5, 2, 0, 0, 0);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn all_or_none_are_taken(parts in prop::collection::vec((0..4_u8, 1..7_u32), 1..6)) {
        World::run(async |_| {
            let limits = Limits::new();
            let asked = parts.iter().map(|&(limit, n)| limits.demand(limit, n));
            let wanted = |limit| parts.iter().filter(|part| part.0 == limit).map(|part| part.1).sum::<u32>();
            let fits = wanted(0) <= 5 && wanted(1) <= 2 && wanted(2) <= 3 && wanted(3) <= 2;
            match try_all_of(asked.clone()) {
                Ok(held) => {
                    assert!(fits);
                    let left = (5 - wanted(0), 2 - wanted(1), u64::from(wanted(2)), u64::from(wanted(3)), 0);
                    assert_eq!(limits.left(), left);
                    held.refund();
                }
                Err(denied) => assert!(!fits && denied.reason == Reason::NeverFits),
            }
            assert_eq!(limits.left(), UNTOUCHED);
            let waited = all_of(asked).await.map(drop);
            assert_eq!(waited.is_ok(), fits);
            if fits {
                assert_eq!(limits.left(), (5 - wanted(0), 2 - wanted(1), 0, 0, 0));
            } else {
                assert_eq!(limits.left(), UNTOUCHED);
            }
        });
    }

    /// Tasks that request the same limits in different orders, and give up at different times.
    #[test]
    fn nobody_waits_for_ever(
        tasks in prop::collection::vec((prop::collection::vec((0..4_u8, 1..3_u32), 1..5), 0..400_u64, 0..50_u64), 1..20),
    ) {
        World::run(async |_| {
            let limits = Arc::new(Limits::new());
            let tasks: Vec<_> = tasks.into_iter().map(|(parts, max_wait, work)| {
                let limits = Arc::clone(&limits);
                tokio::spawn(async move {
                    let parts = parts.iter().map(|&(limit, n)| limits.demand(limit, n)).collect::<Vec<_>>();
                    if let Ok(Ok(held)) = timeout(ms(max_wait), all_of(parts)).await {
                        sleep(ms(work)).await;
                        drop(held);
                    }
                })
            }).collect();
            for task in tasks {
                task.await.unwrap();
            }
            sleep(Duration::from_secs(1)).await;
            assert_eq!(limits.left(), UNTOUCHED);
        });
    }
}

#[test]
fn opposite_orders_do_not_block_each_other() {
    World::run(async |_| {
        let (a, b) = (ConcurrencyLimiter::new(1), ConcurrencyLimiter::new(1));
        let work = async |parts: [Demand<'_>; 2]| {
            for _ in 0..10 {
                let held = all_of(parts).await.unwrap();
                sleep(ms(1)).await;
                assert_eq!(held.into_permits().len(), 2);
            }
        };
        let both = async { tokio::join!(work([a.demand(1), b.demand(1)]), work([b.demand(1), a.demand(1)])) };
        assert_took!(both, ms(20));
    });
}

#[test]
fn the_longest_wait_comes_first_and_holds_nothing() {
    World::run(async |_| {
        let (fast, slow) = (RateLimiter::per_second(10).burst(1), RateLimiter::per_second(1).burst(1));
        slow.try_acquire().unwrap();
        let start = Instant::now();
        let both = async {
            drop(all_of([fast.demand(1), slow.demand(1)]).await.unwrap());
            start.elapsed()
        };
        let meanwhile = async {
            fast.acquire().await;
            fast.acquire().await;
            start.elapsed()
        };
        assert_eq!(tokio::join!(both, meanwhile), (ms(1000), ms(100)));
    });
}

#[test]
fn one_limit_may_be_several_parts() {
    World::run(async |_| {
        let (rate, slots) = (RateLimiter::per_second(10).burst(3), ConcurrencyLimiter::new(2));
        let held =
            assert_took!(all_of([rate.demand(1), slots.demand(1), rate.demand(2), slots.demand(1)]), ms(0))
                .unwrap();
        assert_eq!((rate.snapshot().available, slots.snapshot().in_use), (0, 2));
        drop(held);
        let refused = all_of([rate.demand(2), rate.demand(2)]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::NeverFits, "together, as if it were one");
        let refused = all_of([slots.demand(u32::MAX), slots.demand(1)]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::NeverFits);
        assert!(try_all_of([]).is_ok());
    });
}

#[test]
fn a_key_and_all_of_them() {
    World::run(async |_| {
        let (total, users) = (RateLimiter::per_second(10).burst(3), Keyed::<u64>::per_second(1).burst(2));
        let ann = users.limiter(&1);
        for _ in 0..2 {
            assert!(try_all_of([total.demand(1), ann.demand(1)]).is_ok());
        }
        assert_eq!(try_all_of([total.demand(1), ann.demand(1)]).unwrap_err().retry_after, Some(ms(1000)));
        assert_eq!(total.snapshot().available, 1);
        assert_eq!(users.try_acquire(&1).unwrap_err().retry_after, Some(ms(1000)), "the same bucket");
        assert!(try_all_of([total.demand(1), users.limiter(&2).demand(1)]).is_ok());
    });
}

#[test]
fn every_wait_can_be_dropped() {
    let busy = async || {
        let limits = Arc::new(Limits::new());
        let slots = [limits.first.try_acquire_many(3).unwrap(), limits.second.try_acquire_many(2).unwrap()];
        limits.fast.try_acquire_many(5).unwrap();
        limits.slow.try_acquire_many(2).unwrap();
        slots.into_iter().for_each(std::mem::forget);
        limits.first.set_limit(6);
        limits.second.set_limit(4);
        limits
    };
    let all = async |limits: Arc<Limits>| {
        let held = all_of([
            limits.fast.demand(1),
            limits.second.demand(1),
            limits.slow.demand(1),
            limits.first.demand(1),
        ]);
        held.await.unwrap().refund();
    };
    let as_if_new = async |limits: Arc<Limits>| {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(limits.left(), (5, 2, 3, 2, 0));
    };
    assert_eq!(cancel::every_point(busy, all, as_if_new).points(), 1, "the wait for `slow` is the last");
}

#[test]
fn a_refusal_on_the_way_gives_the_others_back() {
    World::run(async |_| {
        let limits = Limits::new();
        limits.slow.try_acquire_many(2).unwrap();
        let refused =
            async { all_of([limits.first.demand(1), limits.fast.demand(5), limits.slow.demand(2)]).await };
        let close = async {
            sleep(ms(50)).await;
            limits.slow.close();
        };
        let (refused, ()) = tokio::join!(refused, close);
        assert_eq!(refused.unwrap_err().reason, Reason::Closed);
        assert_eq!((limits.left().0, limits.left().2), (5, 0));
    });
}
