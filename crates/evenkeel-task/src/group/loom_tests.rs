//! The outcome of a handle and the registry, with the steps of their users in every order that the memory model allows.
//!
//! The shipped files are compiled a second time here, by `#[path]`, with the module `loom` of this file in place of theirs.

use std::{
    panic::{Location, resume_unwind},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use ::loom::{
    model,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Thread},
};
use evenkeel_base::FirstPanic;
use evenkeel_testkit::waker::{WakerEvent, with_hook};
use tokio::time::Instant;

use self::{
    outcome::{NoValue, Outcome, Outcomes},
    registry::{Cursor, Registry},
};
use super::task_entry::{self, FirstPoll, State, TaskEnd, TaskInfo};
use crate::Panic;

/// The primitives of the code under test.
mod loom {
    pub(super) use ::loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    };

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[expect(
    clippy::duplicate_mod,
    dead_code,
    unreachable_pub,
    reason = "the same with another lock, and not all of it is used"
)]
#[path = "outcome.rs"]
mod outcome;
#[expect(clippy::duplicate_mod, dead_code, reason = "the same with another lock, and not all of it is used")]
#[path = "registry.rs"]
mod registry;

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Returns a waker that ends the next `park` of this thread.
fn waker() -> Waker {
    Waker::from(Arc::new(Parked(thread::current())))
}

/// Awaits a handle; loom reports a thread that nobody wakes.
fn result<T>(outcome: &Outcome<T>, waker: &Waker) -> Result<T, NoValue> {
    loop {
        match outcome.poll(&Context::from_waker(waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs the steps of a task on a thread of its own beside those of the holder of its handle.
fn beside_the_task(task: fn(&Outcome<Arc<()>>, Arc<()>), holder: fn(&Outcome<Arc<()>>)) {
    model(move || {
        let value = Arc::new(());
        let outcome = Outcomes::default().next();
        let thread = thread::spawn({
            let (outcome, value) = (outcome.clone(), value.clone());
            move || task(&outcome, value)
        });
        holder(&outcome);
        thread.join().unwrap();
        assert!(outcome.is_complete());
        assert_eq!(Arc::strong_count(&value), 1, "a value was kept");
    });
}

/// Ends a task that has not been aborted, with its value.
fn end(outcome: &Outcome<Arc<()>>, value: Arc<()>) {
    drop(outcome.store(value));
    outcome.complete();
}

/// A task that is pending once, and ends when it is aborted.
fn wait_for_abort(outcome: &Outcome<Arc<()>>, _: Arc<()>) {
    outcome.set_task(waker());
    while !outcome.is_aborted() {
        thread::park();
    }
    outcome.store_reason(NoValue::Cancelled);
    outcome.complete();
}

#[test]
fn a_handle_finds_the_value_or_is_woken() {
    beside_the_task(end, |outcome| assert!(result(outcome, &waker()).is_ok()));
}

#[test]
fn a_handle_that_changes_its_waker_is_woken_by_the_last_one() {
    beside_the_task(end, |outcome| {
        let value = match outcome.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => result(outcome, &waker()),
        };
        assert!(value.is_ok());
    });
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_costs_no_value() {
    beside_the_task(end, |outcome| {
        let hostile = with_hook(|event| {
            if event == WakerEvent::Drop {
                resume_unwind(Box::new("a waker"));
            }
        });
        let value = match outcome.poll(&Context::from_waker(&hostile)) {
            Poll::Ready(value) => value,
            // The panic of the waker that is replaced goes on here.
            Poll::Pending => {
                let waker = waker();
                Panic::catch(|| result(outcome, &waker)).unwrap_or_else(|_| result(outcome, &waker))
            }
        };
        assert!(value.is_ok());
        assert!(Panic::catch(|| drop(hostile)).is_err());
    });
}

#[test]
fn a_handle_that_is_dropped_leaves_no_value() {
    beside_the_task(end, |outcome| {
        drop(outcome.poll(&Context::from_waker(Waker::noop())).map(Result::ok));
        outcome.release();
    });
}

#[test]
fn an_abort_is_seen_by_the_task_or_wakes_it() {
    beside_the_task(wait_for_abort, |outcome| {
        outcome.abort();
        assert_eq!(result(outcome, &waker()), Err(NoValue::Cancelled));
    });
}

#[test]
fn an_abort_beside_the_end_is_a_value() {
    let pending_once = |outcome: &Outcome<_>, value| {
        outcome.set_task(Waker::noop().clone());
        end(outcome, value);
    };
    beside_the_task(pending_once, |outcome| {
        outcome.abort();
        assert!(result(outcome, &waker()).is_ok());
    });
}

fn first_poll(state: State) -> FirstPoll {
    FirstPoll::new(Location::caller(), state)
}

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(Instant::now()))
}

/// A task that ends in its first poll; returns whether it had the place beside the slots. All threads of a model share a
/// shard.
fn finish_at_once(registry: &Registry) -> bool {
    let key = registry.insert_in_first_poll(first_poll(State::Waiting));
    let had_place = registry.finish_in_first_poll(key);
    if !had_place {
        registry.remove(key, &TaskEnd::Finished).unwrap();
    }
    had_place
}

#[test]
fn tasks_that_share_a_shard_have_an_entry_each_and_are_counted_once() {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let registry = registry();
        let other = thread::spawn({
            let registry = registry.clone();
            move || {
                finish_at_once(&registry);
                let count_running = || {
                    let is_running = |task: &TaskInfo| task.state == State::Running;
                    registry.live().into_iter().filter(is_running).count()
                };
                let key = registry.insert_in_first_poll(first_poll(State::Running));
                assert_eq!(count_running(), 1);
                let key = registry.set_waker(key, Waker::noop().clone());
                assert_eq!(count_running(), 1);
                registry.remove(key, &TaskEnd::Cancelled).unwrap();
            }
        });
        finish_at_once(&registry);
        let key = registry.insert_in_first_poll(first_poll(State::Waiting));
        registry.remove(key, &TaskEnd::Cancelled).unwrap();
        other.join().unwrap();
        assert_eq!((registry.counts(), registry.live().len()), ((2, 2), 0));
        assert!(finish_at_once(&registry), "nobody has the place");
    });
}

#[test]
fn an_abort_of_all_is_seen_by_a_task_in_its_first_poll_or_wakes_it() {
    model(|| {
        let (registry, forbidden) = (registry(), Arc::new(AtomicBool::new(false)));
        let task = thread::spawn({
            let (registry, forbidden) = (registry.clone(), forbidden.clone());
            move || {
                finish_at_once(&registry);
                let key = registry.insert_in_first_poll(first_poll(State::Running));
                let key = registry.set_waker(key, waker());
                while !forbidden.load(Ordering::Acquire) {
                    thread::park();
                }
                registry.remove(key, &TaskEnd::Cancelled).unwrap();
            }
        });
        forbidden.store(true, Ordering::Release);
        let (mut cursor, mut panics) = (Some(Cursor::default()), FirstPanic::default());
        while let Some(next) = cursor {
            cursor = registry.abort_page(next, |_| true, &mut panics);
        }
        task.join().unwrap();
        assert_eq!((registry.counts(), registry.live().len()), ((1, 1), 0));
    });
}
