//! Every public future, dropped at every await point.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use evenkeel_task::{Stop, catch_panic, group};
use evenkeel_testkit::cancel;
use tokio::time::sleep;

use crate::{Alive, alive, err, ms};

/// The tasks that are alive, and the number of steps that they have done.
type State = (Alive, Arc<AtomicUsize>);

async fn task((left, work): State, steps: u64) {
    for step in 1..=steps {
        sleep(ms(step)).await;
        work.fetch_add(1, Ordering::Relaxed);
    }
    drop(left);
}

async fn nothing_is_left((left, work): State) {
    assert_eq!(alive(&left), 0, "a task was not dropped");
    let before = work.load(Ordering::Relaxed);
    sleep(ms(1000)).await;
    assert_eq!(work.load(Ordering::Relaxed), before, "a task goes on working");
}

#[test]
fn a_group_leaves_no_task() {
    let cuts = cancel::every_point(
        async || State::default(),
        async |state| {
            let run = group(async |g| {
                for steps in 1..=3 {
                    g.spawn(task(state.clone(), steps));
                }
                sleep(ms(2)).await;
                let again = g.clone();
                g.spawn(async move {
                    sleep(ms(3)).await;
                    again.spawn(task(state, 4));
                });
                sleep(ms(2)).await;
                Ok(())
            });
            run.await.unwrap();
        },
        nothing_is_left,
    );
    assert_eq!(cuts.points(), 3, "two of the body and one join");
}

#[test]
fn a_group_that_fails_leaves_no_task() {
    let cuts = cancel::every_point(
        async || State::default(),
        async |state| {
            let run = group(async |g| {
                for _ in 0..1500 {
                    g.spawn(task(state.clone(), 100));
                }
                sleep(ms(2)).await;
                err("body")
            });
            run.await.unwrap_err();
        },
        nothing_is_left,
    );
    assert_eq!(cuts.points(), 3, "the body, between two chunks of the abort, the join");
}

#[test]
fn catching_drops_the_future_within() {
    let cuts = cancel::every_point(
        async || State::default(),
        async |state| catch_panic(task(state, 3)).await.unwrap(),
        nothing_is_left,
    );
    assert_eq!(cuts.points(), 3);
}

#[test]
fn waiting_for_a_stop_leaves_it_as_it_is() {
    let setup = async || {
        let stop = Stop::new();
        let later = stop.clone();
        tokio::spawn(async move {
            sleep(ms(1)).await;
            later.drain("soft");
            sleep(ms(1)).await;
            later.abort("hard");
        });
        stop
    };
    let cuts = cancel::every_point(
        setup,
        async |stop| {
            stop.draining().await;
            assert!(stop.is_draining());
            stop.aborting().await;
            assert!(stop.is_aborting());
        },
        async |stop: Stop| {
            stop.aborting().await;
            assert_eq!(stop.reason(), Some("soft"));
        },
    );
    assert_eq!(cuts.points(), 2);
}

#[test]
fn running_until_the_drain_drops_the_future_within() {
    let cuts = cancel::every_point(
        async || (State::default(), Stop::new()),
        async |(state, stop)| assert_eq!(stop.run_until_draining(task(state, 3)).await, Some(())),
        async |(state, stop)| {
            assert!(!stop.is_draining());
            nothing_is_left(state).await;
        },
    );
    assert_eq!(cuts.points(), 3);
}
