//! The limits of a timeline, and the things that do not belong to it.

use std::{sync::Arc, thread};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::{Group, group};
use evenkeel_testkit::{World, timeline};
use tokio::time::sleep;

use super::{
    scenes::ms,
    slices::{events, slices},
};

#[test]
fn more_tasks_than_it_keeps_are_counted() {
    let drawn = World::timeline(async |_| {
        for round in 0..5 {
            group(async |g: Group| {
                for _ in 0..1_000 {
                    g.spawn(sleep(ms(1 + round)));
                }
                Ok(())
            })
            .await
            .unwrap();
        }
    });
    let text = drawn.to_text();
    assert!(text.starts_with("timeline: 5000 tasks, 15 ms"), "{text}");
    assert!(text.contains("… and 1000 alike: 1000 done"), "{text}");
    let tasks = events(&drawn).into_iter().filter(|event| event["cat"] == "task").count();
    assert_eq!(tasks, 2_000);
}

#[test]
fn more_waits_than_it_looks_at_are_left_out_and_that_is_said() {
    let drawn = World::timeline(async |_| {
        let api = Arc::new(ConcurrencyLimiter::new(1).named("api"));
        group(async |g: Group| {
            for _ in 0..1_500 {
                let api = api.clone();
                g.spawn(async move {
                    let _permit = api.acquire().await;
                    sleep(ms(1)).await;
                });
            }
            Ok(())
        })
        .await
        .unwrap();
    });
    let text = drawn.to_text();
    let said = text.lines().find(|line| line.starts_with("waits and holds from ")).expect(&text);
    assert!(said.ends_with(" on are left out: over the limit"), "{said}");
    let from = slices(&drawn).into_iter().filter(|slice| slice.category == "wait" && slice.track != "body");
    // None is longer than it was seen.
    assert!(from.map(|wait| wait.to).max().unwrap() < 500_000_000);
    assert!(drawn.to_svg().contains("on are left out: over the limit"));
}

#[test]
fn very_many_marks_and_spans_are_left_out_and_drawn_as_few() {
    let drawn = World::timeline(async |_| {
        for number in 0..60_000_u64 {
            timeline::mark("again");
            timeline::span_on("server", "call").done("ok");
            if number % 100 == 0 {
                sleep(ms(1)).await;
            }
        }
    });
    let text = drawn.to_text();
    assert!(
        text.contains("over the limit, left out: 40000 marks") && text.contains("left out: 10000 bars"),
        "{text}"
    );
    let svg = drawn.to_svg();
    assert!(svg.len() < 1_000_000, "{} bytes", svg.len());
    assert!(svg.contains("× call"));
}

#[test]
fn permits_of_other_threads_are_not_in_it() {
    static SHARED: ConcurrencyLimiter = ConcurrencyLimiter::new(5).named("a static of two threads");
    // Made in no runtime, and held by another thread.
    let own = Arc::new(ConcurrencyLimiter::new(2).named("theirs"));
    let theirs = own.clone();
    let held = thread::spawn(move || (theirs.try_acquire_owned(1).unwrap(), SHARED.try_acquire().unwrap()))
        .join()
        .unwrap();
    let drawn = World::timeline(async |_| {
        let _permit = SHARED.acquire().await;
        sleep(ms(3)).await;
    });
    drop(held);
    let text = drawn.to_text();
    assert!(
        text.contains("has permit of a static of two threads for 3 ms") && !text.contains("theirs"),
        "{text}"
    );
    assert_eq!(slices(&drawn).len(), 2, "{text}");
}

#[test]
fn worlds_in_parallel_do_not_see_each_other() {
    let alone = super::scenes::permits().to_json();
    thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| super::scenes::permits().to_json())).collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), alone);
        }
    });
}
