//! Concurrency limits (P22): by weight, in order, resized, drained, with permits that go back however work ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_limit::{ConcurrencyLimiter, Reason};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use crate::fixtures::{ByHand, waker};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn why<T>(poll: Poll<Result<T, evenkeel_limit::Denied>>) -> Reason {
    let Poll::Ready(Err(denied)) = poll else { panic!("no refusal") };
    assert_eq!(denied.retry_after, None);
    denied.reason
}

#[test]
fn a_deadline_that_is_set_again_counts() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::new(1);
        let _permit = limiter.acquire().await.unwrap();
        let mut waits = limiter.acquire().by(Instant::now() + ms(20));
        assert!(pin!(&mut waits).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let later = waits.by(Instant::now() + ms(50));
        assert_eq!(assert_took!(later, ms(50)).unwrap_err().reason, Reason::Deadline);
    });
}

#[test]
fn the_light_do_not_overtake_the_heavy() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::new(10);
        let first = limiter.acquire_many(6).await.unwrap();
        let mut heavy = ByHand::queued(limiter.acquire_many(5));
        let mut light = ByHand::queued(limiter.acquire());
        assert_eq!(limiter.try_acquire().unwrap_err().reason, Reason::Busy);
        drop(first);
        assert_eq!((heavy.wakes(), light.wakes()), (1, 1));
        assert!(heavy.poll().is_ready() && light.poll().is_ready());
    });
}

#[test]
fn one_wake_for_each_turn_and_none_for_others() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::new(1);
        let mut running = limiter.acquire().await.unwrap();
        let mut waiters: Vec<_> = (0..100).map(|_| ByHand::queued(limiter.acquire())).collect();
        for next in 0..100 {
            drop(running);
            let wakes: Vec<_> = waiters.iter().map(ByHand::wakes).collect();
            assert!(wakes.iter().enumerate().all(|(i, &wakes)| wakes == usize::from(i <= next)));
            let Poll::Ready(Ok(permit)) = waiters[next].poll() else { panic!("its turn") };
            running = permit;
        }
        drop(running);
        assert_eq!((limiter.snapshot().in_use, limiter.snapshot().granted), (0, 101));
    });
}

#[test]
fn a_permit_goes_back_however_the_work_ends() {
    World::builder().allow_panics(1).run(async |_| {
        let limiter = Arc::new(ConcurrencyLimiter::new(1));
        let work = async |limiter: Arc<ConcurrencyLimiter>, end: u32| {
            let _permit = limiter.acquire_owned(1).await.unwrap();
            match end {
                0 => Err("an error"),
                1 => panic!("a panic"),
                2 => std::future::pending().await,
                _ => Ok(()),
            }
        };
        for end in 0..4 {
            let task = tokio::spawn(work(Arc::clone(&limiter), end));
            sleep(ms(1)).await;
            assert_eq!(limiter.snapshot().in_use, u64::from(end == 2));
            task.abort();
            let _ended = task.await;
            assert_eq!(limiter.snapshot().in_use, 0);
        }
        drop(limiter.acquire());
        let permit = limiter.try_acquire_owned(1).unwrap();
        let waiter = ByHand::queued(limiter.acquire());
        drop(permit);
        assert_eq!((waiter.wakes(), limiter.snapshot().in_use), (1, 1));
        drop(waiter);
        assert_eq!(limiter.snapshot().in_use, 0, "granted, and not seen");
        assert_eq!(Arc::strong_count(&limiter), 1);
    });
}

#[test]
fn a_deadline_is_kept_to_the_millisecond() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::new(1);
        let permit = limiter.acquire().await.unwrap();
        let deadline = Instant::now() + ms(20);
        let denied = assert_took!(limiter.acquire().by(deadline), ms(20)).unwrap_err();
        assert_eq!((denied.reason, denied.retry_after), (Reason::Deadline, None));
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.waiting, snapshot.refused), (0, 1));
        let in_time = async {
            let release = async {
                sleep(ms(5)).await;
                drop(permit);
            };
            tokio::join!(limiter.acquire().by(Instant::now() + ms(20)), release).0.unwrap()
        };
        let _permit = assert_took!(in_time, ms(5));
    });
}

#[test]
fn shrinking_takes_nothing_from_those_who_run_and_growing_starts_more() {
    World::run(async |_| {
        let limiter = ConcurrencyLimiter::new(4);
        let mut permits: Vec<_> = (0..4).map(|_| limiter.try_acquire().unwrap()).collect();
        let mut waiter = ByHand::queued(limiter.acquire_many(2));
        let mut heavy = ByHand::queued(limiter.acquire_many(3));
        limiter.set_limit(2);
        assert_eq!(why(heavy.poll()), Reason::NeverFits);
        assert_eq!((limiter.snapshot().in_use, limiter.snapshot().limit), (4, 2));
        for waits in [true, true, true, false] {
            permits.pop();
            assert_eq!(waiter.wakes() == 0, waits);
        }
        let _two = waiter.poll();
        let more: Vec<_> = (0..3).map(|_| ByHand::queued(limiter.acquire())).collect();
        limiter.set_limit(4);
        assert_eq!(more.iter().map(ByHand::wakes).collect::<Vec<_>>(), [1, 1, 0]);
    });
}

#[test]
fn the_queue_is_as_long_as_allowed() {
    World::run(async |_| {
        static LIMITER: ConcurrencyLimiter = ConcurrencyLimiter::new(1).max_waiters(1);
        let _permit = LIMITER.acquire().await.unwrap();
        let _waiter = ByHand::queued(LIMITER.acquire());
        assert_eq!(why(ByHand::new(LIMITER.acquire()).poll()), Reason::QueueFull);
    });
}

#[test]
fn closing_refuses_all_and_draining_waits_for_those_who_run() {
    World::run(async |_| {
        let limiter = Arc::new(ConcurrencyLimiter::new(2));
        assert_took!(limiter.drained(), Duration::ZERO);
        let permit = limiter.acquire_owned(2).await.unwrap();
        let mut waiters: Vec<_> = (0..50).map(|_| ByHand::queued(limiter.acquire())).collect();
        limiter.close();
        assert!(waiters.iter_mut().all(|waiter| waiter.wakes() == 1 && why(waiter.poll()) == Reason::Closed));
        assert_eq!(limiter.try_acquire().unwrap_err().reason, Reason::Closed);
        tokio::spawn(async move {
            sleep(ms(30)).await;
            drop(permit);
        });
        assert!(timeout(ms(10), limiter.drained()).await.is_err());
        assert_took!(async { tokio::join!(limiter.drained(), limiter.drained()) }, ms(20));
        assert!(limiter.snapshot().closed);
    });
}

#[test]
fn a_waker_may_come_back_or_panic() {
    World::run(async |_| {
        let limiter = Arc::new(ConcurrencyLimiter::new(3));
        let permit = limiter.try_acquire_many(3).unwrap();
        let again = Arc::clone(&limiter);
        let comes_back = waker(move || assert_eq!(again.try_acquire().unwrap_err().reason, Reason::Busy));
        let mut first = pin!(limiter.acquire());
        assert!(first.as_mut().poll(&mut Context::from_waker(&comes_back)).is_pending());
        let mut second = pin!(limiter.acquire());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker(|| panic!("a waker")))).is_pending());
        let mut third = ByHand::queued(limiter.acquire());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(permit))).is_err());
        assert!(third.wakes() == 1 && third.poll().is_ready());
        assert_eq!(limiter.snapshot().in_use, 2, "the first two, which have not looked");
    });
}

#[test]
fn every_wait_can_be_dropped() {
    async fn contended() -> Arc<ConcurrencyLimiter> {
        let limiter = Arc::new(ConcurrencyLimiter::new(2));
        for work in [10, 20] {
            let permit = limiter.acquire_owned(1).await.unwrap();
            tokio::spawn(async move {
                sleep(ms(work)).await;
                drop(permit);
            });
        }
        limiter
    }
    async fn as_if_new(limiter: Arc<ConcurrencyLimiter>) {
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
        drop(limiter.try_acquire_many(2).unwrap());
    }
    type Limiter = Arc<ConcurrencyLimiter>;
    let acquire = async |limiter: Limiter| drop(limiter.acquire_many(2).await.unwrap());
    assert_eq!(cancel::every_point(contended, acquire, as_if_new).points(), 1);
    let by = async |limiter: Limiter| {
        let deadline = Instant::now() + ms(15);
        assert!(limiter.acquire_owned(2).by(deadline).await.is_err());
    };
    assert_eq!(cancel::every_point(contended, by, as_if_new).points(), 1);
    let drained = async |limiter: Limiter| limiter.drained().await;
    assert_eq!(cancel::every_point(contended, drained, as_if_new).points(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The peak is never above the limit, turns come in order, and nothing is lost.
    #[test]
    fn of_tasks_that_come_and_go(
        limit in 1..10_u32,
        tasks in prop::collection::vec((0..100_u64, 1..10_u32, 0..30_u64, prop::option::of(0..50_u64)), 1..60),
    ) {
        World::run(async |_| {
            let limiter = Arc::new(ConcurrencyLimiter::new(limit));
            let mut started = vec![];
            let tasks: Vec<_> = tasks.into_iter().map(|(at, weight, work, max_wait)| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move {
                    sleep(ms(at)).await;
                    let came = Instant::now();
                    let max_wait = max_wait.map_or(Duration::MAX, ms);
                    let permit = timeout(max_wait, limiter.acquire_many(weight.min(limit))).await.ok()?.unwrap();
                    let snapshot = limiter.snapshot();
                    assert!(snapshot.in_use <= u64::from(limit));
                    sleep(ms(work)).await;
                    drop(permit);
                    Some((came, Instant::now() - ms(work)))
                })
            }).collect();
            for task in tasks {
                started.extend(task.await.unwrap());
            }
            started.sort();
            assert!(started.windows(2).all(|pair| pair[0].0 == pair[1].0 || pair[0].1 <= pair[1].1));
            let snapshot = limiter.snapshot();
            assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
        });
    }
}
