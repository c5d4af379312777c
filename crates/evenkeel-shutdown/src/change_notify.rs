//! Tells all who wait that something has changed.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use evenkeel_task::Panic;

/// A count of changes, and the wakers of all who wait for the next one.
///
/// Unlike `Notify` it wakes all of them though one panics.
#[derive(Default)]
pub(crate) struct Changed(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    changes: u64,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// One who waits.
pub(crate) struct Watching<'c> {
    changed: &'c Changed,
    key: u64,
    seen: u64,
}

impl Changed {
    /// No wakers are cloned, dropped or woken while this is locked.
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody. A waker that panics has had its say by the panic hook, and is none of the caller's.
    pub(crate) fn notify(&self) {
        let wakers = {
            let mut waiters = self.waiters();
            waiters.changes += 1;
            mem::take(&mut waiters.wakers)
        };
        wakers.into_values().for_each(|waker| drop(Panic::catch(|| waker.wake())));
    }

    /// From here on no change is missed.
    pub(crate) fn watch(&self) -> Watching<'_> {
        let mut waiters = self.waiters();
        waiters.next += 1;
        Watching { changed: self, key: waiters.next, seen: waiters.changes }
    }
}

/// As the waker of something else it passes the change on.
impl Wake for Changed {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}

impl Watching<'_> {
    /// Whether there was a change since the last time that this said so.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut waiters = self.changed.waiters();
        let changes = mem::replace(&mut self.seen, waiters.changes);
        let (poll, spare) = match changes == self.seen {
            true => (Poll::Pending, waiters.wakers.insert(self.key, waker)),
            false => (Poll::Ready(()), Some(waker)),
        };
        drop(waiters);
        drop(spare);
        poll
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let waker = self.changed.waiters().wakers.remove(&self.key);
        drop(waker);
    }
}
