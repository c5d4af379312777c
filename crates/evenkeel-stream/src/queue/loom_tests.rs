//! The core of a queue, with the steps of its users in every order that the memory model allows.
//!
//! The shipped file is compiled a second time here, by `#[path]`, with the module `loom` of this file in place of its own.

use std::task::{Poll, Wake, Waker};

use ::loom::{
    sync::Arc,
    thread::{self, Thread},
};
use evenkeel_base::WakeList;

use self::core::Core;
use super::{error, snapshot, state};
use crate::{
    edges::CallPlace,
    queue::state::{Entry, Key, PushStage},
};

/// The primitives of the code under test.
mod loom {
    pub(super) use ::loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    };

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[expect(clippy::duplicate_mod, dead_code, reason = "the same with another lock, and not all of it is used")]
#[path = "core.rs"]
mod core;

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn block<R>(mut poll: impl FnMut(&Waker) -> Poll<R>) -> R {
    let waker = Waker::from(std::sync::Arc::new(Parked(thread::current())));
    loop {
        match poll(&waker) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

type Queue = Arc<Core<u32>>;

fn queue(capacity: usize) -> Queue {
    Arc::new(Core::new(capacity, usize::MAX))
}

fn push(queue: &Queue, item: u32) -> bool {
    let mut stage = PushStage::New(Entry { item, size: 0 });
    block(|waker| queue.poll_push(&mut stage, waker, CallPlace::here())).is_ok()
}

fn poll_pop(queue: &Queue, key: &mut Option<Key>, waker: &Waker) -> Poll<Option<u32>> {
    let mut wakes = WakeList::new();
    let polled = match key.is_none().then(|| queue.pop_fast()).flatten() {
        Some(entry) => Poll::Ready(Some(entry)),
        None => queue.poll_pop_slow(key, waker, &mut wakes),
    };
    polled.map(|entry| entry.map(|entry| entry.item))
}

fn pop(queue: &Queue) -> Option<u32> {
    let mut key = None;
    block(|waker| poll_pop(queue, &mut key, waker))
}

/// Pops as a future that is dropped after its first poll.
fn pop_and_leave(queue: &Queue) -> Option<u32> {
    let mut key = None;
    let popped = poll_pop(queue, &mut key, Waker::noop());
    if let Some(key) = key {
        queue.cancel_pop(key);
    }
    match popped {
        Poll::Ready(item) => item,
        Poll::Pending => None,
    }
}

fn join(queue: &Queue) -> Result<(), usize> {
    let mut key = None;
    block(|waker| queue.poll_join(&mut key, waker))
}

fn spawn<R: 'static>(queue: &Queue, actor: impl FnOnce(&Queue) -> R + 'static) -> thread::JoinHandle<R> {
    let queue = Arc::clone(queue);
    thread::spawn(move || actor(&queue))
}

/// Runs all orders with at most two switches away from a thread that could go on.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(check);
}

/// Two consumers wait for two items that need two rounds through the only place: each gets one.
#[test]
fn each_item_goes_to_one_consumer() {
    model(|| {
        let queue = queue(1);
        let consumers = [(); 2].map(|()| spawn(&queue, pop));
        assert!(push(&queue, 1) && push(&queue, 2));
        let mut came = consumers.map(|consumer| consumer.join().unwrap().unwrap());
        came.sort_unstable();
        assert_eq!(came, [1, 2]);
    });
}

/// A consumer gives up while an item comes for it: another one gets the item.
#[test]
fn an_item_is_not_lost_with_a_consumer_that_leaves() {
    model(|| {
        let queue = queue(1);
        let leaver = spawn(&queue, pop_and_leave);
        let stayer = spawn(&queue, pop);
        assert!(push(&queue, 1) && push(&queue, 2));
        let left = leaver.join().unwrap();
        let stayed = stayer.join().unwrap();
        let rest = pop_and_leave(&queue);
        let mut came: Vec<u32> = [left, stayed, rest].into_iter().flatten().collect();
        came.sort_unstable();
        assert_eq!(came, [1, 2]);
    });
}

/// A producer gives up while there is room for it: the next producer gets the room, and no item is there twice.
#[test]
fn room_is_not_lost_with_a_producer_that_leaves() {
    model(|| {
        let queue = queue(1);
        assert!(push(&queue, 1));
        let leaver = spawn(&queue, |queue| {
            let mut stage = PushStage::New(Entry { item: 2, size: 0 });
            match (queue.poll_push(&mut stage, Waker::noop(), CallPlace::here()), stage) {
                (Poll::Pending, PushStage::Waiting(key)) => queue.cancel_push(key).is_none(),
                (Poll::Ready(pushed), _) => pushed.is_ok(),
                _ => panic!("pending without a key"),
            }
        });
        let stayer = spawn(&queue, |queue| push(queue, 3));
        assert_eq!(pop(&queue), Some(1));
        let mut expected = vec![3];
        let second = pop(&queue).unwrap();
        assert!(stayer.join().unwrap() || second == 2);
        if leaver.join().unwrap() {
            expected.push(2);
        }
        let mut came = vec![second];
        came.extend(pop_and_leave(&queue));
        came.sort_unstable();
        expected.sort_unstable();
        assert_eq!(came, expected);
    });
}

/// The last job ends while a join begins to wait: the join hears of it.
#[test]
fn a_join_hears_of_the_last_job() {
    model(|| {
        let queue = queue(2);
        assert!(push(&queue, 1) && push(&queue, 2));
        let workers = [(); 2].map(|()| {
            spawn(&queue, |queue| {
                pop(queue).unwrap();
                queue.finish();
            })
        });
        assert_eq!(join(&queue), Ok(()));
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(join(&queue), Ok(()));
    });
}

/// The last consumer puts its item back and dies while a join begins to wait: the join says that an item is left.
#[test]
fn a_join_hears_that_nobody_is_left() {
    model(|| {
        let queue = queue(1);
        assert!(push(&queue, 1));
        let worker = spawn(&queue, |queue| {
            let item = pop(queue).unwrap();
            queue.put_back(Entry { item, size: 0 });
            queue.finish();
            queue.drop_consumer();
        });
        assert_eq!(join(&queue), Err(1));
        worker.join().unwrap();
        assert_eq!(queue.stop().len(), 1);
        assert_eq!(join(&queue), Ok(()));
    });
}

/// The queue is stopped while an item is pushed and another one popped: each item is somewhere once.
#[test]
fn a_stop_loses_no_item() {
    model(|| {
        let queue = queue(1);
        let producer = spawn(&queue, |queue| push(queue, 1));
        let consumer = spawn(&queue, pop);
        let stopped = queue.stop().len();
        let pushed = producer.join().unwrap();
        let popped = consumer.join().unwrap();
        assert_eq!(usize::from(pushed), stopped + usize::from(popped.is_some()));
        assert!(!push(&queue, 2));
        assert_eq!(pop(&queue), None);
    });
}
