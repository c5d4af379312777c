//! One step of a stop signal, whose waiters can be woken in parts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How many waiters are woken in one go.
const CHUNK: usize = 1024;

pub(super) struct Signal {
    // Nobody waits for it but the owner, signals that follow it and, as its children, the parts.
    token: CancellationToken,
    given: AtomicBool,
    parts: Mutex<Vec<Arc<Part>>>,
}

/// Some of the waiters.
struct Part {
    token: CancellationToken,
    waiters: AtomicUsize,
}

/// A place in a part.
pub(super) struct Place(Option<Arc<Part>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(part) = &self.0 {
            part.waiters.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Signal {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token, given: AtomicBool::new(false), parts: Mutex::new(Vec::new()) }
    }

    pub(super) fn child(&self) -> CancellationToken {
        self.token.child_token()
    }

    pub(super) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire) || self.token.is_cancelled()
    }

    pub(super) fn wait(&self) -> (WaitForCancellationFutureOwned, Place) {
        let mut parts = self.parts();
        if self.is_given() {
            let given = CancellationToken::new();
            given.cancel();
            return (given.cancelled_owned(), Place(None));
        }
        let waiters = |part: &Arc<Part>| part.waiters.load(Ordering::Relaxed);
        if parts.last().is_none_or(|part| waiters(part) >= CHUNK) {
            // One that has become empty enough, so that this is not done for each waiter; else a new one.
            match parts.iter().position(|part| waiters(part) <= CHUNK / 2) {
                Some(index) => {
                    let last = parts.len() - 1;
                    parts.swap(index, last);
                }
                None => parts.push(Arc::new(Part { token: self.child(), waiters: AtomicUsize::new(0) })),
            }
        }
        let part = &parts[parts.len() - 1];
        part.waiters.fetch_add(1, Ordering::Relaxed);
        (part.token.clone().cancelled_owned(), Place(Some(Arc::clone(part))))
    }

    /// For one waiter alone, who is told after the others and takes no place among them.
    pub(super) fn wait_last(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }

    /// Wakes all waiters now.
    pub(super) fn give(&self) {
        self.take_parts();
        self.token.cancel();
    }

    /// Wakes the waiters part by part, and lets others run before each; signals that follow are told last.
    pub(super) async fn give_in_parts(&self) {
        for part in self.take_parts() {
            if part.waiters.load(Ordering::Relaxed) > 0 {
                yield_now().await;
            }
            part.token.cancel();
        }
        self.token.cancel();
    }

    fn take_parts(&self) -> Vec<Arc<Part>> {
        let mut parts = self.parts();
        self.given.store(true, Ordering::Release);
        std::mem::take(&mut *parts)
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Arc<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
