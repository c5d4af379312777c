//! The interface of a store that counts the permits of all processes.

use std::{error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::error::Failure;

pub(super) type BoxError = Box<dyn error::Error + Send + Sync>;

/// Counts the permits of all processes: in Redis, with the feature `redis`; in memory; or in a store of your own.
///
/// It keeps one bucket for each key, on a clock that all processes share. Taking is atomic: of two processes that take at
/// the same time, the second sees what the first one has left.
///
/// # Cancel safety
///
/// A future that is dropped, as on a time-out, may have taken permits or not. They are lost then: fewer are granted.
///
/// # Examples
///
/// A store that counts its calls:
///
/// ```
/// use evenkeel_limit::distributed::{Distributed, MemoryStore, store::{Store, Take, Taken}};
/// use evenkeel_limit::Rate;
/// use std::convert::Infallible;
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
///
/// #[derive(Default)]
/// struct Counted {
///     calls: AtomicU64,
///     store: MemoryStore,
/// }
///
/// impl Store for Counted {
///     type Error = Infallible;
///
///     async fn take(&self, take: Take<'_>) -> Result<Taken, Infallible> {
///         self.calls.fetch_add(1, Relaxed);
///         self.store.take(take).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
/// let store = Arc::new(Counted::default());
/// let quota = Distributed::new(Arc::clone(&store), "partner", Rate::per_second(1000)).lease(64);
/// for _ in 0..640 {
///     quota.acquire().await?;
/// }
/// assert_eq!(store.calls.load(Relaxed), 10);
/// # Ok(())
/// # }
/// ```
pub trait Store: Send + Sync + 'static {
    /// The reason of a call without an answer.
    type Error: Into<Box<dyn error::Error + Send + Sync>>;

    /// Returns permits, and takes others.
    ///
    /// # Errors
    ///
    /// If no permits were taken, or it is not known whether any were.
    fn take(&self, take: Take<'_>) -> impl Future<Output = Result<Taken, Self::Error>> + Send;

    /// Whether an error comes from a mistake in the configuration, such as a missing right or a wrong password, rather
    /// than from an outage. By default no error does.
    ///
    /// The caller gets such an error under every [`OnFailure`](super::OnFailure), as
    /// [`Error::Misconfigured`](super::Error::Misconfigured): a policy for outages would hide it.
    fn is_misconfigured(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// The least time-out of the first call of a limit, if its [time-out](super::Distributed::timeout) is shorter: the
    /// store may have to connect, and other limits begin at the same time. Zero by default.
    fn first_timeout(&self) -> Duration {
        Duration::ZERO
    }
}

impl<S: Store> Store for Arc<S> {
    type Error = S::Error;

    fn take(&self, take: Take<'_>) -> impl Future<Output = Result<Taken, Self::Error>> + Send {
        S::take(self, take)
    }

    fn is_misconfigured(&self, error: &Self::Error) -> bool {
        S::is_misconfigured(self, error)
    }

    fn first_timeout(&self) -> Duration {
        S::first_timeout(self)
    }
}

/// A request to a [`Store`]: it returns permits to a bucket, and takes others.
///
/// A bucket that the store does not know is full. In a microsecond a bucket earns `speed` parts, until it has `depth` of
/// them; a permit costs `cost` parts. All of them are whole numbers below 2^53, so that they are exact in a `double`, too.
///
/// Callers of one bucket may disagree about its rate, as during a deployment. So a store keeps the number of permits that
/// were missing, and when: since then the bucket has earned at the rate of the caller.
///
/// First the permits in `returned` are put back, until the bucket is full. Then up to `most` permits are granted if there
/// are at least `least`, and else none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Take<'a> {
    /// Names the bucket.
    pub key: &'a str,
    /// The parts of a permit that are earned in a microsecond.
    pub speed: u64,
    /// The parts that a permit costs.
    pub cost: u64,
    /// The parts of a full bucket.
    pub depth: u64,
    /// The permits to put back.
    pub returned: u32,
    /// The fewest permits that are of use.
    pub least: u32,
    /// The most permits to grant.
    pub most: u32,
}

/// The answer of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The permits that were granted.
    pub granted: u32,
    /// The time from now until the bucket is full, if no permits are taken: in whole microseconds, rounded up.
    pub full_in: Duration,
}

/// The result of a call of a store of any type.
pub(super) type Answer = Result<Taken, CallError>;

/// The failure of a call.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) cause: BoxError,
    pub(super) misconfigured: bool,
}

impl CallError {
    /// A failure that was not reported by the store itself.
    pub(super) fn of(failure: Failure) -> Self {
        Self { cause: Box::new(failure), misconfigured: false }
    }
}

/// A [`Store`] as a trait object.
pub(super) trait AnyStore: Send + Sync {
    fn take<'a>(&'a self, take: Take<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn first_timeout(&self) -> Duration;
}

impl<S: Store> AnyStore for S {
    fn take<'a>(&'a self, take: Take<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move {
            Store::take(self, take).await.map_err(|error| {
                let misconfigured = self.is_misconfigured(&error);
                CallError { cause: error.into(), misconfigured }
            })
        })
    }

    fn first_timeout(&self) -> Duration {
        Store::first_timeout(self)
    }
}

impl fmt::Debug for dyn AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
