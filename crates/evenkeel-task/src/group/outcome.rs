//! The end of a task that has a handle, shared by the two.
//!
//! # How it works
//!
//! A thread that spawns has a chunk of [`CHUNK`] outcomes of one type in the group, and gives one after the other to its tasks:
//! a chunk is allocated, and not each outcome. A handle that is kept for long keeps its chunk. An outcome is used once.
//! A value that is large has an outcome of its own, and so has the first one of a type after another type: with types that
//! take turns, the rest of each chunk would be wasted.
//!
//! - **No foreign code runs under a lock**: values and wakers are moved out of it to be dropped or woken.
//! - **A chunk has no values when it is dropped**: the handle takes or drops the value of its outcome, and a task stores none
//!   for a handle that is gone.
//! - **No wake is lost**: a waker is stored before its flag is set, and the same atomic has the flag of the end. So either the
//!   handle finds the end, or the task finds the waker.

use std::{
    any::Any,
    error::Error,
    fmt, iter, mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use evenkeel_base::FirstPanic;

use super::loom::{AtomicU8, Mutex, Ordering, lock};
use crate::Panic;

/// The most outcomes of a chunk.
const CHUNK: usize = 8;
/// The most bytes of a chunk of several outcomes.
const CHUNK_BYTES: usize = 1024;

/// The outcomes that a thread has left.
#[derive(Default)]
pub(super) struct Outcomes(Mutex<Option<Box<dyn Any + Send>>>);

impl Outcomes {
    /// Returns an outcome that has not been used.
    pub(super) fn next<T: Send + 'static>(&self) -> Outcome<T> {
        let mut len = (CHUNK_BYTES / size_of::<Shared<T>>()).clamp(1, CHUNK);
        if len == 1 {
            return Outcome::first_of(1);
        }
        // The next outcome, of any type.
        if let Some(next) = &mut *lock(&self.0) {
            match next.downcast_mut::<Outcome<T>>() {
                Some(next) if next.index < next.chunk.len() => {
                    let outcome = next.clone();
                    next.index += 1;
                    return outcome;
                }
                Some(_) => {}
                None => len = 1,
            }
        }
        let outcome = Outcome::first_of(len);
        let next = Outcome { chunk: Arc::clone(&outcome.chunk), index: 1 };
        let old = lock(&self.0).replace(Box::new(next));
        drop(old);
        outcome
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}

/// Why a task has no value, the error of a [`TaskHandle`](crate::TaskHandle).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Group, NoValue};
///
/// let run = Group::builder().collect_all().run(async |g| {
///     let port = g.spawn_with_handle(async { "http".parse::<u16>() });
///     assert_eq!(port.await, Err(NoValue::Failed));
///     Ok(())
/// });
/// // The error itself is the group's.
/// assert!(run.await.unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoValue {
    /// The task returned an error, or its runtime was shut down.
    Failed,
    /// The task panicked, in a poll or in a destructor.
    Panicked,
    /// The task was aborted, by its handle or by its group, or was not spawned because the group takes no more tasks.
    Cancelled,
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "the task failed, and its group has the error",
            Self::Panicked => "the task panicked, and its group has the panic",
            Self::Cancelled => "the task was cancelled",
        })
    }
}

impl Error for NoValue {}

/// The outcome of one task.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    chunk: Arc<[Shared<T>]>,
    index: usize,
}

impl<T> Outcome<T> {
    /// Allocates a chunk, and returns its first outcome.
    fn first_of(len: usize) -> Self {
        Self { chunk: iter::repeat_with(Shared::default).take(len).collect(), index: 0 }
    }

    #[cfg(test)]
    pub(super) fn chunk_len(&self) -> usize {
        self.chunk.len()
    }
}

impl<T> Clone for Outcome<T> {
    fn clone(&self) -> Self {
        Self { chunk: Arc::clone(&self.chunk), index: self.index }
    }
}

#[derive(Debug)]
struct Shared<T> {
    flags: AtomicU8,
    end: Mutex<End<T>>,
}

/// The end of the task has been recorded.
const COMPLETE: u8 = 1;
/// The handle has asked for an abort.
const ABORTED: u8 = 2;
/// There is a waker, of the handle or of the task.
const HAS_WAKER: u8 = 4;

#[derive(Debug)]
struct End<T> {
    slot: Slot<T>,
    // The waker of the handle.
    handle: Option<Waker>,
    // The waker of the task, from its first poll that was pending.
    task: Option<Waker>,
}

#[derive(Debug)]
enum Slot<T> {
    // The reason holds until the task stores its value.
    NoValue(NoValue),
    Value(T),
    HandleDropped,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        let end = End { slot: Slot::NoValue(NoValue::Cancelled), handle: None, task: None };
        Self { flags: AtomicU8::new(0), end: Mutex::new(end) }
    }
}

impl<T> Shared<T> {
    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    /// Sets a flag, and returns the flags that there were.
    fn set(&self, flag: u8) -> u8 {
        self.flags.fetch_or(flag, Ordering::AcqRel)
    }
}

/// For the task.
impl<T> Outcome<T> {
    fn shared(&self) -> &Shared<T> {
        &self.chunk[self.index]
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.shared().has(ABORTED)
    }

    /// Stores the waker of the task; called once.
    pub(super) fn set_task(&self, waker: Waker) {
        lock(&self.shared().end).task = Some(waker);
        self.shared().set(HAS_WAKER);
    }

    /// Stores the value, or returns it if the handle is gone.
    pub(super) fn store(&self, value: T) -> Option<T> {
        let slot = &mut lock(&self.shared().end).slot;
        match slot {
            Slot::HandleDropped => Some(value),
            _ => {
                *slot = Slot::Value(value);
                None
            }
        }
    }

    /// Stores why there is no value.
    pub(super) fn store_reason(&self, reason: NoValue) {
        if let Slot::NoValue(stored) = &mut lock(&self.shared().end).slot {
            *stored = reason;
        }
    }

    /// Makes the handle ready.
    #[inline]
    pub(super) fn complete(&self) {
        if self.shared().set(COMPLETE) & HAS_WAKER != 0 {
            self.wake_handle();
        }
    }

    #[inline(never)]
    fn wake_handle(&self) {
        let (handle, task) = {
            let mut end = lock(&self.shared().end);
            (end.handle.take(), end.task.take())
        };
        drop(task);
        // A panic of the waker is not one of the task.
        drop(handle.map(|waker| Panic::catch(|| waker.wake())));
    }
}

/// For the handle.
impl<T> Outcome<T> {
    pub(super) fn is_complete(&self) -> bool {
        self.shared().has(COMPLETE)
    }

    /// Tells the task to end.
    pub(super) fn abort(&self) {
        self.shared().set(ABORTED);
        let task = lock(&self.shared().end).task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    #[inline]
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, NoValue>> {
        if !self.is_complete() && self.set_handle(cx).is_pending() {
            return Poll::Pending;
        }
        let (slot, waker) = self.take();
        if let Some(waker) = waker {
            // A panic of the waker costs no value.
            drop(Panic::catch(|| drop(waker)));
        }
        match slot {
            Slot::Value(value) => Poll::Ready(Ok(value)),
            Slot::NoValue(reason) => Poll::Ready(Err(reason)),
            Slot::HandleDropped => unreachable!("the handle is polled"),
        }
    }

    /// Stores the waker of the handle, unless the end is there.
    #[inline(never)]
    fn set_handle(&self, cx: &Context<'_>) -> Poll<()> {
        let shared = self.shared();
        let mut clone = None;
        loop {
            let mut end = lock(&shared.end);
            if end.handle.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let Some(waker) = clone.take() else {
                // The clone is foreign code, so it is made without the lock.
                drop(end);
                clone = Some(cx.waker().clone());
                continue;
            };
            let old = end.handle.replace(waker);
            drop(end);
            drop(old);
            let is_complete = shared.set(HAS_WAKER) & COMPLETE != 0;
            return if is_complete { Poll::Ready(()) } else { Poll::Pending };
        }
    }

    /// Takes what is there for the handle, to be dropped behind the lock.
    fn take(&self) -> (Slot<T>, Option<Waker>) {
        let mut end = lock(&self.shared().end);
        (mem::replace(&mut end.slot, Slot::HandleDropped), end.handle.take())
    }

    /// Drops what is there for a handle that is dropped.
    pub(super) fn release(&self) {
        let (slot, waker) = self.take();
        let mut panics = FirstPanic::default();
        panics.catch(|| drop(slot));
        panics.catch(|| drop(waker));
        panics.resume();
    }
}
