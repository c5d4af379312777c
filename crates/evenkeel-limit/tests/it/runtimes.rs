//! One limiter in several runtimes: statics, clocks that disagree (P7), runtimes that end.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    task::Poll,
    thread,
    time::Duration,
};

use evenkeel_limit::{Rate, RateLimiter};
use evenkeel_testkit::{World, assert_took, took};
use tokio::{
    runtime::{Builder, Runtime},
    time::{advance, sleep, timeout},
};

use crate::fixtures::ByHand;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// A runtime in real time.
fn running() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_static_serves_one_world_after_the_other() {
    static LIMITER: RateLimiter = RateLimiter::per_second(100).burst(20);
    for world in 0..3 {
        let time = World::run(async |_| {
            let many = async || {
                for _ in 0..120 {
                    LIMITER.acquire().await;
                }
            };
            let (_, time) = took(many()).await;
            sleep(Duration::from_secs(3600)).await;
            LIMITER.acquire().await;
            time
        });
        // The previous test left it full except for one permit. The clock has started again, and counts.
        let expected = if world == 0 { ms(1000) } else { ms(1010) };
        assert_eq!(time, expected);
    }
}

#[test]
fn a_static_serves_clocks_that_run_at_the_same_time() {
    static LIMITER: RateLimiter = RateLimiter::per_second(1000).burst(1);
    let threads = [0, 1, 10, 100].map(|days| {
        thread::spawn(move || {
            paused().block_on(async {
                advance(Duration::from_secs(days * 86_400)).await;
                for _ in 0..200 {
                    LIMITER.acquire().await;
                }
            });
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!((LIMITER.snapshot().granted, LIMITER.snapshot().waiting), (800, 0));
}

#[test]
fn a_clock_that_is_behind_gets_no_new_permits() {
    let limiter = RateLimiter::per_second(1).burst(10).start_empty();
    let (ahead, behind) = (paused(), paused());
    let drain = || std::iter::from_fn(|| limiter.try_acquire().ok()).count();
    assert_eq!(ahead.block_on(async { drain() }), 0);
    let mut granted = ahead.block_on(async {
        advance(Duration::from_secs(5)).await;
        drain()
    });
    for _ in 0..100 {
        granted += behind.block_on(async { drain() });
        granted += ahead.block_on(async { drain() });
    }
    assert_eq!(granted, 5);
}

#[test]
fn a_clock_that_is_behind_is_not_locked_out() {
    let limiter = RateLimiter::per_second(10).burst(1);
    paused().block_on(async {
        advance(Duration::from_secs(365 * 86_400)).await;
        limiter.acquire().await;
    });
    paused().block_on(async {
        for _ in 0..10 {
            assert_took!(limiter.acquire(), ms(100));
        }
    });
}

/// The runtime with the timer ends, or is no longer driven: the queue goes on.
#[test]
fn a_runtime_that_goes_away_takes_nobody_with_it() {
    for shut_down in [true, false] {
        let limiter = RateLimiter::per_second(100).burst(1).start_empty();
        let (first, second) = (running(), running());
        let waiter = first.block_on(async { ByHand::queued(limiter.acquire()) });
        // Joins the queue behind it, and leaves while its runtime has the timer; a slow machine may get its permit first.
        second.block_on(async { while timeout(ms(1), limiter.acquire()).await.is_ok() {} });
        if shut_down {
            drop(second);
        }
        first.block_on(async {
            while waiter.wakes() == 0 {
                sleep(ms(1)).await;
            }
        });
    }
}

#[test]
fn the_next_waiter_revives_a_queue_whose_runtime_went_away() {
    for shut_down in [true, false] {
        let limiter = RateLimiter::per_second(100).burst(1).start_empty();
        let gone = running();
        let waiter = gone.block_on(async { ByHand::queued(limiter.acquire()) });
        let _gone = (!shut_down).then_some(gone);
        running().block_on(limiter.acquire());
        assert_eq!(waiter.wakes(), 1);
    }
}

/// It panics as a timer of tokio does: nothing would wake it.
#[test]
fn waiting_in_a_runtime_that_has_been_shut_down_panics() {
    let limiter = RateLimiter::per_second(1).burst(1).start_empty();
    let runtime = running();
    let handle = runtime.handle().clone();
    let mut early = runtime.block_on(async { ByHand::queued(limiter.acquire()) });
    assert_eq!(early.wakes(), 0);
    drop(runtime);
    assert_eq!(early.wakes(), 1, "it is told");
    for _ in 0..2 {
        let mut late = ByHand::new(limiter.acquire());
        let inside = AssertUnwindSafe(|| handle.block_on(poll_fn(|_| Poll::Ready(late.poll()))));
        assert!(catch_unwind(inside).map_or(true, |poll| poll.is_pending() && late.wakes() == 1));
    }
    let waits = AssertUnwindSafe(|| handle.block_on(limiter.acquire()));
    let panic = catch_unwind(waits).expect_err("not for ever");
    assert!(panic.downcast_ref::<&str>().is_some_and(|text| text.contains("shut down")));
    let inside = AssertUnwindSafe(|| early.poll());
    assert!(catch_unwind(inside).is_err());
    drop(early);
    assert_eq!(limiter.snapshot().waiting, 0);
}

/// Any thread may start a timer in that runtime for its waiters, and must not panic when the runtime ends.
#[test]
fn a_runtime_that_ends_while_another_thread_starts_its_timer_panics_nobody() {
    // On a busy machine the test may take seconds, and no turn must come meanwhile.
    let rate = Rate::every(Duration::from_secs(3600));
    let limiter = RateLimiter::new(rate).start_empty();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            while !stop.load(Relaxed) {
                limiter.set_rate(rate);
            }
        });
        for _ in 0..500 {
            let runtime = running();
            let waiter = runtime.block_on(async { ByHand::queued(limiter.acquire_many(1)) });
            thread::yield_now();
            drop(runtime);
            drop(waiter);
        }
        stop.store(true, Relaxed);
        assert!(other.join().is_ok());
    });
}

#[test]
fn who_moves_to_another_runtime_waits_there() {
    let limiter = RateLimiter::per_second(100).burst(1).start_empty();
    let gone = running();
    let mut waiter = Box::pin(limiter.acquire());
    assert!(gone.block_on(poll_fn(|cx| Poll::Ready(waiter.as_mut().poll(cx)))).is_pending());
    drop(gone);
    running().block_on(async {
        tokio::select! {
            biased;
            () = sleep(Duration::from_secs(10)) => panic!("it was forgotten"),
            () = waiter => {}
        }
    });
}

#[test]
fn a_runtime_that_shuts_down_with_its_turn_due_does_not_panic() {
    let limiter = RateLimiter::per_second(1000).burst(1).start_empty();
    let runtime = paused();
    let mut waiters = runtime.block_on(async {
        let waiters = [(); 100].map(|()| ByHand::queued(limiter.acquire()));
        // Moves the clock, but does not run the timers.
        let mut advance = ByHand::new(advance(ms(50)));
        assert!(advance.poll().is_pending());
        waiters
    });
    drop(runtime);
    assert!(waiters.iter().take(32).all(|waiter| waiter.wakes() == 1));
    running().block_on(async {
        while waiters.iter_mut().any(|waiter| waiter.wakes() == 0) {
            let _ = timeout(ms(1), limiter.acquire()).await;
        }
    });
}

#[test]
fn tasks_dropped_with_their_runtime_leave_the_queue() {
    let limiter = Arc::new(RateLimiter::per_second(1).burst(1).start_empty());
    let runtime = running();
    for _ in 0..100 {
        let limiter = Arc::clone(&limiter);
        runtime.spawn(async move { limiter.acquire().await });
    }
    runtime.block_on(async {
        while limiter.snapshot().waiting < 100 {
            tokio::task::yield_now().await
        }
    });
    drop(runtime);
    assert_eq!(limiter.snapshot().waiting, 0);
    assert_eq!(Arc::strong_count(&limiter), 1);
}

#[test]
fn nobody_who_waits_means_no_timer() {
    let parks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&parks);
    let count = move || _ = counter.fetch_add(1, Relaxed);
    let runtime =
        Builder::new_current_thread().enable_all().start_paused(true).on_thread_park(count).build().unwrap();
    runtime.block_on(async {
        let parked_in_an_hour = async || {
            sleep(ms(1)).await;
            let before = parks.load(Relaxed);
            sleep(Duration::from_secs(3600)).await;
            parks.load(Relaxed) - before
        };
        let expected = parked_in_an_hour().await;
        let limiter = RateLimiter::per_second(100).burst(1).start_empty();
        let waiter = ByHand::queued(limiter.acquire());
        drop(waiter);
        assert_eq!(parked_in_an_hour().await, expected);
        limiter.try_acquire().unwrap();
        let waiter = ByHand::queued(limiter.acquire());
        assert!(parked_in_an_hour().await > expected, "or this test shows nothing");
        drop(waiter);
    });
}

#[test]
fn waits_across_runtimes_in_one_order() {
    let limiter = Arc::new(RateLimiter::new(Rate::per_second(1000)).burst(1).start_empty());
    let (tx, rx) = mpsc::channel();
    let threads: Vec<_> = (0..20)
        .map(|id| {
            let (limiter, tx) = (Arc::clone(&limiter), tx.clone());
            thread::spawn(move || {
                running().block_on(limiter.acquire());
                tx.send(id).unwrap();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(rx.try_iter().count(), 20);
}

#[test]
fn no_runtime_is_needed_where_nobody_waits() {
    let limiter = RateLimiter::new(Rate::every(Duration::from_secs(86_400))).burst(2);
    assert!(ByHand::new(limiter.acquire()).poll().is_ready());
    assert!(limiter.try_acquire().is_ok());
    assert!(limiter.try_acquire().is_err());
}

#[test]
fn waiting_without_timers_panics_and_takes_nothing() {
    let limiter = RateLimiter::per_second(100).burst(1).start_empty();
    let without_timers = Builder::new_current_thread().build().unwrap();
    for entered in [None, Some(without_timers.enter())] {
        let mut waiter = ByHand::new(limiter.acquire());
        let poll = std::panic::AssertUnwindSafe(|| waiter.poll());
        assert!(std::panic::catch_unwind(poll).is_err());
        assert_eq!(limiter.snapshot().waiting, 0);
        drop(entered);
    }
    running().block_on(limiter.acquire());
}
