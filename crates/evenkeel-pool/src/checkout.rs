//! One checkout: from [`Pool::get`] to a [`Lease`], with the check or the creation of its object.
//!
//! # How it works
//!
//! [`Get`] takes an idle object if nobody waits; else it asks the state for its next step until it has an object or has to
//! wait ([`State::step`]). It polls the check of an idle object once itself, since most checks are ready at once; a check
//! that is pending moves to a task of the pool, together with its object, and so does every creation. From then on the
//! caller waits for any object: the result of a task goes to the first waiter, and a caller that is dropped takes nothing
//! with it.
//!
//! - **The wait has no timer of its own**: the deadlines of all waiters share one (`state/timers.rs`).
//! - **The waker is registered before the task is spawned**, so that the result of the task finds the waiter.
//! - **The state knows of a moved check before its task exists.** If the task is dropped at once, since its runtime is
//!   gone, the slot guard frees the slot, and the state calls the next waiter.
//! - **The end of a checkout leaves the queue**: a result that was served meanwhile goes to the next waiter.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use evenkeel_task::catch_panic;
use tokio::{
    task::coop,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    GetError, Lease, Manager, Pool,
    state::{
        Caller, CheckStart, CheckoutStep, NewSlot, Place, PooledObject, Position, Served, Shared,
        SlottedObject, State, begin_check, finish_check,
    },
};

impl<M: Manager> Pool<M> {
    /// Waits for an object, and takes it.
    ///
    /// An idle object is checked and returned at once, if nobody waits. Else the caller joins the wait queue, and gets the
    /// first object that there is: one that another user returns, or one that is created because there is room. The
    /// time in the queue, the checks and the creation together take at most
    /// [`acquire_timeout`](crate::Builder::acquire_timeout), counted from the first time the future has to wait. The place
    /// of the call is kept for [`holders`](Self::holders) and for the time-outs of other callers.
    ///
    /// # Errors
    ///
    /// A [`GetError`]: there was no object in time, the pool is or was closed, or a creation failed and this caller had
    /// waited longest. A failed creation is the error of that one caller. For the other waiters creations are started
    /// again, after a [backoff](Self#backoff), unless each gets a [copy](Manager::copy_error) of the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue, and nothing else: no object is lost, an object that was on
    /// its way to this caller goes to the next, and a creation or a check goes on for others. A future that waits has
    /// to be polled or dropped: while it is neither, an object may be reserved for it.
    ///
    /// # Panics
    ///
    /// If it has to wait and is polled outside of a tokio runtime with time enabled, or in one that was shut down: a wait is
    /// woken when its runtime is.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// let pool = Pool::builder(Counters).max(2).build()?;
    /// let (mut a, mut b) = tokio::try_join!(pool.get(), pool.get())?;
    /// *a += 1;
    /// *b += 1;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "acquire")]
    #[track_caller]
    pub fn get(&self) -> Get<'_, M> {
        self.get_at(Location::caller())
    }

    /// As [`get`](Self::get), for a caller at another place: for libraries that take objects for their own callers.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Lease, Pool};
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
        Get { shared: self.shared(), place, deadline: None, queued: None, position: None }
    }

    /// As [`get`](Self::get), with a deadline of the caller's own instead of
    /// [`acquire_timeout`](crate::Builder::acquire_timeout).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// use std::time::Duration;
    /// use tokio::time::Instant;
    ///
    /// let pool = Pool::builder(Counters).max(1).build()?;
    /// let lease = pool.get().await?;
    /// let deadline = Instant::now() + Duration::from_secs(2);
    /// assert!(pool.get_by(deadline).await.is_err());
    /// assert_eq!(Instant::now(), deadline);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("get_timeout", "acquire_timeout"))]
    #[track_caller]
    pub fn get_by(&self, deadline: Instant) -> Get<'_, M> {
        let mut get = self.get_at(Location::caller());
        get.deadline = Some(deadline);
        get
    }

    /// Takes an idle object whose check is ready at once, if there is one and nobody waits.
    ///
    /// Creates nothing. A check that is pending goes on in the background, and the object is idle again when it has passed;
    /// with a manager whose check is always pending use [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// If the check panics, with its panic; and if the check is not ready at once, outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
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
        let (shared, place, waker) = (self.shared(), Location::caller(), Waker::noop());
        loop {
            let object = shared.take_idle(place)?;
            match begin_check(object, &mut Context::from_waker(waker)) {
                CheckStart::Passed(object) => return Some(Lease::new(object)),
                CheckStart::Failed => {}
                CheckStart::Panicked(panic) => panic.resume(),
                CheckStart::Pending(check, slot) => {
                    shared.update(|state| state.move_check_to_task(slot, None));
                    shared.spawn("a check", finish_check(Arc::clone(shared), check));
                    return None;
                }
            }
        }
    }
}

/// The future of [`Pool::get`].
///
/// # Cancel safety
///
/// That of [`Pool::get`].
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// use evenkeel_pool::Get;
///
/// let pool = Pool::builder(Counters).build()?;
/// let get: Get<'_, Counters> = pool.get(); // it does nothing yet
/// assert_eq!(*get.await?, 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Get<'a, M: Manager> {
    shared: &'a Arc<Shared<M>>,
    place: Place,
    // Of its own.
    deadline: Option<Instant>,
    // Its key in the queue while it waits.
    queued: Option<usize>,
    // Its position, once it had one.
    position: Option<Position>,
}

impl<M: Manager> Get<'_, M> {
    /// Polls a caller that waits, or that found no object at once: `first` is the check of one for which there is more to
    /// do.
    #[inline(never)]
    fn poll_queued(&mut self, first: Option<CheckStart<M>>, cx: &mut Context<'_>) -> Poll<Served<M>> {
        let Self { shared, place, deadline, queued, position } = self;
        let shared = *shared;
        let mut caller = Caller::new(shared, place, *deadline, position, cx.waker());
        if queued.is_none() && !shared.is_plain {
            shared.start_upkeep();
        }
        let mut step = match first {
            Some(start) => on_check(start, queued, &mut caller),
            None if queued.is_none() && shared.must_wait() => {
                // To be ready for the wait saves taking the lock twice.
                caller.prepare();
                shared.update(|state| state.arrive(queued, &mut caller))
            }
            None => {
                if queued.is_some() {
                    caller.find_runtime();
                }
                shared.update(|state| state.step(queued, &mut caller))
            }
        };
        loop {
            step = match step {
                CheckoutStep::Prepare => {
                    caller.prepare();
                    shared.update(|state| state.step(queued, &mut caller))
                }
                CheckoutStep::Check(object) => on_check(begin_check(object, cx), queued, &mut caller),
                CheckoutStep::Create(slot) => {
                    shared.spawn("a creation", create(slot));
                    CheckoutStep::Wait
                }
                CheckoutStep::Wait => {
                    if let Some(timer) = caller.timer.take() {
                        shared.start_timer(timer);
                    }
                    let Some(now) = caller.late else { return Poll::Pending };
                    CheckoutStep::Done(shared.update(|state| state.expire(queued, caller.position, now)))
                }
                CheckoutStep::Done(served) => return Poll::Ready(served),
            }
        }
    }

    /// Ends the wait; an object that was served meanwhile goes to the next waiter.
    ///
    /// Most checkouts do not wait: only this check is inlined, at both ends of the future.
    #[inline]
    fn leave(&mut self) {
        if self.queued.is_some() {
            self.leave_queue();
        }
    }

    #[inline(never)]
    fn leave_queue(&mut self) {
        if let Some(Ok(object)) = self.shared.update(|state| state.leave(&mut self.queued)) {
            object.offer();
        }
    }
}

impl<M: Manager> Future for Get<'_, M> {
    type Output = Result<Lease<M>, GetError<M::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let object = match this.queued {
            None => this.shared.take_idle(this.place),
            Some(_) => this.shared.take_called(&mut this.queued, &mut this.position, this.place),
        };
        let mut first = None;
        if let Some(object) = object {
            match begin_check(object, cx) {
                CheckStart::Passed(object) if this.position.is_none_or(|position| !position.has_checks) => {
                    coop.made_progress();
                    this.position = None;
                    return Poll::Ready(Ok(Lease::new(object)));
                }
                start => first = Some(start),
            }
        }
        let served = ready!(this.poll_queued(first, cx));
        coop.made_progress();
        self.leave();
        self.position = None;
        Poll::Ready(served.map(Lease::new))
    }
}

impl<M: Manager> Drop for Get<'_, M> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<M: Manager> fmt::Debug for Get<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("place", &format_args!("{}", self.place))
            .field("queued", &self.queued)
            .finish_non_exhaustive()
    }
}

/// Returns the step of a caller after the first poll of a check.
fn on_check<M: Manager>(
    start: CheckStart<M>,
    queued: &mut Option<usize>,
    caller: &mut Caller<'_, M>,
) -> CheckoutStep<M> {
    let shared = caller.shared;
    match start {
        CheckStart::Passed(object) => CheckoutStep::Done(Ok(object)),
        CheckStart::Panicked(panic) => CheckoutStep::Done(Err(GetError::Panic(panic))),
        CheckStart::Failed => shared.update(|state| state.step(queued, caller)),
        CheckStart::Pending(check, slot) => {
            caller.prepare();
            let step = shared.update(|state| state.wait_for_check(slot, queued, caller));
            shared.spawn("a check", finish_check(Arc::clone(shared), check));
            step
        }
    }
}

/// Creates an object, as a task of the pool.
pub(crate) async fn create<M: Manager>(NewSlot { slot, from, generation }: NewSlot<M>) {
    let shared = Arc::clone(slot.shared());
    let limit = shared.limits.create_timeout;
    if let Some(from) = from {
        // Before the state is read: a success after that is not missed.
        let recovered = shared.recovered.notified();
        if shared.read(State::is_failing) {
            // The pause ends early if another creation succeeds.
            let _ = timeout_at(from, recovered).await;
        }
        slot.begin_creation();
    }
    match catch_panic(timeout(limit, shared.manager.create())).await {
        Ok(Ok(Ok(object))) => SlottedObject { pooled: PooledObject::new(object, generation), slot }.created(),
        Ok(Ok(Err(error))) if shared.manager.is_transient(&error) => slot.retry(error),
        Ok(Ok(Err(error))) => slot.refuse(error),
        Ok(Err(_)) => slot.fail(GetError::CreateTimeout(limit)),
        Err(panic) => slot.fail(GetError::Panic(panic)),
    }
}
