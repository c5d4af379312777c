//! Notifies all waiters that the state of a run has changed.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_base::lock;
use evenkeel_task::Panic;

/// A counter of changes, and the wakers of all who wait for the next one.
///
/// Unlike tokio's `Notify` it wakes every waiter even if a waker panics.
///
/// No change is lost: a waiter subscribes first and reads the state then, so that a change is either in what it read
/// or makes the counter differ from the one it subscribed at.
#[derive(Default)]
pub(crate) struct ChangeNotify(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    changes: u64,
    last_key: u64,
    wakers: BTreeMap<u64, Waker>,
}

/// One waiter; it deregisters on drop.
pub(crate) struct Subscription<'c> {
    notify: &'c ChangeNotify,
    key: u64,
    seen: u64,
}

impl ChangeNotify {
    /// Locks the waiters. No waker is cloned, dropped or woken under this lock.
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        lock(&self.0)
    }

    /// Wakes all waiters. The panic hook reports a waker that panics; the caller does not see the panic.
    pub(crate) fn notify(&self) {
        let wakers = {
            let mut waiters = self.waiters();
            waiters.changes += 1;
            mem::take(&mut waiters.wakers)
        };
        wakers.into_values().for_each(|waker| drop(Panic::catch(|| waker.wake())));
    }

    /// Subscribes to every change from now on.
    pub(crate) fn subscribe(&self) -> Subscription<'_> {
        let mut waiters = self.waiters();
        waiters.last_key += 1;
        Subscription { notify: self, key: waiters.last_key, seen: waiters.changes }
    }
}

/// As the waker of another future it passes that wake on to all waiters.
impl Wake for ChangeNotify {
    fn wake(self: Arc<Self>) {
        self.notify();
    }
}

impl Subscription<'_> {
    /// Returns ready if there was a change since it was last ready, or since it subscribed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before the lock, because the clone of a waker is foreign code; dropped after it if not needed.
        let waker = cx.waker().clone();
        let mut waiters = self.notify.waiters();
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

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        let waker = self.notify.waiters().wakers.remove(&self.key);
        drop(waker);
    }
}
