//! Limits that find the capacity of the other side (P23).

use std::{cell::Cell, rc::Rc, time::Duration};

use evenkeel_limit::{Adaptive, ConcurrencyLimiter};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::{
    task::LocalSet,
    time::{advance, sleep},
};

/// A server with a capacity, at 10 ms a call; above it all calls take longer, or are refused.
struct Server {
    capacity: Cell<f64>,
    base: Cell<f64>,
    refuses: bool,
}

impl Server {
    fn new(capacity: f64, refuses: bool) -> Rc<Self> {
        Rc::new(Self { capacity: Cell::new(capacity), base: Cell::new(0.01), refuses })
    }

    /// Makes a number of calls, with a number of clients at the same time.
    async fn load(self: &Rc<Self>, limiter: &Rc<ConcurrencyLimiter>, clients: usize, calls: usize) {
        let tasks = LocalSet::new();
        let left = Rc::new(Cell::new(calls));
        for _ in 0..clients {
            let (server, limiter, left) = (Rc::clone(self), Rc::clone(limiter), Rc::clone(&left));
            tasks.spawn_local(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let permit = limiter.acquire().await.unwrap();
                    let share = limiter.snapshot().in_use as f64 / server.capacity.get();
                    let queueing = if server.refuses { 1.0 } else { share.max(1.0) };
                    sleep(Duration::from_secs_f64(server.base.get() * queueing)).await;
                    if server.refuses && share > 1.0 { permit.overload() } else { permit.success() }
                }
            });
        }
        tasks.await;
    }
}

fn within(limit: u32, capacity: f64, share: f64) -> bool {
    (f64::from(limit) / capacity - 1.0).abs() <= share
}

fn gradient(initial: u32) -> Rc<ConcurrencyLimiter> {
    Rc::new(ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 1000).initial(initial)))
}

#[test]
fn the_gradient_finds_the_capacity_in_two_hundred_samples() {
    for (initial, capacity) in [(20, 40.0), (20, 25.0), (100, 40.0), (60, 20.0)] {
        World::run(async |_| {
            let (limiter, server) = (gradient(initial), Server::new(capacity, false));
            // One at a time first: the time without a queue must be measured once.
            server.load(&limiter, 1, 10).await;
            server.load(&limiter, 300, 190).await;
            let limit = limiter.snapshot().limit;
            assert!(within(limit, capacity, 0.2), "{limit} of {capacity} from {initial}");
        });
    }
}

#[test]
fn the_gradient_stays_there_and_does_not_drift() {
    World::run(async |_| {
        let (limiter, server) = (gradient(20), Server::new(100.0, false));
        server.load(&limiter, 300, 2000).await;
        for _ in 0..50 {
            server.load(&limiter, 300, 500).await;
            let limit = limiter.snapshot().limit;
            // A probe, or the samples behind it.
            assert!(within(limit, 100.0, 0.3) || limit >= 40, "{limit}");
            assert!(limit <= 130, "{limit}");
        }
    });
}

#[test]
fn one_lucky_sample_moves_nothing() {
    World::run(async |_| {
        let (limiter, server) = (gradient(20), Server::new(50.0, false));
        server.load(&limiter, 200, 200).await;
        let before = limiter.snapshot().limit;
        let permit = limiter.acquire().await.unwrap();
        sleep(Duration::from_millis(5)).await;
        permit.success();
        server.load(&limiter, 200, 20).await;
        let after = limiter.snapshot().limit;
        assert!(within(after, before.into(), 0.1), "{before} {after}");
    });
}

#[test]
fn what_is_not_used_does_not_grow() {
    World::run(async |_| {
        for adaptive in [Adaptive::gradient(10, 1000), Adaptive::aimd(10, 1000)] {
            let limiter = Rc::new(ConcurrencyLimiter::adaptive(adaptive.initial(50)));
            Server::new(1000.0, false).load(&limiter, 20, 500).await;
            assert!(limiter.snapshot().limit <= 50);
        }
    });
}

#[test]
fn the_gradient_recovers_from_a_slow_minute() {
    World::run(async |_| {
        let (limiter, server) = (gradient(20), Server::new(50.0, false));
        server.load(&limiter, 200, 1000).await;
        server.base.set(0.1);
        server.load(&limiter, 200, 6000).await;
        server.base.set(0.01);
        server.load(&limiter, 200, 1000).await;
        let limit = limiter.snapshot().limit;
        assert!((20..=65).contains(&limit), "{limit}");
    });
}

#[test]
fn aimd_finds_the_capacity_by_refusals() {
    World::run(async |_| {
        for (initial, capacity) in [(20, 30.0), (60, 30.0)] {
            let limiter = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 1000).initial(initial));
            let (limiter, server) = (Rc::new(limiter), Server::new(capacity, true));
            server.load(&limiter, 300, 2000).await;
            let limit = limiter.snapshot().limit;
            assert!(within(limit, capacity, 0.2), "{limit} of {capacity}");
        }
    });
}

#[test]
fn those_that_ran_at_the_same_time_shrink_it_once() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 1000).initial(100));
        let permits: Vec<_> = (0..100).map(|_| limiter.try_acquire().unwrap()).collect();
        sleep(Duration::from_millis(1)).await;
        permits.into_iter().for_each(|permit| permit.overload());
        assert_eq!(limiter.snapshot().limit, 90);
        limiter.try_acquire().unwrap().ignore();
        drop(limiter.try_acquire().unwrap());
        assert_eq!(limiter.snapshot().limit, 90);
        let later = limiter.try_acquire().unwrap();
        sleep(Duration::from_millis(1)).await;
        later.overload();
        assert_eq!(limiter.snapshot().limit, 81);
    });
}

#[test]
fn heavier_than_the_limit_for_now_runs_alone() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 10).initial(4));
        assert!(limiter.try_acquire_many(11).is_err());
        let permit = limiter.try_acquire_many(9).unwrap();
        assert_eq!((permit.weight(), limiter.snapshot().in_use), (4, 4));
        assert!(limiter.try_acquire().is_err());
        drop(permit);
        limiter.set_limit(100);
        assert_eq!(limiter.snapshot().limit, 10);
    });
}

/// A number of successes, one after the other, of the same duration.
async fn successes(limiter: &ConcurrencyLimiter, number: u32, time: Duration) -> u32 {
    for _ in 0..number {
        let permit = limiter.acquire().await.unwrap();
        sleep(time).await;
        permit.success();
    }
    limiter.snapshot().limit
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_probe_takes_half_and_gives_it_back() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 100).initial(100));
        // The ten samples of the probe count, too.
        for medians in [30, 29, 29] {
            assert_eq!(successes(&limiter, 10 * medians - 1, MS).await, 100);
            assert_eq!(
                successes(&limiter, 1, MS).await,
                50,
                "the time of the next ten is the shortest there is"
            );
            assert_eq!(successes(&limiter, 10, MS).await, 100, "although hardly any of it is used");
        }
    });
}

#[test]
fn what_is_said_while_it_probes_counts_afterwards() {
    type Say = fn(&ConcurrencyLimiter);
    let ways: [(Say, u32); 2] =
        [(|limiter| limiter.try_acquire().unwrap().overload(), 45), (|limiter| limiter.set_limit(45), 45)];
    for (say, limit) in ways {
        World::run(async |_| {
            let limiter = ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 100).initial(100));
            let _others = [(); 40].map(|()| limiter.try_acquire().unwrap());
            assert_eq!(successes(&limiter, 300, MS).await, 50);
            say(&limiter);
            assert_eq!(limiter.snapshot().limit, limit);
            assert_eq!(successes(&limiter, 10, MS).await, 51, "a quarter more than is used, and not 100");
        });
    }
}

#[test]
fn no_time_at_all_is_no_measure() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 100).initial(50));
        assert_eq!(successes(&limiter, 100, Duration::ZERO).await, 50);
        assert_eq!(successes(&limiter, 10, MS).await, 50);
    });
}

#[test]
fn a_slow_moment_halves_it_at_most() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 100).initial(100));
        successes(&limiter, 10, MS).await;
        assert_eq!(successes(&limiter, 10, 1000 * MS).await, 50);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For all reports and all durations: from no time to months.
    #[test]
    fn the_limit_stays_within_its_bounds(
        min in 1..20_u32,
        more in 0..1000_u32,
        gradient: bool,
        reports in prop::collection::vec((0..55_u32, 0..10_u32, 1..20_usize), 1..40),
    ) {
        World::run(async |_| {
            let adaptive = if gradient { Adaptive::gradient } else { Adaptive::aimd };
            let limiter = ConcurrencyLimiter::adaptive(adaptive(min, min + more));
            for (bits, outcome, number) in reports {
                let permits: Vec<_> = (0..number).map_while(|_| limiter.try_acquire().ok()).collect();
                advance(Duration::from_nanos((1_u64 << bits) - 1)).await;
                for permit in permits {
                    match outcome {
                        0 => permit.overload(),
                        1 => permit.ignore(),
                        _ => permit.success(),
                    }
                }
                assert!((min..=min + more).contains(&limiter.snapshot().limit));
            }
        });
    }
}

#[test]
fn bounds_are_bounds() {
    use std::panic::catch_unwind;
    assert!(catch_unwind(|| Adaptive::aimd(0, 1)).is_err());
    assert!(catch_unwind(|| Adaptive::gradient(2, 1)).is_err());
    assert!(catch_unwind(|| Adaptive::aimd(1, 3).initial(4)).is_err());
    assert!(catch_unwind(|| ConcurrencyLimiter::new(0)).is_err());
    assert!(catch_unwind(|| ConcurrencyLimiter::new(1).max_waiters(0)).is_err());
    assert!(catch_unwind(|| ConcurrencyLimiter::new(1).set_limit(0)).is_err());
}

/// A limiter with a name, whose permits have records under the feature `inspect`, adapts as any other.
#[tokio::test(start_paused = true)]
async fn a_name_changes_nothing() {
    let limiter = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 100).initial(20)).named("calls");
    limiter.acquire().await.unwrap().overload();
    limiter.acquire().await.unwrap().ignore();
    assert_eq!((limiter.snapshot().limit, limiter.snapshot().in_use), (18, 0));
}
