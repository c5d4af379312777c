//! Calls that block a thread, and a bound for them.

use std::{
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    BoxError, Panic, Stop,
    group::{child::spawn_detached, current},
    telemetry::Span,
};
#[cfg(feature = "inspect")]
use crate::{awaited::Awaited, blocking_slots::BlockingSlots};

/// Runs a blocking call on a thread of the runtime's blocking pool, with a [`Stop`] that tells it when to end.
///
/// The signal drains with the group around it, and is aborted when the caller is dropped. Nothing can
/// interrupt a thread: a call that does not look at the signal goes on, and the group around it waits
/// until it has really ended, as [`Detached`](crate::State::Detached) in [`live`](crate::Group::live); its panic is a
/// failure of that group then. Outside of groups only the runtime waits for it, when it shuts down.
///
/// The pool is as large as the runtime's `max_blocking_threads`; to bound a kind of calls, use [`Blocking`].
///
/// # Cancel safety
///
/// Dropping it removes a call that has not begun from the queue, so that it never runs. A call that runs is asked to
/// abort by its signal, and its value is dropped.
///
/// # Panics
///
/// A panic of the call goes on here. Outside of a tokio runtime, and when the runtime shuts down.
///
/// # Why not just use `tokio::task::spawn_blocking`?
///
/// Use it for calls that are short. Its `abort` does nothing to a call that runs; a dropped handle leaves a call without
/// an owner; and there is one bound for all calls, up to 512 threads.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_task::blocking;
///
/// let sum = blocking(|stop| {
///     let mut sum = 0_u64;
///     for n in 0..1_000_000 {
///         if n % 1000 == 0 && stop.is_draining() {
///             break;
///         }
///         sum += n;
///     }
///     sum
/// });
/// assert_eq!(sum.await, 499_999_500_000);
/// # }
/// ```
#[doc(alias = "spawn_blocking")]
#[track_caller]
pub fn blocking<T, F>(call: F) -> impl Future<Output = T> + Send
where
    F: FnOnce(&Stop) -> T + Send + 'static,
    T: Send + 'static,
{
    let place = Location::caller();
    async move { Call::start(call, None, place).await }
}

/// A maximum for the number of blocking calls that run at a time.
///
/// It is a cheap handle: clones share the bound. Further calls wait in the order in which they came.
///
/// # Why not just use a `Semaphore` with `spawn_blocking`?
///
/// A permit that the caller holds is free again when the caller is dropped, while the call still runs. Here
/// it is free when the call has ended, so [`running`](Self::running) is the number of threads in use.
///
/// # Examples
///
/// A bound for the work that keeps processors busy:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel_task::GroupError> {
/// use evenkeel_task::{Blocking, group};
/// use std::thread::available_parallelism;
///
/// let cpu = Blocking::new(available_parallelism().map_or(1, usize::from));
/// group(async |g| {
///     for page in ["a", "b", "c"] {
///         let cpu = cpu.clone();
///         g.spawn(async move { println!("{}", cpu.run(move |_stop| page.repeat(3)).await) });
///     }
///     Ok(())
/// })
/// .await?;
/// assert_eq!(cpu.running(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Blocking {
    slots: Arc<Semaphore>,
    limit: usize,
    #[cfg(feature = "inspect")]
    list: Arc<BlockingSlots>,
}

impl Blocking {
    /// Returns a bound of `limit` calls.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "the limit of blocking calls must not be 0");
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(limit));
        Self {
            #[cfg(feature = "inspect")]
            list: BlockingSlots::new(Location::caller(), limit, Arc::clone(&slots)),
            slots,
            limit,
        }
    }

    /// Runs a call like [`blocking`], once a slot is free.
    ///
    /// # Cancel safety
    ///
    /// As for [`blocking`]; a call that waits for a slot leaves the queue and never runs.
    ///
    /// # Panics
    ///
    /// As for [`blocking`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use evenkeel_task::Blocking;
    /// let files = Blocking::new(4);
    /// assert!(files.run(|_stop| std::fs::read("/no/such/file")).await.is_err());
    /// # }
    /// ```
    #[track_caller]
    pub fn run<T, F>(&self, call: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        F: FnOnce(&Stop) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (place, slots) = (Location::caller(), Arc::clone(&self.slots));
        #[cfg(feature = "inspect")]
        let list = Arc::clone(&self.list);
        async move {
            #[cfg(feature = "inspect")]
            let wait = list.enter(place, false);
            // The semaphore is never closed.
            let slot = slots.acquire_owned().await.ok();
            #[cfg(feature = "inspect")]
            let call = {
                drop(wait);
                move |stop: &Stop| {
                    let _runs = list.enter(place, true);
                    call(stop)
                }
            };
            Call::start(call, slot, place).await
        }
    }

    /// Returns how many calls run now, those whose callers are gone included.
    #[must_use]
    pub fn running(&self) -> usize {
        self.limit - self.slots.available_permits()
    }
}

/// A call that is in the queue of the runtime's pool, or runs.
struct Call<T: Send + 'static> {
    call: Option<JoinHandle<Result<T, Panic>>>,
    stop: Stop,
    place: &'static Location<'static>,
    #[cfg(feature = "inspect")]
    _awaited: Arc<Awaited>,
}

impl<T: Send + 'static> Call<T> {
    fn start(
        call: impl FnOnce(&Stop) -> T + Send + 'static,
        slot: Option<OwnedSemaphorePermit>,
        place: &'static Location<'static>,
    ) -> Self {
        let stop = current::stop();
        let signal = stop.clone();
        let span = Span::current();
        let call = spawn_blocking(move || {
            let output = Panic::catch(|| span.in_scope(|| call(&signal)));
            drop(slot);
            output
        });
        #[cfg(feature = "inspect")]
        let awaited = Awaited::new("blocking call", None, place, Some(call.abort_handle()));
        #[cfg(feature = "inspect")]
        awaited.begin();
        Self {
            call: Some(call),
            stop,
            place,
            #[cfg(feature = "inspect")]
            _awaited: awaited,
        }
    }
}

impl<T: Send + 'static> Future for Call<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let call = self.call.as_mut().expect("polled after it gave its result");
        let output = ready!(Pin::new(call).poll(cx));
        self.call = None;
        match output.expect("the runtime shut down before the call began") {
            Ok(value) => Poll::Ready(value),
            Err(panic) => panic.resume(),
        }
    }
}

impl<T: Send + 'static> Drop for Call<T> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        self.stop.abort("the caller of the blocking call was dropped");
        // Removes it from the queue; a call that runs goes on.
        call.abort();
        if let Ok(runtime) = Handle::try_current() {
            // Also for a call that has ended: it may have panicked.
            spawn_detached("blocking", self.place, &runtime, async move {
                match call.await {
                    Ok(Err(panic)) => Err(BoxError::from(panic)),
                    Ok(Ok(_)) | Err(_) => Ok(()),
                }
            });
        }
    }
}
