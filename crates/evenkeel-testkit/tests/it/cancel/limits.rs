//! The limits of an exploration, and its messages.

use std::{
    cell::{Cell, RefCell},
    future::{poll_fn, ready},
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use evenkeel_testkit::cancel::every_point;
use tokio::{sync::Semaphore, task::yield_now};

use super::{anything_goes, failed, has_its_permit, nothing, one_permit};
use crate::{is_child, panic_of, run_child};

#[test]
fn an_operation_that_never_waits_has_no_points() {
    let cuts = every_point(nothing, |()| ready(1), anything_goes);
    assert_eq!(cuts.points(), 0);
    assert!(cuts.to_string().starts_with("0 of 2 runs failed, at 0 suspension point(s)"));
}

#[test]
fn an_operation_is_polled_only_when_it_was_woken() {
    let message = panic_of(|| {
        let _ = every_point(
            async || Rc::new(Cell::new(false)),
            async |polled| {
                let without_waking =
                    poll_fn(|_| if polled.replace(true) { Poll::Ready(()) } else { Poll::Pending });
                without_waking.await;
            },
            anything_goes,
        );
    });
    let never = "the operation fails without being cut: \
                 the operation still waits after 86400s of virtual time, at suspension point 1 (";
    assert!(message.starts_with(never), "{message}");
}

#[test]
fn an_operation_of_ten_thousand_points_is_explored_no_further() {
    let of = |points: usize| {
        panic_of(|| {
            let _ = every_point(
                nothing,
                move |()| async move {
                    for _ in 0..points {
                        yield_now().await;
                    }
                    panic!("completed");
                },
                anything_goes,
            );
        })
    };
    let complete = "the operation fails without being cut: completed (";
    assert!(of(10_000).starts_with(complete));
    let endless =
        "the operation fails without being cut: the operation has more than 10000 suspension points";
    assert!(of(10_001).starts_with(endless));
}

#[test]
fn a_number_of_points_that_changes_is_refused() {
    let run = |points: &[usize]| {
        let points = RefCell::new(points.iter());
        panic_of(|| {
            let _ = every_point(
                async || *points.borrow_mut().next().unwrap(),
                async |points| {
                    for _ in 0..points {
                        yield_now().await;
                    }
                },
                anything_goes,
            );
        })
    };
    // The runs: without the operation, twice to its end, never polled, and the first cut at its last point.
    assert_eq!(run(&[0, 2, 3]), "not deterministic: 2 suspension points in one run, 3 in another");
    assert_eq!(run(&[0, 1, 1, 0, 0]), "not deterministic: 1 suspension points in one run, 0 in another");
}

#[test]
fn failures_without_a_cut_are_not_blamed_on_one() {
    let message = panic_of(|| drop(every_point(nothing, async |()| panic!("operation"), anything_goes)));
    assert!(message.starts_with("the operation fails without being cut: operation ("), "{message}");
    let message =
        panic_of(|| drop(every_point(async || panic!("setup"), anything_goes::<()>, anything_goes)));
    assert!(message.starts_with("setup or check fails without the operation: setup ("), "{message}");
    let message = panic_of(|| drop(every_point(nothing, anything_goes, async |()| panic!("check"))));
    assert!(message.starts_with("setup or check fails without the operation: check ("), "{message}");
}

#[test]
fn a_long_table_shows_what_failed() {
    let table = panic_of(|| {
        let _ = every_point(
            async || Rc::new(Cell::new(0)),
            async |at| {
                for point in 1..=100 {
                    at.set(point);
                    yield_now().await;
                }
            },
            async |at| assert_ne!(at.get(), 50),
        );
    });
    assert!(table.starts_with("5 of 502 runs failed, at 100 suspension point(s)"), "{table}");
    assert_eq!(
        failed(&table),
        ["50 dropped", "50 dropped on wake", "50 aborted", "50 panicked", "50 frozen"]
    );
    assert_eq!(table.lines().count(), 7);
}

#[test]
fn only_the_table_is_printed() {
    if is_child() {
        let lost = async |permits: Arc<Semaphore>| {
            permits.acquire().await.unwrap().forget();
            yield_now().await;
            permits.add_permits(1);
        };
        return drop(every_point(one_permit, lost, has_its_permit));
    }
    let output = run_child("cancel::limits::only_the_table_is_printed", &[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.matches(" panicked at ").count(), 1, "{printed}");
    assert!(printed.contains("5 of 7 runs failed, at 1 suspension point(s)"), "{printed}");
}
