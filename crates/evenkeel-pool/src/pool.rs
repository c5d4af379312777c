//! The handle of a pool.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::builder::Limits;
use crate::check::{self, Checked};
use crate::seat::Seated;
use crate::shared::{Shared, told};
use crate::state::State;
use crate::{Builder, Closed, Get, Holder, Lease, Manager, Snapshot};

/// Objects that are costly to make, lent to one user at a time, first come first served.
///
/// Cloning it gives another handle to the same pool. It keeps at most [`max`](Builder::max) objects, and lends the one
/// that was used last. Every object that was used is [checked](Manager::check) before it is lent again.
///
/// Creations, and checks that are not ready at once, run on tasks that the pool owns; their result goes to whoever has
/// waited longest, so nothing is lost when the caller that began them gives up. When the last handle is dropped, the
/// idle objects are dropped and the tasks aborted; leases stay usable, and their objects are dropped when they are
/// given back.
///
/// # Backoff
///
/// While creations fail, they are paced, however many wait: after a failure the next one begins after a pause of 50 ms
/// at first and 1 s in the end, of which up to a half is left out at random. Until one has succeeded, one begins per
/// pause; then all begin at once that are needed. The first creations of a pool are not delayed.
///
/// # Runtimes
///
/// A task runs on the runtime of the caller that began it. A pool may be used from several runtimes: when one of them
/// ends, its tasks end, and callers elsewhere begin others.
///
/// # Why not just use X?
///
/// A [`Semaphore`](tokio::sync::Semaphore) and a `Vec` behind a lock serve for objects that cannot fail and are made
/// at once. A pool also counts what is being created, lets a creation outlive the caller that gave up, checks what it
/// lends again, says who holds what when there is nothing left, and can be closed.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_pool::{Manager, Pool};
/// use std::time::Duration;
///
/// struct Connect;
///
/// impl Manager for Connect {
///     type Object = String;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> std::io::Result<String> {
///         tokio::time::sleep(Duration::from_millis(50)).await;
///         Ok("a connection".into())
///     }
/// }
///
/// let pool = Pool::builder(Connect).max(16).build()?;
/// let lease = pool.get().await?;
/// assert_eq!(*lease, "a connection");
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager> {
    owner: Arc<Owner<M>>,
}

/// What ends with the last handle: leases and tasks keep the shared part alone.
struct Owner<M: Manager> {
    shared: Arc<Shared<M>>,
}

impl<M: Manager> Drop for Owner<M> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Notes that a task of the pool was dropped with its runtime.
struct TaskEnd<M: Manager> {
    shared: Arc<Shared<M>>,
    what: &'static str,
    is_cut: bool,
}

impl<M: Manager> TaskEnd<M> {
    fn reached(mut self) {
        self.is_cut = false;
    }
}

impl<M: Manager> Drop for TaskEnd<M> {
    fn drop(&mut self) {
        if self.is_cut && !self.shared.closing.is_draining() {
            let text = format!("{} was cut: its runtime was shut down", self.what);
            let failure = told(text);
            self.shared.update(|state| state.note(failure));
        }
    }
}

impl<M: Manager> Pool<M> {
    /// Begins to configure a pool of the objects of this manager.
    pub fn builder(manager: M) -> Builder<M> {
        Builder::new(manager)
    }

    pub(crate) fn new(manager: M, max: usize, limits: Limits) -> Self {
        Self { owner: Arc::new(Owner { shared: Arc::new(Shared::new(manager, max, limits)) }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.owner.shared
    }

    /// Runs a task that ends with the pool, in the span of the caller.
    ///
    /// Under no lock: a runtime that is gone drops it here and now.
    pub(crate) fn spawn(&self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let end = TaskEnd { shared: Arc::clone(self.shared()), what, is_cut: true };
        let mut closing = self.shared().closing.draining();
        let task = async move {
            let mut task = pin!(task);
            poll_fn(|cx| match Pin::new(&mut closing).poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => task.as_mut().poll(cx),
            })
            .await;
            end.reached();
        };
        #[cfg(feature = "tracing")]
        let task = tracing::Instrument::in_current_span(task);
        drop(tokio::spawn(task));
    }

    /// Waits for an object, and takes it.
    ///
    /// An idle object is checked and given at once, if nobody waits. Else the caller waits in line, and gets whatever
    /// comes first: an object that is given back, or one that is created because there is room. The time in line, the
    /// checks and the creation together take at most [`acquire_timeout`](Builder::acquire_timeout), counted from the
    /// first time the future has to wait. The place of the call is kept for [`holders`](Self::holders) and for the
    /// timeouts of others.
    ///
    /// # Errors
    ///
    /// A [`GetError`](crate::GetError): nothing came in time, the pool is or was closed, or it was this caller's turn
    /// when a creation failed. A failed creation is the error of one caller, the one that has waited longest; for
    /// those behind it others are started, after a [backoff](Self#backoff), unless they have
    /// [copies](Manager::copy_error) of it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line, and nothing else: no object is lost, what was on its way to
    /// this caller goes to the next, and a creation or a check goes on for others. A future that waits has to be
    /// polled or dropped: while it is neither, an object may be reserved for it.
    ///
    /// # Panics
    ///
    /// If it has to wait and is polled outside of a tokio runtime with time enabled, or in one that was shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Manager, Pool};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Object = u32;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<u32, Self::Error> { Ok(0) }
    /// # }
    /// let pool = Pool::builder(Counters).max(2).build()?;
    /// let (mut a, mut b) = tokio::try_join!(pool.get(), pool.get())?;
    /// *a += 1;
    /// *b += 1;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn get(&self) -> Get<'_, M> {
        Get::new(self, Location::caller())
    }

    /// As [`get`](Self::get), for a caller at another place: for libraries that take objects for their own callers.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// That of [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Lease, Manager, Pool};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Object = u32;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<u32, Self::Error> { Ok(0) }
    /// # }
    /// use std::panic::Location;
    ///
    /// #[track_caller]
    /// fn connect(pool: &Pool<Counters>) -> impl Future<Output = Option<Lease<Counters>>> {
    ///     let place = Location::caller();
    ///     async move { pool.get_at(place).await.ok() }
    /// }
    ///
    /// let pool = Pool::builder(Counters).build()?;
    /// let lease = connect(&pool).await;
    /// assert_eq!(pool.holders()[0].place.line(), line!() - 1);
    /// # drop(lease);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_at(&self, place: &'static Location<'static>) -> Get<'_, M> {
        Get::new(self, place)
    }

    /// Takes an idle object whose check is ready at once, if there is one and nobody waits.
    ///
    /// It creates nothing. A check that takes its time goes on in the background, and the object is idle again when it
    /// has passed; managers whose check always does so are better served by [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// If the check panics, with its panic; and if the check is not ready at once, outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Manager, Pool};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Object = u32;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<u32, Self::Error> { Ok(0) }
    /// # }
    /// let pool = Pool::builder(Counters).build()?;
    /// assert!(pool.try_get().is_none());
    /// drop(pool.get().await?);
    /// assert!(pool.try_get().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn try_get(&self) -> Option<Lease<M>> {
        let place = Location::caller();
        let shared = self.shared();
        loop {
            let now = Instant::now();
            let take = |state: &mut State<M>| Some(Seated::new(shared, state.take_idle(place, now)?));
            let seated = shared.update(take)?;
            let seat = seated.seat.key();
            match check::begin(seated, &mut Context::from_waker(Waker::noop())) {
                Checked::Fit(seated) => return Some(Lease::new(seated)),
                Checked::Unfit => {}
                Checked::Panicked(panic) => panic.resume(),
                Checked::Unready(check) => {
                    shared.update(|state| state.check_goes_on(seat, None));
                    self.spawn("a check", check::end(Arc::clone(shared), check));
                    return None;
                }
            }
        }
    }

    /// The pool in numbers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared().read(State::snapshot)
    }

    /// Who has the objects that are in use, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let now = Instant::now();
        self.shared().read(|state| state.holders(now).collect())
    }

    /// Closes the pool, and waits until all objects are back, for at most so long.
    ///
    /// From its first poll on, every [`get`](Self::get) fails at once, also those that wait; idle objects are dropped;
    /// checks and creations are aborted, and what one of them still gives is dropped. Leases stay usable, and their
    /// objects are dropped when they are given back. It can be called again, to wait once more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future after its first poll only ends the wait: the pool stays closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Manager, Pool};
    /// # struct Counters;
    /// # impl Manager for Counters {
    /// #     type Object = u32;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<u32, Self::Error> { Ok(0) }
    /// # }
    /// use std::time::Duration;
    ///
    /// let pool = Pool::builder(Counters).build()?;
    /// let lease = pool.get().await?;
    ///
    /// let closed = pool.close(Duration::from_secs(10)).await;
    /// assert_eq!(closed.stragglers[0].held_for, Duration::from_secs(10));
    ///
    /// drop(lease);
    /// assert!(pool.close(Duration::ZERO).await.stragglers.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self, within: Duration) -> Closed {
        let shared = self.shared();
        shared.close();
        // Who is late is listed below.
        let _ = timeout(within, shared.ended.draining()).await;
        Closed { stragglers: self.holders() }
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
