//! One of the two signals of a [`Stop`](super::Stop), the drain or the abort.
//!
//! # How it works
//!
//! A signal wakes its waiters itself: in the list of a `CancellationToken` a waker that panics would lose the wakes of all
//! behind it. The token carries the signal to child signals. A child signal waits for its own token with one waker, the
//! `upstream` wait, which starts with its first waiter; when that waker is woken the child wakes its own waiters.
//!
//! - **No waiter is missed**: `sent` is set under the lock before the first waker is taken, and a waiter reads it under the
//!   lock before its waker is stored. So the list only shrinks once the signal is sent.
//! - **Many waiters do not hold a thread**: they are taken page by page, and [`send_by_page`](Signal::send_by_page) yields
//!   between.
//! - **No foreign code runs under the lock**: wakers are cloned before it is taken, and woken and dropped behind it.

use std::{
    mem,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use evenkeel_base::{FirstPanic, lock};
use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::paged_slab::PagedSlab;

pub(super) struct Signal {
    // Made with the first child: most signals have none. A signal with a parent always has it.
    token: OnceLock<CancellationToken>,
    // Whether the token is a child of another one, which cancels it.
    has_parent: bool,
    upstream: OnceLock<Pin<Box<WaitForCancellationFutureOwned>>>,
    sent: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    listed: PagedSlab<Waker>,
    // The owner of the signal, which is woken after the others.
    last: Option<Waker>,
}

/// The position of a waiter's waker.
#[derive(Clone, Copy)]
pub(super) enum WaiterKey {
    None,
    Listed(u32),
    Last,
}

impl Waiters {
    fn waker(&mut self, key: WaiterKey) -> Option<&mut Waker> {
        match key {
            WaiterKey::None => None,
            WaiterKey::Listed(index) => self.listed.get_mut(index),
            WaiterKey::Last => self.last.as_mut(),
        }
    }
}

impl Signal {
    pub(super) fn new() -> Self {
        Self::with_token(OnceLock::new(), false)
    }

    /// Returns a signal that is sent with a token, which is not touched.
    pub(super) fn child_of(token: &CancellationToken) -> Self {
        Self::with_token(token.child_token().into(), true)
    }

    pub(super) fn child(&self) -> Self {
        Self::child_of(self.token())
    }

    fn token(&self) -> &CancellationToken {
        if let Some(token) = self.token.get() {
            return token;
        }
        // Under the lock, as `sent` is set: a signal that is sent later finds the token.
        let _waiters = self.waiters();
        self.token.get_or_init(|| {
            let token = CancellationToken::new();
            if self.sent.load(Ordering::Acquire) {
                // It has no children yet, so this wakes nobody.
                token.cancel();
            }
            token
        })
    }

    fn with_token(token: OnceLock<CancellationToken>, has_parent: bool) -> Self {
        let (upstream, sent, waiters) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        Self { token, has_parent, upstream, sent, waiters }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
            || (self.has_parent && self.token.get().is_some_and(CancellationToken::is_cancelled))
    }

    /// Ready when the signal is sent; until then the waker is stored, for `is_owner` as the last one to be woken.
    ///
    /// `upstream_waker` makes the waker that sends this signal when its parent is sent.
    pub(super) fn poll(
        &self,
        key: &mut WaiterKey,
        is_owner: bool,
        cx: &Context<'_>,
        upstream_waker: impl FnOnce() -> Waker,
    ) -> Poll<()> {
        if self.is_sent() {
            return Poll::Ready(());
        }
        if self.has_parent {
            self.wait_upstream(upstream_waker);
        }
        let mut clone = None;
        loop {
            let mut waiters = self.waiters();
            if self.sent.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let stored = waiters.waker(*key);
            if stored.as_ref().is_some_and(|stored| stored.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let Some(waker) = clone.take() else {
                // The clone is foreign code: it is made without the lock, and `sent` is read again.
                drop(waiters);
                clone = Some(cx.waker().clone());
                continue;
            };
            let old = match stored {
                Some(stored) => Some(mem::replace(stored, waker)),
                None if is_owner => {
                    *key = WaiterKey::Last;
                    waiters.last.replace(waker)
                }
                None => {
                    *key = WaiterKey::Listed(waiters.listed.insert(waker));
                    None
                }
            };
            drop(waiters);
            drop(old);
            return Poll::Pending;
        }
    }

    /// Drops the waker of a waiter.
    pub(super) fn remove(&self, key: WaiterKey) {
        let waker = match key {
            WaiterKey::None => None,
            WaiterKey::Listed(index) => self.waiters().listed.remove(index),
            WaiterKey::Last => self.waiters().last.take(),
        };
        // Foreign code, so not under the lock.
        drop(waker);
    }

    fn wait_upstream(&self, waker: impl FnOnce() -> Waker) {
        self.upstream.get_or_init(|| {
            let mut cancelled = Box::pin(self.token().clone().cancelled_owned());
            if cancelled.as_mut().poll(&mut Context::from_waker(&waker())).is_ready() {
                // The parent was sent since `poll` looked; this is the first waiter, so there is none to wake.
                self.set_sent();
            }
            cancelled
        });
    }

    /// Sends the signal to its children, and wakes all waiters now.
    pub(super) fn send(&self, panics: &mut FirstPanic) {
        self.set_sent();
        if let Some(token) = self.token.get() {
            panics.catch(|| token.cancel());
        }
        while self.wake_page(panics) {}
        let last = self.waiters().last.take();
        panics.wake(last);
    }

    /// Wakes the waiters page by page, 1024 at most, and lets other tasks run before each; the children are sent last.
    pub(super) async fn send_by_page(&self, panics: &mut FirstPanic) {
        self.set_sent();
        while self.has_waiters() {
            yield_now().await;
            self.wake_page(panics);
        }
        self.send(panics);
    }

    fn set_sent(&self) {
        let _waiters = self.waiters();
        self.sent.store(true, Ordering::Release);
    }

    fn has_waiters(&self) -> bool {
        self.waiters().listed.iter().next().is_some()
    }

    fn wake_page(&self, panics: &mut FirstPanic) -> bool {
        let page = self.waiters().listed.take_page();
        let is_some = page.is_some();
        panics.wake(page.into_iter().flatten());
        is_some
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        lock(&self.waiters)
    }
}
