//! Wakers that call back, panic or count, to test code that calls wakers.
//!
//! A waker is foreign code: its clone, its wake and its drop can call the very type that stores it, and can panic. Code
//! that does one of them under a lock hangs in such a test, and code that stops at the first panic loses the wakes of
//! the other waiters.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use cooked_waker::{IntoWaker, Wake, WakeRef};

/// An event in the life of a [`Waker`].
///
/// A wake that consumes the waker is a `Wake` and then a `Drop`.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::waker::{WakerEvent, with_hook};
///
/// let waker = with_hook(|event| assert_ne!(event, WakerEvent::Clone, "it is moved, and never cloned"));
/// waker.wake();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WakerEvent {
    /// It is cloned.
    Clone,
    /// It is called, by value or by reference.
    Wake,
    /// It is dropped.
    Drop,
}

/// Returns a waker that calls `hook` at each event of it and of its clones.
///
/// The hook may do anything: use the type under test again, or panic.
///
/// # Examples
///
/// A channel may be used by the waker that waits for it:
///
/// ```
/// use evenkeel_testkit::waker::{WakerEvent, with_hook};
/// use std::{pin::pin, sync::{Arc, Mutex}, task::Context};
/// use tokio::sync::mpsc;
///
/// let (tx, mut rx) = mpsc::unbounded_channel();
/// let events = Arc::new(Mutex::new(vec![]));
/// let waker = with_hook({
///     let (tx, events) = (tx.clone(), events.clone());
///     move |event| {
///         let _ = tx.is_closed();
///         events.lock().unwrap().push(event);
///     }
/// });
/// let mut recv = Box::pin(rx.recv());
/// assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
/// tx.send("hello").unwrap();
/// drop(recv);
/// assert_eq!(*events.lock().unwrap(), [WakerEvent::Clone, WakerEvent::Wake, WakerEvent::Drop]);
/// ```
#[must_use]
pub fn with_hook(hook: impl Fn(WakerEvent) + Send + Sync + 'static) -> Waker {
    Box::new(HookedWaker(Arc::new(hook))).into_waker()
}

/// Returns a waker that panics with this payload when it is called; the panic hook is not told.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::waker::panicking;
/// use std::panic::catch_unwind;
///
/// let waker = panicking("broken");
/// let payload = catch_unwind(|| waker.wake_by_ref()).unwrap_err();
/// assert_eq!(payload.downcast_ref(), Some(&"broken"));
/// ```
#[must_use]
pub fn panicking(payload: &'static str) -> Waker {
    with_hook(move |event| {
        if event == WakerEvent::Wake {
            resume_unwind(Box::new(payload));
        }
    })
}

/// Returns a waker, and the number of its wakes.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::waker::counting;
/// use std::sync::atomic::Ordering;
///
/// let (waker, wakes) = counting();
/// waker.wake_by_ref();
/// waker.clone().wake();
/// assert_eq!(wakes.load(Ordering::Relaxed), 2);
/// ```
#[must_use]
pub fn counting() -> (Waker, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let waker = with_hook({
        let wakes = Arc::clone(&wakes);
        move |event| {
            wakes.fetch_add(usize::from(event == WakerEvent::Wake), Ordering::SeqCst);
        }
    });
    (waker, wakes)
}

/// std has no waker whose clone and drop are functions without `unsafe`; `cooked_waker` makes one of this.
struct HookedWaker(Arc<dyn Fn(WakerEvent) + Send + Sync>);

impl Clone for HookedWaker {
    fn clone(&self) -> Self {
        (self.0)(WakerEvent::Clone);
        Self(Arc::clone(&self.0))
    }
}

impl WakeRef for HookedWaker {
    fn wake_by_ref(&self) {
        (self.0)(WakerEvent::Wake);
    }
}

impl Wake for HookedWaker {}

impl Drop for HookedWaker {
    fn drop(&mut self) {
        (self.0)(WakerEvent::Drop);
    }
}
