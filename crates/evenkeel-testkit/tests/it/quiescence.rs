//! The quiet clock waits for other threads, and is exact.

use std::{sync::mpsc, time::Duration};

use evenkeel_testkit::{Clock, World, assert_took};
use tokio::{
    sync::oneshot,
    task::spawn_local,
    time::{interval, sleep, timeout},
};

use crate::{MS, SECOND, panic_of};

/// Longer than anything in these tests can take: such a clock does not move by itself.
const FOR_EVER: Clock = Clock::Quiet(Duration::from_secs(1000));

#[test]
fn it_stands_still_until_other_threads_have_answered() {
    World::builder().clock(FOR_EVER).run(async |world| {
        let (ask, asked) = mpsc::channel::<oneshot::Sender<()>>();
        let thread = std::thread::spawn(move || asked.into_iter().for_each(|ask| ask.send(()).unwrap()));
        for _ in 0..20 {
            let (answer, answered) = oneshot::channel();
            ask.send(answer).unwrap();
            assert_eq!(timeout(MS, answered).await, Ok(Ok(())));
            // In a spawned task, too.
            let (answer, answered) = oneshot::channel();
            ask.send(answer).unwrap();
            assert_eq!(spawn_local(timeout(MS, answered)).await.unwrap(), Ok(Ok(())));
        }
        drop(ask);
        thread.join().unwrap();
        assert_eq!(world.elapsed(), Duration::ZERO);
    });
}

/// Each answer restarts the quiet time: all answers together take longer than it.
#[test]
fn whatever_runs_breaks_the_quiet() {
    World::builder().clock(Clock::Quiet(100 * MS)).run(async |world| {
        let (ask, asked) = mpsc::channel::<oneshot::Sender<()>>();
        let thread = std::thread::spawn(move || asked.into_iter().for_each(|ask| ask.send(()).unwrap()));
        // A nap is 50 us or more.
        for round in 0..4000 {
            let (answer, answered) = oneshot::channel();
            ask.send(answer).unwrap();
            let answered = timeout(SECOND, answered);
            let answered = if round < 2000 { answered.await } else { spawn_local(answered).await.unwrap() };
            assert_eq!(answered, Ok(Ok(())));
        }
        drop(ask);
        thread.join().unwrap();
        assert_eq!(world.elapsed(), Duration::ZERO);
    });
}

#[test]
fn it_is_exact() {
    World::builder().clock(Clock::Quiet(MS)).run(async |_| {
        for ms in [1, 2, 63, 64, 65, 100, 4097, 86_400_000] {
            assert_took!(sleep(ms * MS), ms * MS);
        }
    });
}

#[test]
fn timers_nearer_than_the_quiet_do_not_stop_it() {
    World::builder().clock(Clock::Quiet(10 * MS)).run(async |_| {
        let mut ticks = interval(MS);
        let counting = async {
            for _ in 0..4 {
                ticks.tick().await;
            }
        };
        assert_took!(counting, 3 * MS);
    });
}

#[test]
fn a_blocking_task_holds_it() {
    World::builder().clock(Clock::Quiet(MS)).run(async |_| {
        let (go, gone) = mpsc::channel();
        let blocking = tokio::task::spawn_blocking(move || gone.recv());
        let thread = std::thread::spawn(move || go.send(()).unwrap());
        assert_eq!(assert_took!(timeout(SECOND, blocking), Duration::ZERO).unwrap().unwrap(), Ok(()));
        thread.join().unwrap();
        assert_took!(sleep(SECOND), SECOND);
    });
}

#[test]
fn settling_moves_no_clock() {
    World::builder().clock(Clock::Quiet(MS)).run(async |world| {
        tokio::spawn(sleep(MS));
        for _ in 0..3 {
            assert_took!(world.settle(), Duration::ZERO);
        }
    });
}

#[test]
fn what_is_left_is_found_as_under_the_exact_clock() {
    let quiet = || World::builder().clock(Clock::Quiet(MS));
    let leak = panic_of(|| quiet().run(async |_| drop(tokio::spawn(std::future::pending::<()>()))));
    assert!(leak.starts_with("1 task(s) still alive 1 h of virtual time after"), "{leak}");
    let deadlock = panic_of(|| quiet().run(async |_| std::future::pending::<()>().await));
    assert!(deadlock.starts_with("deadlock: "), "{deadlock}");
    assert!(deadlock.ends_with("(and nothing has come from outside for 1ms of real time)"), "{deadlock}");
}

#[test]
#[should_panic = "a quiet of zero"]
fn a_quiet_of_zero_is_refused() {
    let _ = World::builder().clock(Clock::Quiet(Duration::ZERO));
}
