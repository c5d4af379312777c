//! One step of a stop signal.
//!
//! A signal wakes its waiters itself: in the list of a `CancellationToken` a waker that panics would lose the wakes of all
//! behind it. Its token carries it to the signals that follow. A signal that follows another hears of it through a
//! relay, a waker of its own in the list of its token, which is there from its first waiter on.
//!
//! `given` is set under the lock before the first waker is taken, and nobody is put on the list after that.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Inner;
use crate::paged_slab::Slab;
use crate::panic::FirstPanic;

pub(super) struct Signal {
    token: CancellationToken,
    // Whether another one cancels the token.
    follows: bool,
    relay: OnceLock<Pin<Box<WaitForCancellationFutureOwned>>>,
    given: AtomicBool,
    waiters: Mutex<Waiters>,
}

/// One of the signals of a [`Stop`](super::Stop).
pub(super) type Which = fn(&Inner) -> &Signal;

#[derive(Default)]
struct Waiters {
    listed: Slab<Waker>,
    // The owner of the signal, who is woken after the others.
    last: Option<Waker>,
}

/// Where the waker of a waiter is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Nowhere,
    Listed(u32),
    Last,
}

impl Waiters {
    fn waker(&mut self, place: Place) -> Option<&mut Waker> {
        match place {
            Place::Nowhere => None,
            Place::Listed(index) => self.listed.get_mut(index),
            Place::Last => self.last.as_mut(),
        }
    }
}

impl Signal {
    pub(super) fn new() -> Self {
        Self::of(CancellationToken::new(), false)
    }

    /// It follows the token that this one is a child of.
    pub(super) fn following(token: CancellationToken) -> Self {
        Self::of(token, true)
    }

    fn of(token: CancellationToken, follows: bool) -> Self {
        let (relay, given, waiters) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        Self { token, follows, relay, given, waiters }
    }

    pub(super) fn child(&self) -> Self {
        Self::following(self.token.child_token())
    }

    pub(super) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire) || (self.follows && self.token.is_cancelled())
    }

    /// Ready when it is given; until then its waker is kept, as the last one if there is no other.
    pub(super) fn poll(
        &self,
        place: &mut Place,
        last: bool,
        cx: &Context<'_>,
        relay: impl FnOnce() -> Waker,
    ) -> Poll<()> {
        if self.is_given() {
            return Poll::Ready(());
        }
        if self.follows {
            self.follow(relay);
        }
        let mut clone = None;
        loop {
            let mut waiters = self.waiters();
            if self.given.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let known = waiters.waker(*place);
            if known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let Some(waker) = clone.take() else {
                // Not under the lock: it may run code of others.
                drop(waiters);
                clone = Some(cx.waker().clone());
                continue;
            };
            let old = match known {
                Some(known) => Some(mem::replace(known, waker)),
                None if last => {
                    *place = Place::Last;
                    waiters.last.replace(waker)
                }
                None => {
                    *place = Place::Listed(waiters.listed.insert(waker));
                    None
                }
            };
            drop(waiters);
            drop(old);
            return Poll::Pending;
        }
    }

    /// A waiter gives up.
    pub(super) fn leave(&self, place: Place) {
        let waker = match place {
            Place::Nowhere => None,
            Place::Listed(index) => self.waiters().listed.remove(index),
            Place::Last => self.waiters().last.take(),
        };
        // Not under the lock.
        drop(waker);
    }

    fn follow(&self, relay: impl FnOnce() -> Waker) {
        self.relay.get_or_init(|| {
            let mut cancelled = Box::pin(self.token.clone().cancelled_owned());
            if cancelled.as_mut().poll(&mut Context::from_waker(&relay())).is_ready() {
                // In between: nobody is on the list.
                let _waiters = self.waiters();
                self.given.store(true, Ordering::Release);
            }
            cancelled
        });
    }

    /// Gives it to all that follow, and wakes all waiters now.
    pub(super) fn give(&self, panics: &mut FirstPanic) {
        self.close();
        panics.catch(|| self.token.cancel());
        while self.wake_page(panics) {}
        let last = self.waiters().last.take();
        panics.wake(last);
    }

    /// Wakes the waiters page by page, 1024 at most, and lets others run before each; signals that follow are told last.
    pub(super) async fn give_in_parts(&self, panics: &mut FirstPanic) {
        self.close();
        while self.is_awaited() {
            yield_now().await;
            self.wake_page(panics);
        }
        self.give(panics);
    }

    fn close(&self) {
        let _waiters = self.waiters();
        self.given.store(true, Ordering::Release);
    }

    fn is_awaited(&self) -> bool {
        self.waiters().listed.iter().next().is_some()
    }

    fn wake_page(&self, panics: &mut FirstPanic) -> bool {
        let page = self.waiters().listed.take_page();
        let is_some = page.is_some();
        panics.wake(page.into_iter().flatten());
        is_some
    }

    // Nothing of others is called under the lock: wakers are cloned, woken and dropped outside.
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the waiters of a signal when one that it follows was given.
pub(super) struct Relay {
    // Each waiter keeps it alive.
    pub(super) stop: Weak<Inner>,
    pub(super) which: Which,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        if let Some(stop) = self.stop.upgrade() {
            // A panic of a waker is not for those who gave another signal, and would lose the wakes behind this one.
            (self.which)(&stop).give(&mut FirstPanic::default());
        }
    }
}
