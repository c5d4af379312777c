//! The records of who holds the permits of a limiter: in slots and on a list, with a time and without one.

use std::{collections::HashSet, mem::forget, sync::Arc, thread, time::Duration};

use evenkeel_inspect::{HolderEdge, InspectedResource, TaskId};
use evenkeel_limit::{Adaptive, ConcurrencyLimiter, Permit};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    time::{advance, sleep},
};

use crate::units::{line_of, look, of_kind, secs};

/// More than have slots.
const MANY: u32 = 50;

const US: Duration = Duration::from_micros(1);

/// From the end of a [`burst`] to a time at which timers fire, which are of milliseconds.
const REST: Duration = Duration::from_micros(997);

fn at(mark: &str) -> u32 {
    line_of(include_str!("holders.rs"), mark)
}

fn limit() -> InspectedResource {
    of_kind(&look(), "concurrency limit")
}

fn only_holder() -> HolderEdge {
    let limit = limit();
    assert_eq!((limit.holders.len(), limit.in_use), (1, 1), "{limit}");
    limit.holders[0].clone()
}

fn named(permits: u32) -> Arc<ConcurrencyLimiter> {
    Arc::new(ConcurrencyLimiter::new(permits).named("calls"))
}

/// Takes permits in so quick a succession that the clock is not read for the next one.
async fn burst(calls: &ConcurrencyLimiter) {
    for _ in 0..3 {
        let _short = calls.acquire().await;
        advance(US).await;
    }
}

#[test]
fn each_of_many_holders_is_known() {
    World::run(async |_| {
        let calls = named(MANY);
        let mut tasks = Vec::new();
        for weight in [1, 2, 1, 3].into_iter().cycle().take(25) {
            let calls = calls.clone();
            tasks.push(spawn(async move {
                let _held = calls.acquire_owned(weight).await;
                sleep(secs(100)).await;
            }));
            sleep(secs(1)).await;
        }
        let limit = limit();
        let tasks: Vec<_> = tasks.iter().map(|task| Some(TaskId::Task(task.id()))).collect();
        assert_eq!(limit.holders.iter().map(|holder| holder.task).collect::<Vec<_>>(), tasks, "oldest first");
        let held: Vec<_> = limit.holders.iter().map(|holder| holder.held_for).collect();
        assert_eq!(held, (1..=25).rev().map(secs).collect::<Vec<_>>());
        assert!(limit.holders.iter().all(|holder| !holder.at_least));
        let amounts: Vec<_> = limit.holders.iter().map(|holder| holder.amount).collect();
        assert_eq!(amounts[..5], [1, 2, 1, 3, 1]);
        assert_eq!(amounts.iter().sum::<u64>(), limit.in_use);
    });
}

#[test]
fn no_number_is_used_twice() {
    World::run(async |_| {
        let calls = named(MANY);
        let mut numbers = HashSet::new();
        let mut held: Vec<Permit<'_>> = Vec::new();
        for round in 1..20 {
            held.truncate(3);
            let kept = held.len();
            held.extend((kept..MANY as usize).map(|_| calls.try_acquire().unwrap()));
            let seen: HashSet<_> = limit().holders.iter().map(|holder| holder.number).collect();
            assert_eq!(seen.len(), MANY as usize);
            assert_eq!(numbers.intersection(&seen).count(), kept, "round {round}");
            numbers.extend(seen);
        }
    });
}

#[test]
fn holders_of_a_limit_that_adapts() {
    World::run(async |_| {
        let calls = ConcurrencyLimiter::adaptive(Adaptive::aimd(1, 10).initial(3)).named("calls");
        let first = calls.acquire().await.unwrap(); // the first
        sleep(secs(1)).await;
        let second = calls.acquire().await.unwrap();
        let limit = limit();
        let known: Vec<_> = limit.holders.iter().map(|holder| (holder.held_for, holder.task)).collect();
        assert_eq!(known, [(secs(1), Some(TaskId::current())), (secs(0), Some(TaskId::current()))]);
        assert_eq!(limit.holders[0].place.line(), at("the first"));
        first.success();
        second.success();
        assert_eq!(calls.snapshot().in_use, 0);
    });
}

/// One that is taken in a burst has no time: it is that of the first look.
#[test]
fn in_a_burst_a_look_gives_the_time() {
    World::run(async |_| {
        let calls = named(2);
        burst(&calls).await;
        let held = calls.acquire().await; // in a burst
        advance(REST).await;
        let holder = only_holder();
        assert_eq!((holder.held_for, holder.at_least), (secs(0), true));
        assert_eq!((holder.task, holder.place.line()), (Some(TaskId::current()), at("in a burst")));
        sleep(secs(5)).await;
        let holder = only_holder();
        assert_eq!((holder.held_for, holder.at_least), (secs(5), true));
        assert!(look().to_string().contains(" has for at least 5s, from"), "{}", look());
        assert!(
            look().to_json().contains(r#""held_for_ns":5000000000,"at_least":true"#),
            "{}",
            look().to_json()
        );
        drop(held);
        // The next user of the same record has nothing of it.
        burst(&calls).await;
        let _held = calls.acquire().await;
        assert_eq!(only_holder().held_for, secs(0));
    });
}

/// A task that waits behind it came later: its wait is a bound.
#[test]
fn in_a_burst_a_wait_gives_the_time() {
    World::run(async |_| {
        let calls = named(1);
        burst(&calls).await;
        let held = calls.acquire().await;
        advance(REST).await;
        let mut waiters = Vec::new();
        for _ in 0..2 {
            let calls = calls.clone();
            waiters.push(spawn(async move {
                let _held = calls.acquire().await;
                sleep(secs(10)).await;
            }));
            sleep(secs(1)).await;
        }
        sleep(secs(4)).await;
        let limit = limit();
        assert_eq!(limit.waiters.iter().map(|waiter| waiter.waited).collect::<Vec<_>>(), [secs(6), secs(5)]);
        assert_eq!((limit.holders[0].held_for, limit.holders[0].at_least), (secs(6), true));
        drop(held);
        // A grant to one that waited has a time, though another one has waited for longer than that lasts.
        sleep(secs(2)).await;
        let holder = only_holder();
        assert_eq!((holder.held_for, holder.at_least), (secs(2), false));
        assert_eq!(holder.task, Some(TaskId::Task(waiters[0].id())));
    });
}

/// The permits of a place that gives them away have no known holder, in slots and on the list.
#[test]
fn places_that_give_permits_away() {
    World::run(async |_| {
        for others in [0, 25] {
            let calls = named(MANY);
            let _kept: Vec<_> = (0..others).map(|_| calls.try_acquire().unwrap()).collect();
            let take = || calls.try_acquire_owned(1).unwrap(); // gives away
            let unknown = || limit().holders.into_iter().filter(|holder| holder.task.is_none());
            let first = take();
            assert_eq!(unknown().count(), 0);
            spawn(async move { drop(first) }).await.unwrap();
            let _second = take();
            let places: Vec<_> = unknown().map(|holder| holder.place.line()).collect();
            assert_eq!(places, [at("gives away")], "{}", look());
            assert_eq!(limit().holders.len(), others + 1);
        }
    });
}

/// Permits that are never returned keep their slots: the others are on the list.
#[test]
fn more_forgotten_permits_than_slots() {
    World::run(async |_| {
        let calls = named(MANY);
        for _ in 0..21 {
            forget(calls.try_acquire().unwrap()); // forgotten
        }
        let mut last = HashSet::new();
        for _ in 0..3 {
            let _others: Vec<_> = (21..MANY).map(|_| calls.try_acquire().unwrap()).collect(); // others
            let limit = limit();
            assert_eq!((limit.in_use, limit.holders.len()), (MANY.into(), MANY as usize));
            assert!(limit.holders.iter().all(|holder| holder.task == Some(TaskId::current())), "{limit}");
            let from = |mark| limit.holders.iter().filter(move |holder| holder.place.line() == at(mark));
            assert_eq!((from("forgotten").count(), from("others").count()), (21, 29));
            let numbers = |mark| from(mark).map(|holder| holder.number).collect::<HashSet<_>>();
            let (forgotten, others) = (numbers("forgotten"), numbers("others"));
            assert_eq!((forgotten.len(), others.len()), (21, 29));
            assert!(forgotten.is_disjoint(&others) && last.is_disjoint(&others));
            last = others;
        }
        assert_eq!(limit().holders.len(), 21);
    });
}

/// A thread has no task, and is another holder than the task that took the permit.
#[test]
fn a_permit_of_a_slot_that_a_thread_returns() {
    World::run(async |_| {
        let calls = named(2);
        let take = || calls.try_acquire_owned(1).unwrap(); // to a thread
        let first = take();
        assert_eq!(only_holder().task, Some(TaskId::current()));
        thread::spawn(move || drop(first)).join().unwrap();
        let limit = limit();
        assert_eq!((limit.in_use, limit.holders.len()), (0, 0), "{limit}");
        let _second = take();
        let holder = only_holder();
        assert_eq!((holder.task, holder.place.line()), (None, at("to a thread")));
        let _own = calls.try_acquire().unwrap();
        let known: Vec<_> = self::limit().holders.iter().map(|holder| holder.task).collect();
        assert_eq!(known.iter().flatten().collect::<Vec<_>>(), [&TaskId::current()], "another place");
    });
}
