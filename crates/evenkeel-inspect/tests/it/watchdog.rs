//! Findings that last, told at the very time.
//!
//! A watchdog looks at its whole process, and so it is tested in a process of its own, by evenkeel-shutdown.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_inspect::{FindingKind, watch, watchdog};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_testkit::World;
use tokio::{
    spawn,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::units::{look, secs};

/// The times at which findings were told, since a start, each with the time for which it had lasted.
type Told = Arc<Mutex<Vec<(Duration, FindingKind, Duration)>>>;

/// Watches until it is aborted.
fn told_by_watch(bound: Duration) -> (Told, JoinHandle<()>) {
    let (told, start) = (Told::default(), Instant::now());
    let list = told.clone();
    let watch = spawn(watch(bound, move |finding, dump| {
        assert!(dump.findings.contains(finding));
        list.lock().expect("no panic").push((start.elapsed(), finding.kind, finding.lasted));
    }));
    (told, watch)
}

/// A task that waits for what it holds itself, from a time on.
fn stuck(at: Instant) -> JoinHandle<()> {
    spawn(async move {
        sleep_until(at).await;
        let calls = ConcurrencyLimiter::new(1).named("calls");
        let _outer = calls.acquire().await;
        let _inner = calls.acquire().await;
    })
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());
}

#[test]
fn a_finding_is_told_once_at_the_bound() {
    // It begins with a look, between two looks, and just before and just behind one.
    for begin in [0, 1, 3_500, 9_999, 10_000, 10_001] {
        World::run(async move |_| {
            let start = Instant::now();
            let begin = Duration::from_millis(begin);
            let (told, watch) = told_by_watch(secs(10));
            let task = stuck(start + begin);
            sleep(secs(500)).await;
            assert_eq!(*told.lock().unwrap(), [(begin + secs(10), FindingKind::SelfWait, secs(10))]);
            end(task).await;
            end(watch).await;
        });
    }
}

#[test]
fn a_finding_that_goes_before_the_bound_is_not_told() {
    World::run(async |_| {
        let start = Instant::now();
        let (told, watch) = told_by_watch(secs(10));
        for round in 0..20 {
            let task = stuck(start + secs(13 * round));
            sleep_until(start + secs(13 * round) + Duration::from_millis(9_999)).await;
            end(task).await;
            sleep_until(start + secs(13 * (round + 1))).await;
        }
        assert!(told.lock().unwrap().is_empty());
        end(watch).await;
    });
}

/// The same task waits at the same place again, so that only the time tells it from the one before.
#[test]
fn a_finding_that_comes_back_is_told_again() {
    for gap in [1, 5_000, 60_000] {
        World::run(async move |_| {
            let gap = Duration::from_millis(gap);
            let (told, watch) = told_by_watch(secs(10));
            let task = spawn(async move {
                let calls = ConcurrencyLimiter::new(1).named("calls");
                for _ in 0..3 {
                    let _outer = calls.acquire().await;
                    tokio::select! {
                        _ = calls.acquire() => {}
                        () = sleep(secs(25)) => {}
                    }
                    sleep(gap).await;
                }
            });
            task.await.unwrap();
            let times: Vec<_> = told.lock().unwrap().iter().map(|(at, _, lasted)| (*at, *lasted)).collect();
            let round = secs(25) + gap;
            assert_eq!(times, [0, 1, 2].map(|n| (round * n + secs(10), secs(10))));
            end(watch).await;
        });
    }
}

#[test]
fn several_findings_are_told_each_at_its_time() {
    World::run(async |_| {
        let start = Instant::now();
        let (told, watch) = told_by_watch(secs(10));
        let tasks: Vec<_> = (0..5).map(|n| stuck(start + secs(3 * n))).collect();
        sleep(secs(100)).await;
        let times: Vec<_> = told.lock().unwrap().iter().map(|(at, ..)| *at).collect();
        assert_eq!(times, [10, 13, 16, 19, 22].map(secs));
        for task in tasks {
            end(task).await;
        }
        end(watch).await;
    });
}

#[test]
fn a_panic_of_the_function_is_told_and_ends_nothing() {
    World::builder().allow_panics(2).run(async |_| {
        let start = Instant::now();
        let mut calls = 0;
        let watch = spawn(watch(secs(10), move |_, _| {
            calls += 1;
            panic!("no pager, {calls}");
        }));
        let tasks: Vec<_> = (0..2).map(|n| stuck(start + secs(5 * n))).collect();
        let notes = || {
            let dump = look();
            let watchdog = dump.resources.iter().find(|resource| resource.kind == "watchdog");
            watchdog.map(|watchdog| watchdog.notes.clone()).unwrap_or_default()
        };
        sleep(secs(9)).await;
        assert!(notes().is_empty());
        sleep(secs(2)).await;
        assert_eq!(notes(), ["its function panicked once, the last time with: no pager, 1"]);
        sleep(secs(5)).await;
        assert_eq!(notes(), ["its function panicked 2 times, the last time with: no pager, 2"]);
        for task in tasks {
            end(task).await;
        }
        end(watch).await;
        assert!(notes().is_empty(), "it is over");
    });
}

/// All the time that it stood, the process stood with it: what is late then need not be late in a moment.
#[test]
fn a_watch_that_was_stopped_looks_again_before_it_tells() {
    World::run(async |_| {
        let (told, watch) = told_by_watch(secs(10));
        let task = stuck(Instant::now());
        sleep(secs(2)).await;
        tokio::time::advance(secs(100)).await;
        tokio::task::yield_now().await;
        assert!(told.lock().unwrap().is_empty(), "the look at 102 s was due at 10 s");
        sleep(secs(2)).await;
        let times: Vec<_> = told.lock().unwrap().iter().map(|(at, ..)| *at).collect();
        assert_eq!(times, [secs(103)]);
        end(task).await;
        end(watch).await;
    });
}

#[test]
fn bounds_of_all_sizes() {
    for bound in [Duration::from_millis(1), Duration::MAX] {
        World::run(async move |_| {
            let (told, watch) = told_by_watch(bound);
            let task = stuck(Instant::now());
            sleep(Duration::from_millis(50)).await;
            assert_eq!(told.lock().unwrap().len(), usize::from(bound < secs(1)));
            end(task).await;
            end(watch).await;
        });
    }
    for refused in [|| drop(watch(Duration::ZERO, |_, _| {})), || drop(watchdog(Duration::ZERO, |_, _| {}))] {
        assert!(std::panic::catch_unwind(refused).is_err());
    }
}
