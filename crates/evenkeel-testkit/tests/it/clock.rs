//! The clock itself: exact to the millisecond, and it moves only when nothing can run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_testkit::{World, assert_took, took};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking, spawn_local},
    time::{Instant, interval, sleep, timeout},
};

use crate::{MS, SECOND, panic_of};

#[test]
fn each_millisecond_is_exact() {
    World::run(async |world| {
        let mut passed = Duration::ZERO;
        for ms in [1, 2, 3, 5, 7, 63, 64, 65, 999, 1000, 4095, 4096, 4097, 262_144, 86_400_000] {
            assert_took!(sleep(ms * MS), ms * MS);
            passed += ms * MS;
            assert_eq!(world.elapsed(), passed);
        }
    });
}

#[test]
fn the_longest_sleep_is_exact() {
    let longest = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    World::run(async |_| assert_took!(sleep(longest), longest));
    World::run(async |_| assert_took!(sleep(Duration::MAX), longest, "tokio's own limit"));
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let order = World::run(async |world| {
        let order = Arc::new(Mutex::new(vec![]));
        let mut sleepers = JoinSet::new();
        for ms in [30, 10, 20, 40, 15] {
            let (order, world) = (order.clone(), world.clone());
            sleepers.spawn(async move {
                sleep(ms * MS).await;
                order.lock().unwrap().push((ms, world.elapsed()));
            });
        }
        sleepers.join_all().await;
        order.lock().unwrap().clone()
    });
    assert_eq!(order, [10, 15, 20, 30, 40].map(|ms| (ms, ms * MS)));
}

#[test]
fn a_thousand_calls_of_200_ms_through_100_permits_take_2_s() {
    World::run(async |_| {
        let permits = Arc::new(Semaphore::new(100));
        let all = async {
            let mut calls = JoinSet::new();
            for _ in 0..1000 {
                let permits = permits.clone();
                calls.spawn(async move {
                    let _permit = permits.acquire().await.unwrap();
                    sleep(200 * MS).await;
                });
            }
            calls.join_all().await.len()
        };
        assert_eq!(assert_took!(all, 2 * SECOND), 1000);
    });
}

#[test]
fn an_interval_and_a_timeout_agree() {
    World::run(async |_| {
        let mut ticks = interval(100 * MS);
        let mut count = 0;
        let counting = async {
            loop {
                ticks.tick().await;
                count += 1;
            }
        };
        assert!(assert_took!(timeout(1050 * MS, counting), 1050 * MS).is_err());
        assert_eq!(count, 11);
    });
}

#[test]
fn the_clock_stands_still_during_a_blocking_task() {
    World::run(async |_| {
        let (send, receive) = std::sync::mpsc::channel();
        let (slow, ()) = tokio::join!(spawn_blocking(move || receive.recv()), async move {
            tokio::task::yield_now().await;
            send.send(42).unwrap();
        });
        let in_time = async { timeout(MS, spawn_blocking(|| 1)).await.unwrap().unwrap() };
        assert_eq!(assert_took!(in_time, Duration::ZERO), 1);
        assert_eq!(slow.unwrap(), Ok(42));
    });
}

#[test]
fn tasks_need_not_be_send() {
    World::run(async |_| {
        let shared = std::rc::Rc::new(5);
        let theirs = shared.clone();
        assert_eq!(spawn_local(async move { *theirs }).await.unwrap(), *shared);
    });
}

#[test]
fn worlds_share_nothing() {
    let (first, second) = (World::run(async |_| Instant::now()), World::run(async |world| world.elapsed()));
    World::run(async |_| sleep(SECOND).await);
    assert!(first <= World::run(async |_| Instant::now()));
    assert_eq!(second, Duration::ZERO);
}

#[test]
fn took_gives_the_output_and_the_time() {
    let taken = World::run(async |_| {
        sleep(SECOND).await;
        took(async {
            sleep(7 * MS).await;
            "output"
        })
        .await
    });
    assert_eq!(taken, ("output", 7 * MS));
}

#[test]
fn assert_took_says_what_is_wrong_and_by_how_much() {
    let late = panic_of(|| World::run(async |_| assert_took!(sleep(2001 * MS), 2 * SECOND)));
    assert_eq!(late, "took another time than expected\n  expected: 2s\n       got: 2.001s\ndifference: +1ms");
    let early = panic_of(|| World::run(async |_| assert_took!(sleep(5 * MS), 2 * SECOND, "try {}", 3)));
    assert_eq!(early, "try 3\n  expected: 2s\n       got: 5ms\ndifference: -1.995s");
}
