//! Leftovers of a cut: tasks, wakers and panics.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use evenkeel_testkit::cancel::every_point;
use tokio::{
    sync::{Semaphore, oneshot},
    task::{JoinSet, spawn_local, yield_now},
    time::sleep,
};

use super::{ALL_OF_TWO_POINTS, anything_goes, failed, has_its_permit, nothing};
use crate::{MS, SECOND, panic_of};

#[test]
fn a_leaked_task_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            nothing,
            async |()| {
                let helper = tokio::spawn(pending::<()>());
                sleep(MS).await;
                helper.abort();
                sleep(MS).await;
            },
            anything_goes,
        );
    });
    assert_eq!(failed(&table), &ALL_OF_TWO_POINTS[..5]);
    assert!(table.contains("1 task(s) still alive an hour later"), "{table}");
}

#[test]
fn an_owned_task_passes() {
    let cuts = every_point(
        nothing,
        async |()| {
            let mut helpers = JoinSet::new();
            helpers.spawn(pending::<()>());
            sleep(MS).await;
            helpers.shutdown().await;
        },
        anything_goes,
    );
    assert_eq!(cuts.points(), 2);
}

#[test]
fn a_task_that_ends_with_the_state_passes() {
    let cuts = every_point(
        async || Rc::new(Cell::new(None)),
        async |owner| {
            let (keep, closed) = oneshot::channel::<()>();
            tokio::spawn(closed);
            owner.set(Some(keep));
            yield_now().await;
        },
        anything_goes,
    );
    assert_eq!(cuts.points(), 1);
}

#[test]
fn tasks_of_the_setup_run_between_the_polls_and_may_outlive_it() {
    let run = |leak: bool| {
        every_point(
            async || {
                let semaphore = Arc::new(Semaphore::new(0));
                let peer = semaphore.clone();
                tokio::spawn(async move {
                    sleep(SECOND).await;
                    peer.add_permits(1);
                    pending::<()>().await;
                });
                semaphore
            },
            move |semaphore| async move {
                drop(semaphore.acquire().await);
                if leak {
                    tokio::spawn(pending::<()>());
                }
                yield_now().await;
            },
            has_its_permit,
        )
    };
    assert_eq!(run(false).points(), 2);
    let table = panic_of(|| drop(run(true)));
    assert_eq!(failed(&table), [&ALL_OF_TWO_POINTS[5..], &["2 completed"]].concat());
}

/// Returns the waker of the future that awaits it.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

thread_local! {
    static KEPT: RefCell<Vec<Waker>> = const { RefCell::new(vec![]) };
}

#[test]
fn a_waker_that_is_kept_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            nothing,
            async |()| {
                yield_now().await;
                let waker = own_waker().await;
                KEPT.with_borrow_mut(|kept| kept.push(waker));
                yield_now().await;
            },
            anything_goes,
        );
    });
    assert_eq!(failed(&table), [&ALL_OF_TWO_POINTS[5..], &["2 completed"]].concat());
    assert!(table.contains("its waker is still held an hour later"), "{table}");
}

#[test]
fn a_waker_that_goes_with_the_state_passes() {
    let cuts = every_point(
        async || Rc::new(RefCell::new(vec![])),
        async |kept| {
            let waker = own_waker().await;
            kept.borrow_mut().push(waker);
            yield_now().await;
        },
        anything_goes,
    );
    assert_eq!(cuts.points(), 1);
}

#[test]
fn a_waker_held_by_a_task_of_the_setup_passes() {
    let cuts = every_point(
        async || {
            let kept = Rc::new(RefCell::new(vec![]));
            let peer = kept.clone();
            spawn_local(async move {
                pending::<()>().await;
                drop(peer);
            });
            kept
        },
        async |kept| {
            let waker = own_waker().await;
            kept.borrow_mut().push(waker);
            yield_now().await;
        },
        anything_goes,
    );
    assert_eq!(cuts.points(), 1);
}

#[test]
fn a_task_that_panics_because_of_the_cut_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            nothing,
            async |()| {
                let (answer, answered) = oneshot::channel();
                tokio::spawn(async move {
                    sleep(MS).await;
                    answer.send(42).expect("somebody listens");
                });
                answered.await.unwrap();
            },
            anything_goes,
        );
    });
    assert_eq!(failed(&table), ["1 dropped", "1 aborted", "1 panicked"]);
    assert!(table.contains("a task panicked: somebody listens: 42 ("), "{table}");
}

#[test]
fn a_task_that_panics_without_a_cut_too_passes() {
    let cuts = every_point(
        nothing,
        async |()| {
            let failure = tokio::spawn(async { panic!("meant") }).await;
            assert!(failure.unwrap_err().is_panic());
        },
        anything_goes,
    );
    assert_eq!(cuts.points(), 1);
}
