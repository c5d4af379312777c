//! The classes of cuts, derived from the value of the check.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Mutex,
};

use evenkeel_testkit::cancel::{Class, every_point};
use tokio::{
    sync::mpsc,
    task::{spawn_local, yield_now},
    time::sleep,
};

use super::{anything_goes, nothing};
use crate::{MS, panic_of};

/// An operation that leaves these numbers in a cell, one after the other.
fn class_of(states: &'static [u32]) -> Class {
    let cuts = every_point(
        async || Rc::new(Cell::new(0)),
        move |cell| async move {
            for state in states {
                cell.set(*state);
                yield_now().await;
            }
        },
        async |cell| cell.get(),
    );
    assert_eq!(cuts.points(), states.len());
    cuts.class()
}

#[test]
fn no_effect_or_the_whole_is_atomic() {
    assert_eq!(class_of(&[0, 0, 5]), Class::Atomic);
}

#[test]
fn half_an_effect_that_can_be_done_again_is_resumable() {
    assert_eq!(class_of(&[3, 5]), Class::Resumable);
}

#[test]
fn lost_work_only_releases() {
    let cuts = every_point(
        async || Rc::new(Cell::new(0)),
        async |sum| {
            sum.set(sum.get() + 3);
            yield_now().await;
            sum.set(sum.get() + 2);
        },
        async |sum| sum.get(),
    );
    assert_eq!(cuts.class(), Class::Releases);
    let table = cuts.to_string();
    assert!(table.lines().any(|row| row.ends_with("dropped                   0ns  releases")), "{table}");
    assert!(table.lines().any(|row| row.ends_with("never polled              0ns  atomic")), "{table}");
}

#[test]
fn what_cannot_be_repeated_only_releases() {
    let cuts = every_point(
        async || Rc::new(Cell::new(0)),
        async |state| {
            assert!(state.get() != 3, "it was cut before");
            state.set(3);
            yield_now().await;
            state.set(5);
        },
        async |state| state.get(),
    );
    assert_eq!(cuts.class(), Class::Releases);
}

#[test]
fn a_check_that_shows_nothing_knows_no_better_class() {
    let cuts = every_point(nothing, async |()| yield_now().await, anything_goes);
    assert_eq!(cuts.class(), Class::Releases);
    assert!(cuts.to_string().lines().last().unwrap().ends_with("  ok"));
}

#[test]
fn a_receive_is_atomic_and_one_that_collects_is_not() {
    let class = |collect: bool| {
        let cuts = every_point(
            async || {
                let (send, receive) = mpsc::channel(2);
                spawn_local(async move {
                    for item in [1, 2] {
                        sleep(MS).await;
                        send.send(item).await.unwrap();
                    }
                });
                Rc::new((tokio::sync::Mutex::new(receive), RefCell::new(vec![])))
            },
            move |state| async move {
                let mut receive = state.0.lock().await;
                let mut items = vec![];
                for _ in 0..1 + usize::from(collect) {
                    items.extend(receive.recv().await);
                }
                state.1.borrow_mut().extend(items);
            },
            async |state| {
                let mut receive = state.0.lock().await;
                let mut all = state.1.borrow().clone();
                while let Some(item) = receive.recv().await {
                    all.push(item);
                }
                all
            },
        );
        cuts.class()
    };
    assert_eq!(class(false), Class::Atomic);
    assert_eq!(class(true), Class::Releases);
}

#[test]
fn the_worst_class_is_the_least() {
    assert!(
        Class::Unsafe < Class::Releases
            && Class::Releases < Class::Resumable
            && Class::Resumable < Class::Atomic
    );
}

#[test]
fn a_check_that_gives_another_value_each_time_is_refused() {
    let message = panic_of(|| {
        let next = Cell::new(0);
        let _ = every_point(
            nothing,
            async |()| yield_now().await,
            |()| {
                next.set(next.get() + 1);
                std::future::ready(next.get())
            },
        );
    });
    assert_eq!(message, "not deterministic: check gives 2 in one run, 3 in another");
}

/// Repairs itself when it is dropped, but not while its thread unwinds.
struct Repairs(Rc<Cell<bool>>);

impl Drop for Repairs {
    fn drop(&mut self) {
        self.0.set(std::thread::panicking());
    }
}

#[test]
fn a_destructor_that_does_less_in_a_panic_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            async || Rc::new(Cell::new(false)),
            async |broken| {
                broken.set(true);
                let _repairs = Repairs(broken);
                yield_now().await;
            },
            async |broken| assert!(!broken.get()),
        );
    });
    assert_eq!(super::failed(&table), ["1 panicked"]);
}

#[test]
fn a_lock_that_a_panic_poisons_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            async || Rc::new(Mutex::new(())),
            #[expect(clippy::await_holding_lock, reason = "the fault")]
            async |lock| {
                let _guard = lock.lock().unwrap();
                yield_now().await;
            },
            async |lock| drop(lock.lock().expect("a sound lock")),
        );
    });
    assert_eq!(super::failed(&table), ["1 panicked"]);
}
