//! The stop signal in two steps, and the future that waits for one of them.

mod core;
mod run_until;
mod signal;

use std::{
    borrow::Cow,
    fmt,
    iter::successors,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use evenkeel_base::FirstPanic;
use tokio_util::sync::CancellationToken;

use self::{
    core::{Core, SignalKind},
    run_until::RunUntil,
    signal::{Signal, WaiterKey},
};

/// A stop signal in two steps: first *drain* (take no new work, finish what has begun), then *abort* (end now).
///
/// It is a cheap handle: clones are the same signal. It never goes back, an abort implies a drain, and the
/// first [reason](Self::reason) stays. Each holder may send the signal as well as watch it; to pass on
/// one that cannot stop the holder, pass a [`child`](Self::child).
///
/// # Why not just use `CancellationToken`?
///
/// Use it where one step is enough. A service needs two: on the first it closes its listener and finishes
/// its requests, on the second it stops. Two tokens passed by hand have no reason, and nothing makes the
/// second imply the first. A `Stop` is made of two tokens and accepts one: `Stop::from(token)`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::Stop;
///
/// let stop = Stop::new();
/// let worker = tokio::spawn({
///     let stop = stop.clone();
///     async move {
///         stop.draining().await;
///         format!("stopping: {}", stop.reason().unwrap_or("no reason"))
///     }
/// });
/// stop.drain("new version");
/// assert_eq!(worker.await.unwrap(), "stopping: new version");
/// assert!(stop.is_draining() && !stop.is_aborting());
/// # }
/// ```
#[derive(Clone)]
pub struct Stop(Arc<Core>);

impl Stop {
    /// Returns a signal that has not been sent.
    #[must_use]
    pub fn new() -> Self {
        Self::with_signals(Signal::new(), Signal::new(), None)
    }

    fn with_signals(drain: Signal, abort: Signal, parent: Option<&Self>) -> Self {
        let parent = parent.map(|parent| Arc::clone(&parent.0));
        Self(Arc::new(Core { drain, abort, reason: OnceLock::new(), parent }))
    }

    /// Returns a signal that is sent with this one, and that can also be sent alone: it never reaches this one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_task::Stop;
    /// let parent = Stop::new();
    /// let (one, two) = (parent.child(), parent.child());
    /// one.drain("only me");
    /// assert!(one.is_draining() && !two.is_draining() && !parent.is_draining());
    /// parent.abort("everybody");
    /// assert!(one.is_aborting() && two.is_aborting());
    /// assert_eq!((one.reason(), two.reason()), (Some("only me"), Some("everybody")));
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        Self::with_signals(self.0.drain.child(), self.0.abort.child(), Some(self))
    }

    /// Returns a signal that is drained with this one, but not aborted with it.
    pub(crate) fn drain_child(&self) -> Self {
        Self::with_signals(self.0.drain.child(), Signal::new(), Some(self))
    }

    /// Sends the drain; after the first time it does nothing.
    ///
    /// It wakes every waiter before it returns, also behind one whose waker panics. A group that stops by itself wakes
    /// the waiters of its own signal in parts.
    ///
    /// # Panics
    ///
    /// With the first panic of the waker of one of its waiters, after all of them were woken. Panics of the waiters of
    /// [children](Self::child) are not passed on.
    #[doc(alias("cancel", "shutdown"))]
    pub fn drain(&self, reason: impl Into<Cow<'static, str>>) {
        // The reason comes first: a waiter that sees the signal sees the reason.
        self.set_reason(reason);
        let mut panics = FirstPanic::default();
        self.0.drain.send(&mut panics);
        panics.resume();
    }

    /// Sends the abort, and with it the drain; after the first time it does nothing.
    ///
    /// It wakes every waiter before it returns, also behind one whose waker panics.
    ///
    /// # Panics
    ///
    /// As [`drain`](Self::drain).
    ///
    /// # Examples
    ///
    /// ```
    /// # use evenkeel_task::Stop;
    /// let stop = Stop::new();
    /// stop.abort("out of memory");
    /// assert!(stop.is_draining() && stop.is_aborting());
    /// ```
    pub fn abort(&self, reason: impl Into<Cow<'static, str>>) {
        self.set_reason(reason);
        let mut panics = FirstPanic::default();
        self.0.drain.send(&mut panics);
        self.0.abort.send(&mut panics);
        panics.resume();
    }

    /// Sends the drain, and lets other tasks run after each 1024 waiters.
    pub(crate) async fn drain_by_page(&self, reason: String, panics: &mut FirstPanic) {
        self.set_reason(reason);
        self.0.drain.send_by_page(panics).await;
    }

    /// Sends the abort and the drain, and lets other tasks run after each 1024 waiters.
    pub(crate) async fn abort_by_page(&self, reason: String, panics: &mut FirstPanic) {
        self.drain_by_page(reason, panics).await;
        self.0.abort.send_by_page(panics).await;
    }

    fn set_reason(&self, reason: impl Into<Cow<'static, str>>) {
        if self.reason().is_none() {
            // Of two reasons at the same time the first one stays.
            let _ = self.0.reason.set(reason.into());
        }
    }

    /// Waits for the drain; it is ready at once if the drain was sent.
    ///
    /// The future borrows nothing, so it fits where a bound is `'static`, such as axum's `with_graceful_shutdown`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing: the signal stays as it is, for every other waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::Stop;
    /// let stop = Stop::new();
    /// let draining = tokio::spawn(stop.draining());
    /// stop.drain("done");
    /// draining.await.unwrap();
    /// # }
    /// ```
    #[doc(alias = "cancelled")]
    pub fn draining(&self) -> Stopping {
        Stopping::new(self, SignalKind::Drain, false)
    }

    /// Runs a future until the drain: returns its output, or `None` if the drain comes first or was sent before.
    ///
    /// It is for waits that a stop should end: for a permit, a turn, a pause between two attempts. An attempt that has begun
    /// is better left to its own time limit. The signal is looked at first in each poll, so the future is not polled behind
    /// it, and begins nothing; then it is dropped, as by a `select!`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future within, and leaves the signal as it is. A future that `None` has ended was dropped, too: it
    /// has to be one that may be.
    ///
    /// # Panics
    ///
    /// With the panic of the future; and as that does when it is polled after it was ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use evenkeel_task::Stop;
    /// use std::time::Duration;
    /// use tokio::{sync::Semaphore, time::sleep};
    ///
    /// let (stop, slots) = (Stop::new(), Semaphore::new(1));
    /// let slot = stop.run_until_draining(slots.acquire()).await;
    /// assert!(slot.is_some_and(|slot| slot.is_ok()));
    ///
    /// stop.drain("SIGTERM");
    /// assert_eq!(stop.run_until_draining(sleep(Duration::from_secs(60))).await, None);
    /// # }
    /// ```
    #[doc(alias("run_until_cancelled", "select"))]
    pub fn run_until_draining<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        RunUntil { stopping: self.draining(), future }
    }

    /// Waits for the abort; it is ready at once if the abort was sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing: the signal stays as it is, for every other waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use tokio::time::{sleep, timeout};
    /// # use evenkeel_task::Stop;
    ///
    /// let stop = Stop::new();
    /// stop.drain("finish what you have");
    /// assert!(timeout(Duration::from_secs(1), stop.aborting()).await.is_err());
    /// stop.abort("too slow");
    /// stop.aborting().await;
    /// # }
    /// ```
    pub fn aborting(&self) -> Stopping {
        Stopping::new(self, SignalKind::Abort, false)
    }

    /// Waits for the abort as the only owner of the signal, which is woken after all other waiters.
    pub(crate) fn aborting_last(&self) -> Stopping {
        Stopping::new(self, SignalKind::Abort, true)
    }

    /// Returns whether the drain, or the abort, was sent.
    #[doc(alias = "is_cancelled")]
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_sent()
    }

    /// Returns whether the abort was sent.
    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.0.abort.is_sent()
    }

    /// Returns why it stops: the first reason, of this signal or else of a parent.
    ///
    /// `None` before the signal, and after a signal that came from a bare `CancellationToken`.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        // A loop and no recursion: there may be any number of parents.
        successors(Some(&self.0), |core| core.parent.as_ref())
            .find_map(|core| core.reason.get())
            .map(|reason| &**reason)
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// The token sends the drain. A drain of the `Stop` does not cancel the token.
///
/// # Examples
///
/// ```
/// use evenkeel_task::Stop;
/// use tokio_util::sync::CancellationToken;
///
/// let token = CancellationToken::new();
/// let stop = Stop::from(token.clone());
/// token.cancel();
/// assert!(stop.is_draining() && !stop.is_aborting());
/// ```
impl From<CancellationToken> for Stop {
    fn from(token: CancellationToken) -> Self {
        Self::with_signals(Signal::child_of(&token), Signal::new(), None)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("draining", &self.is_draining())
            .field("aborting", &self.is_aborting())
            .field("reason", &self.reason())
            .finish()
    }
}

/// The future of [`Stop::draining`] and [`Stop::aborting`].
///
/// # Cancel safety
///
/// Dropping it changes nothing: the other waiters are woken all the same.
///
/// # Examples
///
/// ```
/// use evenkeel_task::{Stop, Stopping};
///
/// /// It can be kept, boxed and sent: it borrows nothing.
/// struct Connection {
///     until: Stopping,
/// }
///
/// let connection = Connection { until: Stop::new().draining() };
/// # drop(connection.until);
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Stopping {
    core: Arc<Core>,
    kind: SignalKind,
    key: WaiterKey,
    is_owner: bool,
}

impl Stopping {
    fn new(stop: &Stop, kind: SignalKind, is_owner: bool) -> Self {
        Self { core: Arc::clone(&stop.0), kind, key: WaiterKey::None, is_owner }
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { core, kind, key, is_owner } = self.get_mut();
        core.signal(*kind).poll(key, *is_owner, cx, || core.upstream_waker(*kind))
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        self.core.signal(self.kind).remove(self.key);
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").finish_non_exhaustive()
    }
}
