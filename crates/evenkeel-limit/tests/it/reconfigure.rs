//! Limiters that are changed, paused, or closed while requests wait, and their refusals (P17, P18, P24).

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_limit::{Denied, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::{ByHand, waker};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn in_ms(millis: u64) -> Instant {
    Instant::now() + ms(millis)
}

/// One permit per 100 ms, and none available yet.
fn empty() -> RateLimiter {
    RateLimiter::per_second(10).start_empty()
}

fn why<T>(result: Result<T, Denied>) -> (Reason, Option<Duration>) {
    let denied = result.err().expect("a refusal");
    (denied.reason, denied.retry_after)
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_at_once_and_takes_nothing() {
    World::run(async |_| {
        let limiter = empty();
        let _first = ByHand::queued(limiter.acquire_many(2));
        let refused = assert_took!(limiter.acquire().by(in_ms(299)), Duration::ZERO);
        assert_eq!(why(refused), (Reason::Deadline, Some(ms(300))));
        let refused = assert_took!(limiter.reserve(2).by(in_ms(399)), Duration::ZERO);
        assert_eq!(why(refused), (Reason::Deadline, Some(ms(400))));
        assert_eq!(limiter.snapshot().waiting, 1);
        assert_eq!(assert_took!(limiter.acquire().by(in_ms(300)), ms(300)), Ok(()));
    });
}

#[test]
fn permits_that_are_there_come_before_any_deadline() {
    World::run(async |_| {
        let past = Instant::now();
        sleep(ms(1)).await;
        assert_eq!(RateLimiter::per_second(10).acquire().by(past).await, Ok(()));
        assert_eq!(RateLimiter::unlimited().acquire().by(past).await, Ok(()));
    });
}

#[test]
fn who_waits_with_a_deadline_is_refused_when_it_can_no_longer_be_met() {
    type Change = fn(&RateLimiter);
    let changes: [Change; 3] = [
        |limiter| limiter.set_rate(Rate::per_second(5)),
        |limiter| limiter.penalize(ms(250)),
        |limiter| limiter.set_rate(Rate::every(Duration::from_secs(1 << 30))),
    ];
    for change in changes {
        World::run(async |_| {
            let limiter = empty();
            let mut waiter = ByHand::queued(limiter.acquire_many(2).by(in_ms(200)));
            let patient = ByHand::queued(limiter.acquire());
            sleep(ms(10)).await;
            change(&limiter);
            assert_eq!((waiter.wakes(), patient.wakes()), (1, 0));
            let Poll::Ready(refused) = waiter.poll() else { panic!("still waits") };
            assert_eq!(why(refused).0, Reason::Deadline);
            let snapshot = limiter.snapshot();
            assert_eq!((snapshot.waiting, snapshot.refused), (1, 1));
        });
    }
}

#[test]
fn one_who_is_refused_lets_those_behind_meet_their_deadline() {
    World::run(async |_| {
        let limiter = empty();
        let big = ByHand::queued(limiter.acquire_many(10).by(in_ms(1000)));
        let small = ByHand::queued(limiter.acquire_many(1).by(in_ms(1100)));
        limiter.set_rate(Rate::per_second(5));
        assert_eq!((big.wakes(), small.wakes()), (1, 0));
        sleep(ms(200)).await;
        assert_eq!(small.wakes(), 1);
    });
}

#[test]
fn the_queue_is_as_long_as_allowed() {
    World::run(async |_| {
        let limiter = empty().max_waiters(2);
        let [first, _second] = [(); 2].map(|()| ByHand::queued(limiter.acquire_many(1)));
        let refused = assert_took!(limiter.acquire_many(3), Duration::ZERO);
        assert_eq!(why(refused), (Reason::QueueFull, Some(ms(500))));
        assert_eq!(why(limiter.acquire().by(in_ms(100)).await).0, Reason::Deadline);
        let endless = ByHand::queued(limiter.acquire());
        assert_eq!(limiter.snapshot().waiting, 3, "one that cannot be refused");
        drop((first, endless));
        let _third = ByHand::queued(limiter.reserve(1));
        assert_eq!(why(limiter.reserve(1).await).0, Reason::QueueFull);
    });
}

#[test]
fn closing_refuses_all_and_keeps_turns_that_have_come() {
    World::run(async |_| {
        let limiter = empty();
        let [mut served, mut first] = [(); 2].map(|()| ByHand::queued(limiter.acquire_many(1)));
        let mut many: Vec<_> = (0..100).map(|_| ByHand::queued(limiter.reserve(1))).collect();
        sleep(ms(100)).await;
        limiter.close();
        limiter.close();
        assert!(many.iter().all(|waiter| waiter.wakes() == 1));
        assert_eq!((served.poll(), first.poll()), (Poll::Ready(Ok(())), Poll::Ready(Err(closed()))));
        assert!(many.iter_mut().all(|waiter| waiter.poll().is_ready()));
        assert_eq!(limiter.try_acquire(), Err(closed()));
        assert_eq!(limiter.acquire().by(in_ms(1000)).await, Err(closed()));
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.closed, snapshot.waiting), (true, 0));
        assert_eq!((snapshot.granted, snapshot.refused), (1, 103));
    });
}

fn closed() -> Denied {
    let limiter = RateLimiter::per_second(1);
    limiter.close();
    let denied = limiter.try_acquire().unwrap_err();
    assert_eq!(why::<()>(Err(denied)), (Reason::Closed, None));
    denied
}

#[test]
fn acquire_panics_when_it_is_closed() {
    World::run(async |_| {
        let limiter = empty();
        let mut waiting = ByHand::queued(limiter.acquire());
        limiter.close();
        for waiter in [&mut waiting, &mut ByHand::new(limiter.acquire())] {
            let poll = AssertUnwindSafe(|| waiter.poll());
            let panic = std::panic::catch_unwind(poll).unwrap_err();
            assert!(panic.downcast_ref::<&str>().unwrap().contains("closed"));
        }
        let unlimited = RateLimiter::unlimited();
        unlimited.close();
        assert_eq!(unlimited.try_acquire(), Err(closed()));
    });
}

#[test]
fn a_pause_is_exact_and_leaves_one_permit() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(5);
        limiter.penalize(ms(70));
        assert_eq!(why(limiter.try_acquire()), (Reason::Busy, Some(ms(70))));
        assert_eq!(limiter.snapshot().available, 0);
        advance(ms(70) - Duration::from_nanos(1)).await;
        assert!(limiter.try_acquire().is_err());
        advance(Duration::from_nanos(1)).await;
        assert_eq!(limiter.try_acquire(), Ok(()));
        assert_eq!(why(limiter.try_acquire()), (Reason::Busy, Some(ms(100))));
    });
}

#[test]
fn the_later_end_of_two_pauses_counts_and_no_rate_shortens_it() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10);
        limiter.penalize(ms(300));
        limiter.penalize(ms(100));
        limiter.set_rate(Rate::per_second(1000));
        assert_took!(limiter.acquire(), ms(300));
        limiter.penalize(ms(50));
        sleep(ms(20)).await;
        limiter.penalize(ms(50));
        assert_took!(limiter.acquire(), ms(50));
    });
}

#[test]
fn who_waits_is_timed_anew_by_a_pause_a_refund_and_a_burst() {
    World::run(async |_| {
        let limiter = empty();
        let change = async {
            sleep(ms(50)).await;
            limiter.penalize(ms(200));
        };
        assert_took!(async { tokio::join!(limiter.acquire(), change) }, ms(250));

        let limiter = empty();
        let change = async {
            sleep(ms(50)).await;
            limiter.refund(2);
        };
        assert_took!(async { tokio::join!(limiter.acquire_many(3), change).0 }, ms(100)).unwrap();

        let limiter = empty();
        let change = async {
            sleep(ms(50)).await;
            limiter.set_burst(2);
        };
        let (big, small, ()) = assert_took!(
            async { tokio::join!(limiter.acquire_many(3), limiter.acquire_many(2), change) },
            ms(200)
        );
        assert_eq!((why(big), small), ((Reason::NeverFits, None), Ok(())));
    });
}

#[test]
fn a_cost_above_the_estimate_is_earned_first() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10);
        let reservation = limiter.reserve(10).await.unwrap();
        assert_eq!(reservation.permits(), 10);
        reservation.settle(15);
        assert_took!(limiter.acquire(), ms(600));
        sleep(ms(1000)).await;
        limiter.reserve(10).await.unwrap().settle(4);
        assert_eq!(limiter.snapshot().available, 6);
    });
}

#[test]
fn debt_is_granted_when_full_and_repaid_before_anything_else() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(5).oversize_as_debt();
        limiter.try_acquire().unwrap();
        assert_eq!(why(limiter.try_acquire_many(8)), (Reason::Busy, Some(ms(100))));
        assert_eq!(assert_took!(limiter.acquire_many(8), ms(100)), Ok(()));
        assert_eq!(why(limiter.try_acquire()), (Reason::Busy, Some(ms(400))));
        assert_took!(limiter.acquire(), ms(400));
    });
}

#[test]
fn an_unlimited_one_remembers_its_burst() {
    World::run(async |_| {
        let limiter = RateLimiter::unlimited();
        limiter.set_burst(3);
        limiter.penalize(ms(100));
        limiter.refund(7);
        limiter.reserve(u32::MAX).await.unwrap().settle(0);
        limiter.set_rate(Rate::per_second(10));
        assert_eq!((limiter.snapshot().burst, limiter.snapshot().available), (3, 3));
    });
}

#[test]
fn a_waker_may_come_back() {
    World::run(async |_| {
        let limiter = Arc::new(empty());
        let again = Arc::clone(&limiter);
        let comes_back = waker(move || {
            assert_eq!(why(again.try_acquire()), (Reason::Busy, Some(ms(200))));
            again.set_rate(Rate::per_second(1000));
            again.refund(1);
        });
        let mut first = pin!(limiter.acquire());
        assert!(first.as_mut().poll(&mut Context::from_waker(&comes_back)).is_pending());
        let second = ByHand::queued(limiter.acquire_many(1));
        limiter.refund(1);
        assert_eq!(second.wakes(), 1, "by the waker of the first");
    });
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    World::run(async |_| {
        let limiter = empty();
        let mut first = pin!(limiter.acquire());
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker(|| panic!("a waker")))).is_pending());
        let mut second = ByHand::queued(limiter.acquire());
        assert!(std::panic::catch_unwind(AssertUnwindSafe(|| limiter.refund(2))).is_err());
        assert_eq!((second.wakes(), second.poll()), (1, Poll::Ready(())));
    });
}

#[test]
fn what_was_reserved_without_a_limit_is_not_given_back_to_one() {
    World::run(async |_| {
        let limiter = RateLimiter::unlimited().burst(10);
        let reservation = limiter.reserve(5).await.unwrap();
        limiter.set_rate(Rate::per_second(1));
        limiter.try_acquire_many(10).unwrap();
        drop(reservation);
        assert_eq!(limiter.snapshot().available, 0);
    });
}

#[test]
fn a_reservation_outlives_what_is_changed() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10);
        let (first, second) = (limiter.reserve(5).await.unwrap(), limiter.reserve(5).await.unwrap());
        limiter.set_burst(3);
        drop(first);
        assert_eq!(limiter.snapshot().available, 3, "up to the burst");
        limiter.set_burst(20);
        limiter.close();
        second.settle(7);
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.available, snapshot.closed), (1, true));
        limiter.refund(u32::MAX);
        assert_eq!(limiter.snapshot().available, 20);
    });
}

#[test]
fn deadlines_and_pauses_may_be_as_far_as_they_can_be() {
    World::run(async |_| {
        let (past, far) = (Instant::now(), Instant::now() + Duration::from_secs(u64::from(u32::MAX)));
        sleep(ms(1)).await;
        let limiter = empty();
        assert_eq!(why(limiter.acquire().by(past).await), (Reason::Deadline, Some(ms(100))));
        assert_eq!(assert_took!(limiter.acquire().by(far), ms(100)), Ok(()));
        let limiter = RateLimiter::per_second(10).burst(20).start_empty().max_pause(Duration::MAX);
        limiter.penalize(Duration::MAX);
        limiter.penalize(Duration::MAX);
        let (reason, wait) = why(limiter.try_acquire());
        assert_eq!((reason, wait), (Reason::Busy, Some(Duration::from_nanos(u64::MAX))));
        assert_eq!(why(limiter.acquire().by(far).await).0, Reason::Deadline);
        let waiting = ByHand::queued(limiter.acquire());
        limiter.set_rate(Rate::per(u32::MAX, Duration::from_nanos(1)));
        limiter.set_burst(u32::MAX);
        assert_eq!((waiting.wakes(), limiter.snapshot().available), (0, 0), "still paused");
    });
}

#[test]
fn zero_is_refused() {
    use std::panic::catch_unwind;
    assert!(catch_unwind(|| RateLimiter::per_second(1).max_waiters(0)).is_err());
    assert!(catch_unwind(|| RateLimiter::per_second(1).set_burst(0)).is_err());
}
