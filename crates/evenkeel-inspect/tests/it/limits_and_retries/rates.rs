//! Waits for a rate, and their turns.

use std::{
    panic::Location,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_inspect::FindingKind;
use evenkeel_limit::{ConcurrencyLimiter, Keyed, Rate, RateLimiter, all_of};
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::{
    spawn,
    task::JoinHandle,
    time::{Instant, advance, sleep},
};

use super::{ends, line, ms, only, poll_once, tasks};
use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("rates.rs"), mark)
}

#[test]
fn a_rate_limit_tells_who_waits_and_when_each_turn_comes() {
    World::run(async |world| {
        let start = Instant::now();
        let calls = Arc::new(RateLimiter::per_second(2).burst(2).named("calls"));
        calls.acquire_many(2).await.unwrap();
        let waiting = [1, 2, 1].map(|permits| {
            let calls = calls.clone();
            spawn(async move { calls.acquire_many(permits).await }) // wants permits
        });
        world.settle().await;
        sleep(ms(250)).await;
        let limit = only();
        assert_eq!(limit.to_string(), "rate limit 'calls'");
        assert_eq!((limit.capacity, limit.in_use), (2, 2));
        assert!(limit.holders.is_empty(), "permits of a rate are spent, and not held");
        assert_eq!(limit.notes, ["2 per 1s"]);
        let all = &limit.waiters;
        assert_eq!(all.iter().map(|waiter| waiter.task).collect::<Vec<_>>(), tasks(&waiting));
        assert_eq!(all.iter().map(|waiter| waiter.amount).collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!(ends(all, start), [ms(500), ms(1500), ms(2000)]);
        for waiter in all {
            assert_eq!((line(waiter), waiter.waited, &waiter.label), (at("wants permits"), ms(250), &None));
        }
        // The first one goes, and those behind it move up.
        waiting[0].abort();
        world.settle().await;
        assert_eq!(ends(&only().waiters, start), [secs(1), ms(1500)]);
        // A pause counts for all of them, and a faster rate as well.
        calls.penalize(secs(10));
        let limit = only();
        assert_eq!(ends(&limit.waiters, start), [ms(10_750), ms(11_250)]);
        assert_eq!(limit.notes, ["2 per 1s", "paused for another 10s"]);
        calls.resume();
        calls.set_rate(Rate::per_second(4));
        assert_eq!(only().notes, ["4 per 1s"]);
        let turns = ends(&only().waiters, start);
        for task in waiting.into_iter().skip(1) {
            task.await.unwrap().unwrap();
        }
        assert_eq!(turns[1], start.elapsed());
        assert!(only().waiters.is_empty());
        drop(calls);
        assert!(look().resources.is_empty(), "it keeps nothing alive");
    });
}

/// Without waiters the fast path has the permits: a look counts them, and does not disturb it.
#[test]
fn a_look_counts_what_was_granted_without_the_lock() {
    World::run(async |_| {
        for limiter in [RateLimiter::per_second(100), RateLimiter::per_second(100).fast()] {
            for taken in 1..=40 {
                limiter.try_acquire().unwrap();
                assert_eq!((only().in_use, only().capacity), (taken, 100));
            }
            sleep(ms(100)).await;
            assert_eq!(only().in_use, 30);
            assert_eq!((0..200).filter(|_| limiter.try_acquire().is_ok()).count(), 70);
            assert_eq!(limiter.snapshot().granted, 110);
        }
    });
}

/// A `static`, named in its constant; and limiters that nobody can wait for.
#[test]
fn a_static_limit_and_limits_that_are_none() {
    static CALLS: RateLimiter =
        RateLimiter::sliding(Rate::per(1, Duration::from_secs(60))).named("a day's calls");
    World::run(async |world| {
        CALLS.acquire().await;
        let task = spawn(CALLS.acquire()); // waits for a static
        let unlimited = RateLimiter::unlimited();
        unlimited.acquire().await;
        let closed = RateLimiter::per_second(1);
        closed.acquire().await;
        closed.close();
        world.settle().await;
        let limit = only();
        assert_eq!((limit.name.as_deref(), limit.capacity, limit.in_use), (Some("a day's calls"), 1, 1));
        assert_eq!(line(&limit.waiters[0]), at("waits for a static"));
        assert_eq!(limit.waiters[0].until, Some(Instant::now() + secs(60)));
        task.abort();
    });
}

/// Each way to wait has the place of the call, not one within the crates.
#[test]
fn the_places_of_all_calls_are_the_callers() {
    World::run(async |world| {
        let calls = Arc::new(RateLimiter::per_second(1).start_empty()); // made here
        let slots = Arc::new(ConcurrencyLimiter::new(1).named("slots"));
        let keys = Arc::new(Keyed::<u32>::per_second(1).burst(1));
        keys.acquire(&1).await;
        let mut waits = Vec::new();
        macro_rules! wait {
            ($($captured:ident),*; $wait:expr) => {{
                $(let $captured = $captured.clone();)*
                waits.push(spawn(async move { _ = $wait.await }))
            }};
        }
        let deadline = Instant::now() + secs(60);
        wait!(calls; calls.acquire()); // 1
        wait!(calls; calls.acquire().by(deadline)); // 2
        wait!(calls; calls.acquire_many(1)); // 3
        wait!(calls; calls.reserve(1)); // 4
        wait!(calls; all_of([calls.demand(1)])); // 5
        wait!(keys; keys.acquire(&1)); // 6
        wait!(keys; keys.acquire_many(&1, 1)); // 7
        wait!(keys; keys.acquire_by(&1, deadline)); // 8
        world.settle().await;
        let held = evenkeel_limit::try_all_of([slots.demand(1)]).unwrap(); // 9
        wait!(slots; all_of([slots.demand(1)])); // 10
        world.settle().await;
        let dump = look();
        let mut lines: Vec<u32> =
            dump.resources.iter().flat_map(|resource| &resource.waiters).map(line).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["1", "2", "3", "4", "5", "6", "7", "8", "10"].map(at), "{dump}");
        let named = |name| dump.resources.iter().find(|resource| resource.kind == name).unwrap();
        assert_eq!(named("concurrency limit").holders[0].place.line(), at("9"));
        assert_eq!(named("rate limit").place.map(Location::line), Some(at("made here")));
        drop(held);
        waits.iter().for_each(JoinHandle::abort);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The ends that a dump foretells are the times at which the permits are granted.
    #[test]
    fn the_turns_of_a_dump_are_those_that_come(
        (sliding, burst, start_empty) in (any::<bool>(), 1..6_u32, any::<bool>()),
        requests in prop::collection::vec((1..6_u32, 0..2000_u64), 1..12),
    ) {
        World::run(async move |world| {
            let rate = Rate::per(burst, ms(u64::from(burst) * 100));
            let limiter = if sliding { RateLimiter::sliding(rate) } else { RateLimiter::new(rate) };
            let limiter = Arc::new(if start_empty { limiter.start_empty() } else { limiter });
            let granted = Arc::new(Mutex::new(Vec::new()));
            for (n, (permits, pause)) in requests.iter().enumerate() {
                let (limiter, granted, permits) = (limiter.clone(), granted.clone(), (*permits).min(burst));
                spawn(async move {
                    limiter.acquire_many(permits).await.unwrap();
                    granted.lock().unwrap().push((n, Instant::now()));
                });
                world.settle().await;
                sleep(ms(pause / 10 * u64::from(n % 3 == 0))).await;
            }
            let before = granted.lock().unwrap().len();
            let turns: Vec<_> = only().waiters.iter().map(|waiter| waiter.until.unwrap()).collect();
            sleep(secs(60)).await;
            let granted: Vec<_> = granted.lock().unwrap().iter().skip(before).map(|(_, at)| *at).collect();
            assert_eq!(turns, granted);
        });
    }
}

/// The thread is busy while a turn comes: the dump says by how much it is late.
#[test]
fn a_turn_that_nobody_is_free_to_serve_is_late() {
    World::run(async |world| {
        let start = Instant::now();
        let calls = Arc::new(RateLimiter::per_second(1).start_empty().named("calls"));
        let task = spawn({
            let calls = calls.clone();
            async move { calls.acquire().await } // is late
        });
        world.settle().await;
        // The clock moves at the first poll, and nothing else runs before the second one.
        let mut busy = pin!(advance(secs(5)));
        assert!(poll_once(busy.as_mut()).is_pending());
        for _ in 0..2 {
            let dump = look();
            let waiter = &dump.resources[0].waiters[0];
            assert_eq!((ends(&dump.resources[0].waiters, start)[0], line(waiter)), (secs(1), at("is late")));
            assert!(dump.to_string().contains("late by 4s"), "{dump}");
            assert_eq!((dump.findings[0].kind, dump.findings[0].lasted), (FindingKind::LateTimer, secs(4)));
            let first_line = format!("late timer: task {} should have gone on 4s ago", task.id());
            assert!(dump.to_string().starts_with(&first_line), "{dump}");
        }
        busy.await;
        world.settle().await;
        assert!(only().waiters.is_empty(), "the look did not take its turn away");
    });
}

/// A grant that no poll has seen, of a future that is kept.
#[test]
fn a_grant_that_is_not_polled_for_is_late() {
    World::run(async |_| {
        let start = Instant::now();
        let calls = RateLimiter::per_second(1).start_empty();
        let mut kept = Box::pin(calls.acquire()); // is kept
        let mut behind = Box::pin(calls.acquire());
        assert!(poll_once(kept.as_mut()).is_pending() && poll_once(behind.as_mut()).is_pending());
        sleep(ms(1500)).await;
        let limit = only();
        let labels: Vec<_> = limit.waiters.iter().map(|waiter| waiter.label.as_deref()).collect();
        assert_eq!(labels, [Some("a poll: it is granted"), None]);
        assert_eq!(ends(&limit.waiters, start), [secs(1), secs(2)]);
        assert_eq!(line(&limit.waiters[0]), at("is kept"));
        assert!(poll_once(kept.as_mut()).is_ready());
        assert_eq!(ends(&only().waiters, start), [secs(2)]);
        drop(behind);
        assert!(only().waiters.is_empty());
    });
}
