//! The two-step stop signal.

mod signal;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;

use self::signal::{Place, Relay, Signal, Which};
use crate::panic::FirstPanic;

/// A stop signal in two steps: first *drain* (take nothing new, finish what you have), then *abort* (give
/// up now).
///
/// It is a cheap handle: clones are the same signal. It never goes back, an abort implies a drain, and the
/// first [reason](Self::reason) stays. Whoever holds it may give the signal as well as watch it; to hand
/// out one that cannot stop you, give a [`child`](Self::child).
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
pub struct Stop(Arc<Inner>);

struct Inner {
    soft: Signal,
    hard: Signal,
    reason: OnceLock<Cow<'static, str>>,
    parent: Option<Stop>,
}

impl Stop {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Signal::new(), Signal::new(), None)
    }

    fn of(soft: Signal, hard: Signal, parent: Option<Self>) -> Self {
        Self(Arc::new(Inner { soft, hard, reason: OnceLock::new(), parent }))
    }

    /// A signal that follows this one, and that can also be given alone: it never reaches this one.
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
        Self::of(self.0.soft.child(), self.0.hard.child(), Some(self.clone()))
    }

    /// A signal that follows the soft stop of this one alone.
    pub(crate) fn drained_with(&self) -> Self {
        Self::of(self.0.soft.child(), Signal::new(), Some(self.clone()))
    }

    /// Asks for the soft stop; after the first time it does nothing.
    ///
    /// It wakes every waiter before it returns, also behind one whose waker panics. A group that stops by itself wakes
    /// those of its own signal in parts.
    ///
    /// # Panics
    ///
    /// With the first panic of the waker of one of its waiters, after all of them were woken. Those of signals that
    /// follow it stay there.
    pub fn drain(&self, reason: impl Into<Cow<'static, str>>) {
        // The reason comes first: whoever sees the signal sees the reason.
        self.because(reason);
        let mut panics = FirstPanic::default();
        self.0.soft.give(&mut panics);
        panics.resume();
    }

    /// Asks for the hard stop, and with it for the soft one; after the first time it does nothing.
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
        self.because(reason);
        let mut panics = FirstPanic::default();
        self.0.soft.give(&mut panics);
        self.0.hard.give(&mut panics);
        panics.resume();
    }

    /// A drain that wakes at most 1024 waiters before it lets others run.
    pub(crate) async fn drain_in_parts(&self, reason: String, panics: &mut FirstPanic) {
        self.because(reason);
        self.0.soft.give_in_parts(panics).await;
    }

    /// An abort that wakes at most 1024 waiters before it lets others run.
    pub(crate) async fn abort_in_parts(&self, reason: String, panics: &mut FirstPanic) {
        self.drain_in_parts(reason, panics).await;
        self.0.hard.give_in_parts(panics).await;
    }

    fn because(&self, reason: impl Into<Cow<'static, str>>) {
        if self.reason().is_none() {
            // Of two at the same time one is first; the other is not needed.
            let _ = self.0.reason.set(reason.into());
        }
    }

    /// Ends when the soft stop is asked for, at once if it has been.
    ///
    /// The future owns what it needs, so it fits where `'static` is asked, such as axum's
    /// `with_graceful_shutdown`.
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
    pub fn draining(&self) -> Stopping {
        Stopping::new(self, Inner::soft, false)
    }

    /// Ends when the hard stop is asked for, at once if it has been.
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
        Stopping::new(self, Inner::hard, false)
    }

    /// The hard stop for the owner of the signal, the only one who is told after the others.
    pub(crate) fn aborted(&self) -> Stopping {
        Stopping::new(self, Inner::hard, true)
    }

    /// Whether the soft stop, or the hard one, was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.soft.is_given()
    }

    /// Whether the hard stop was asked for.
    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.0.hard.is_given()
    }

    /// Why it stops: the reason that was given first, here or by a parent.
    ///
    /// `None` before the signal, and after a signal that came from a bare `CancellationToken`.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        // Not a recursion, nor is the destructor: there may be any number of parents.
        let mut stop = self;
        loop {
            match stop.0.reason.get() {
                Some(reason) => return Some(reason),
                None => stop = stop.0.parent.as_ref()?,
            }
        }
    }
}

impl Inner {
    fn soft(&self) -> &Signal {
        &self.soft
    }

    fn hard(&self) -> &Signal {
        &self.hard
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(Stop(stop)) = parent {
            parent = Arc::into_inner(stop).and_then(|mut inner| inner.parent.take());
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// The token gives the soft stop. The other way round it is not touched.
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
        Self::of(Signal::following(token.child_token()), Signal::new(), None)
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
/// Dropping it changes nothing: the signal is given to the others all the same.
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
    stop: Stop,
    which: Which,
    place: Place,
    last: bool,
}

impl Stopping {
    fn new(stop: &Stop, which: Which, last: bool) -> Self {
        Self { stop: stop.clone(), which, place: Place::Nowhere, last }
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stop: Stop(stop), which, place, last } = self.get_mut();
        let relay = || Arc::new(Relay { stop: Arc::downgrade(stop), which: *which }).into();
        which(stop).poll(place, *last, cx, relay)
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        (self.which)(&self.stop.0).leave(self.place);
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping").finish_non_exhaustive()
    }
}
