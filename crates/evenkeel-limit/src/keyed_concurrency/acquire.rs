//! The future of a request.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{permit::KeyPermit, table::User};
use crate::{concurrency::AcquirePermit, error::Denied};

/// The future of [`KeyedConcurrency::acquire`](super::KeyedConcurrency::acquire).
///
/// # Cancel safety
///
/// Dropping it leaves the key as if it had never been asked for; see
/// [`acquire`](super::KeyedConcurrency::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{AcquireKeyPermit, KeyedConcurrency};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let tenants: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
/// let permit: AcquireKeyPermit<u64> = tenants.acquire(&7);
/// assert!(permit.await.is_ok());
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireKeyPermit<K> {
    // Dropped in this order: whoever leaves the queue still uses the key.
    acquire: AcquirePermit<'static>,
    /// None once it is ready.
    user: Option<User<K>>,
}

impl<K> AcquireKeyPermit<K> {
    pub(super) fn new(acquire: AcquirePermit<'static>, user: User<K>) -> Self {
        Self { acquire, user: Some(user) }
    }

    /// Waits until `deadline`, and then fails with [`Deadline`](crate::Reason::Deadline).
    ///
    /// # Panics
    ///
    /// The future does when polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{KeyedConcurrency, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let tenants: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
    /// let _permit = tenants.acquire(&7).await?;
    /// let deadline = Instant::now() + Duration::from_millis(20);
    /// assert_eq!(tenants.acquire(&7).by(deadline).await.unwrap_err().reason, Reason::Deadline);
    /// assert_eq!(Instant::now(), deadline);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by(mut self, deadline: Instant) -> Self {
        self.acquire = self.acquire.by(deadline);
        self
    }
}

impl<K> Future for AcquireKeyPermit<K> {
    type Output = Result<KeyPermit<K>, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.acquire).poll(cx));
        // A request that is denied is no user any more.
        let user = self.user.take();
        Poll::Ready(result.map(|permit| KeyPermit::new(permit, user)))
    }
}

impl<K> fmt::Debug for AcquireKeyPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcquireKeyPermit").field(&self.acquire).finish()
    }
}
