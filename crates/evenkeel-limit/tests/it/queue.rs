//! Waiters: the order (P9), dropping out (P10), one timer and one wake (P11), no dependence on the
//! polls of others (P12), several in one task (P13).

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use evenkeel_limit::{
    ConcurrencyLimiter, Keyed, Rate, RateLimiter, Reason,
    distributed::{Distributed, MemoryStore},
};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep, sleep_until, timeout},
};

use crate::fixtures::{ByHand, Counts, counted};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One permit per 10 ms, one at a time, and the first one used.
fn busy() -> RateLimiter {
    let limiter = RateLimiter::new(Rate::per_second(100)).burst(1);
    limiter.try_acquire().unwrap();
    limiter
}

#[test]
fn ten_thousand_waiters_cost_two_polls_and_one_wake_each() {
    const BURST: u32 = 500;
    World::run(async |_| {
        let limiter = Arc::new(RateLimiter::per_second(1000).burst(BURST));
        let (order, start) = (Arc::new(Mutex::new(vec![])), Instant::now());
        let mut tasks = JoinSet::new();
        for id in 0..10_000 {
            let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
            let counts = Arc::new(Counts::default());
            tasks.spawn(async move {
                counted(limiter.acquire(), &counts).await;
                order.lock().unwrap().push(id);
                let turn = (id + 1_u32).saturating_sub(BURST);
                assert_eq!(start.elapsed(), ms(turn.into()));
                let waited = usize::from(turn > 0);
                assert_eq!((counts.polls(), counts.wakes()), (1 + waited, waited));
            });
        }
        assert_took!(tasks.join_all(), ms(9500));
        assert!(order.lock().unwrap().is_sorted());
    });
}

#[test]
fn many_turns_at_one_instant_take_no_longer() {
    World::run(async |_| {
        let limiter = Arc::new(RateLimiter::per_second(1_000_000_000).burst(1));
        let mut tasks = JoinSet::new();
        for _ in 0..1001 {
            let limiter = Arc::clone(&limiter);
            tasks.spawn(async move { limiter.acquire().await });
        }
        assert_took!(tasks.join_all(), ms(1), "the resolution of the timer");
    });
}

#[test]
fn many_turns_at_one_instant_come_without_being_polled() {
    World::run(async |_| {
        let limiter = busy();
        let waiters: Vec<_> = (0..100).map(|_| ByHand::queued(limiter.acquire())).collect();
        advance(Duration::from_secs(10)).await;
        let served = waiters.iter().filter(|waiter| waiter.wakes() == 1).count();
        assert!(served < 100, "not all by one call of the timer");
        let nano = Duration::from_nanos(1);
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(nano), "never zero");
        assert_eq!(limiter.snapshot().available, 1, "never more than the burst");
        sleep(ms(5)).await;
        assert!(waiters.iter().all(|waiter| waiter.wakes() == 1));
    });
}

#[test]
fn a_late_timer_delays_one_turn_and_not_the_next() {
    World::run(async |_| {
        // A turn each 333 1/3 ms; the timer fires at 334, 667 or 1000.
        let limiter = RateLimiter::new(Rate::per_second(3)).burst(1);
        let start = Instant::now();
        for turn in 0..1000_u64 {
            limiter.acquire().await;
            assert_eq!(start.elapsed(), ms((1000 * turn).div_ceil(3)));
        }
        let waiting = (1000..2000_u64).map(|turn| (turn, limiter.acquire()));
        for (turn, mut waiter) in
            waiting.map(|(turn, future)| (turn, ByHand::queued(future))).collect::<Vec<_>>()
        {
            sleep_until(start + ms((1000 * turn).div_ceil(3))).await;
            assert!(waiter.poll().is_ready());
        }
    });
}

#[test]
fn small_requests_do_not_overtake_big_ones() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(10).start_empty();
        let start = Instant::now();
        let turns = Mutex::new(vec![]);
        let turn = async |permits| {
            limiter.acquire_many(permits).await.unwrap();
            turns.lock().unwrap().push((permits, start.elapsed()));
        };
        tokio::join!(turn(1), turn(10), turn(2), turn(3));
        let expected = [(1, ms(100)), (10, ms(1100)), (2, ms(1300)), (3, ms(1600))];
        assert_eq!(turns.into_inner().unwrap(), expected);
    });
}

#[test]
fn nobody_gets_a_permit_while_others_wait() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(10).burst(10).start_empty();
        let mut first = ByHand::queued(limiter.acquire_many(10));
        advance(ms(900)).await;
        assert_eq!(limiter.snapshot().available, 9);
        let denied = limiter.try_acquire().unwrap_err();
        assert_eq!((denied.reason, denied.retry_after), (Reason::Busy, Some(ms(200))));
        let second = ByHand::queued(limiter.acquire_many(2));
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(400)));
        advance(ms(300)).await;
        assert_eq!((first.poll(), second.wakes()), (Poll::Ready(Ok(())), 1));
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(100)));
        advance(ms(100)).await;
        assert_eq!(limiter.try_acquire(), Ok(()));
    });
}

#[test]
fn turns_that_have_come_are_kept_for_those_who_waited() {
    World::run(async |_| {
        let limiter = busy();
        let mut waiter = ByHand::queued(limiter.acquire());
        advance(ms(15)).await;
        assert_eq!(limiter.try_acquire().unwrap_err().retry_after, Some(ms(5)));
        assert!(waiter.poll().is_ready());
    });
}

#[test]
fn dropping_a_big_one_lets_the_small_ones_through() {
    World::run(async |_| {
        let limiter = RateLimiter::new(Rate::per(10, ms(50))).burst(10_000).start_empty();
        let big = timeout(Duration::from_secs(1), limiter.acquire_many(10_000));
        let start = Instant::now();
        let small = async {
            let ten = std::iter::repeat_with(|| limiter.acquire_many(10)).take(10);
            let mut ten: Vec<_> = ten.map(ByHand::queued).collect();
            sleep(Duration::from_secs(1)).await;
            sleep(ms(1)).await;
            assert!(ten.iter_mut().all(|waiter| waiter.poll().is_ready()));
        };
        let (big, ()) = tokio::join!(big, small);
        assert!(big.is_err());
        assert_eq!(start.elapsed(), ms(1001));
        assert_eq!(limiter.snapshot().available, 100);
    });
}

#[test]
fn dropping_a_big_one_brings_the_turn_of_the_next_forward() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(100).burst(50).start_empty();
        let big = ByHand::queued(limiter.acquire_many(50));
        let small = ByHand::queued(limiter.acquire_many(2));
        sleep(ms(5)).await;
        drop(big);
        sleep(ms(14)).await;
        assert_eq!(small.wakes(), 0);
        sleep(ms(1)).await;
        assert_eq!(small.wakes(), 1, "by the timer");
    });
}

#[test]
fn those_behind_one_who_leaves_move_up() {
    World::run(async |_| {
        for leaver in 0..5 {
            let limiter = busy();
            let start = Instant::now();
            let mut waiters: Vec<_> = (0..5).map(|_| ByHand::queued(limiter.acquire())).collect();
            sleep(ms(5)).await;
            drop(waiters.remove(leaver));
            for (waiter, turn) in waiters.iter_mut().zip([10, 20, 30, 40]) {
                sleep_until(start + ms(turn - 1)).await;
                assert_eq!(waiter.wakes(), 0);
                sleep_until(start + ms(turn)).await;
                assert_eq!((waiter.wakes(), waiter.poll()), (1, Poll::Ready(())));
            }
        }
    });
}

#[test]
fn a_permit_that_was_not_seen_goes_to_the_next() {
    World::run(async |_| {
        let limiter = busy();
        let [first, mut second, mut third] = [(); 3].map(|()| ByHand::queued(limiter.acquire()));
        sleep(ms(10)).await;
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        drop(first);
        assert_eq!((second.wakes(), second.poll()), (1, Poll::Ready(())));
        assert_took!(
            async {
                while third.poll().is_pending() {
                    sleep(ms(1)).await
                }
            },
            ms(10)
        );
    });
}

#[test]
fn a_permit_that_was_not_seen_fits_under_the_brim() {
    World::run(async |_| {
        let limiter = busy();
        let waiter = ByHand::queued(limiter.acquire());
        sleep(ms(15)).await;
        drop(waiter);
        assert_eq!(limiter.snapshot().available, 1, "full: what more there would be is lost");
        limiter.try_acquire().unwrap();
        assert_took!(limiter.acquire(), ms(10));
    });
}

#[test]
fn a_permit_that_was_never_seen_is_not_there_beside_its_successor() {
    World::run(async |_| {
        let paced = RateLimiter::new(Rate::per_second(100)).burst(1);
        paced.try_acquire().unwrap();
        let waiter = ByHand::queued(paced.acquire());
        // Its own permit at 10 ms, and another at 20 ms.
        sleep(ms(25)).await;
        paced.try_acquire().unwrap();
        drop(waiter);
        assert_eq!(paced.try_acquire().unwrap_err().retry_after, Some(ms(10)));
    });
}

#[test]
fn unpolled_futures_take_nothing() {
    World::run(async |_| {
        let limiter = busy();
        drop(limiter.acquire());
        let _unpolled = limiter.acquire();
        assert_took!(limiter.acquire(), ms(10));
    });
}

#[test]
fn a_forgotten_future_costs_the_others_its_own_permits() {
    World::run(async |_| {
        let limiter = RateLimiter::per_second(100).burst(5).start_empty();
        std::mem::forget(ByHand::queued(limiter.acquire_many(5)));
        let mut unpolled = ByHand::queued(limiter.acquire());
        assert_took!(async { tokio::join!(limiter.acquire(), limiter.acquire()) }, ms(80));
        assert!(unpolled.poll().is_ready());
    });
}

#[test]
fn one_task_may_wait_several_times_at_once() {
    World::run(async |_| {
        let limiter = busy();
        let all = async { tokio::join!(limiter.acquire(), limiter.acquire(), limiter.acquire()) };
        assert_took!(all, ms(30));
        let first = async {
            tokio::select! {
                () = limiter.acquire() => {}
                () = limiter.acquire() => {}
                () = limiter.acquire() => {}
            }
        };
        assert_took!(first, ms(10));
        assert_took!(limiter.acquire(), ms(10), "the losers of a race have taken nothing");
    });
}

#[test]
fn a_waiter_can_move_to_another_task() {
    World::run(async |_| {
        let limiter: &'static RateLimiter = Box::leak(Box::new(busy()));
        let mut waiter = Box::pin(limiter.acquire());
        assert!(poll_fn(|cx| Poll::Ready(waiter.as_mut().poll(cx))).await.is_pending());
        let task = tokio::spawn(waiter);
        assert_took!(async { task.await.unwrap() }, ms(10));
    });
}

#[test]
fn a_task_without_budget_waits_as_well() {
    World::run(async |_| {
        let limiter = Arc::new(busy());
        let task = tokio::spawn(async move {
            // The loop ends where tokio's own resources are pending until the task yields.
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::consume_budget().await;
            }
            limiter.acquire().await;
        });
        assert_took!(async { task.await.unwrap() }, ms(10));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each turn goes to the first waiter that is left.
    #[test]
    fn turns_come_in_order(max_wait in prop::collection::vec(0..300_u64, 1..40)) {
        World::run(async |_| {
            let limiter = Arc::new(busy());
            let start = Instant::now();
            let tasks: Vec<_> = max_wait.iter().map(|&max_wait| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move {
                    timeout(ms(max_wait), limiter.acquire()).await.ok().map(|()| start.elapsed())
                })
            }).collect();
            let mut turn = 10;
            for (task, max_wait) in tasks.into_iter().zip(max_wait) {
                let expected = (max_wait >= turn).then(|| ms(turn));
                assert_eq!(task.await.unwrap(), expected);
                turn += if expected.is_some() { 10 } else { 0 };
            }
        });
    }
}

/// The same as tokio's own futures.
#[test]
fn permits_that_are_there_let_other_tasks_run() {
    World::run(async |_| {
        let (rate, running) = (RateLimiter::unlimited(), ConcurrencyLimiter::new(1));
        let keyed = Keyed::<u64>::per_second(u32::MAX);
        let leased = Distributed::new(MemoryStore::new(), "key", Rate::per_second(1000)).lease(1000);
        for limiter in 0..4 {
            let other = tokio::spawn(async {});
            for asked in 0.. {
                if other.is_finished() {
                    break;
                }
                assert!(asked < 1000, "nobody else was let run");
                match limiter {
                    0 => rate.acquire().await,
                    1 => drop(running.acquire().await),
                    2 => keyed.acquire(&asked).await,
                    _ => leased.acquire().await.unwrap(),
                }
            }
            other.await.unwrap();
        }
    });
}
