//! The future that waits until nothing runs.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::limiter::ConcurrencyLimiter;
use crate::sync::{edges::CallPlace, wait_queue::Key};

impl ConcurrencyLimiter {
    /// Waits until nothing runs and the queue is empty. After [`close`](Self::close) that stays so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::ConcurrencyLimiter;
    /// use std::sync::Arc;
    /// use tokio::time::{Duration, Instant, sleep};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let limiter = Arc::new(ConcurrencyLimiter::new(2));
    /// let permit = limiter.acquire_owned(1).await?;
    /// let start = Instant::now();
    /// tokio::spawn(async move {
    ///     sleep(Duration::from_secs(3)).await;
    ///     drop(permit);
    /// });
    /// limiter.close();
    /// limiter.drained().await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(3));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn drained(&self) -> impl Future<Output = ()> {
        Drained { limiter: self, key: None, call: CallPlace::here() }
    }
}

/// The future of [`ConcurrencyLimiter::drained`].
struct Drained<'a> {
    limiter: &'a ConcurrencyLimiter,
    /// Its key in the queue of those that wait for the end.
    key: Option<Key>,
    call: CallPlace,
}

impl Future for Drained<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { limiter, key, call } = &mut *self;
        let has_waker = limiter.core.with(|state, _| state.has_drained_waker(*key, cx.waker()));
        match has_waker {
            Some(true) => return Poll::Pending,
            // The waker is cloned without the lock; the end may come meanwhile.
            Some(false) => {
                let mut waker = cx.waker().clone();
                limiter.core.with(|state, _| state.enter_drained(key, &mut waker, *call));
            }
            None => *key = None,
        }
        if key.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        // The waker of the waiter is dropped after the lock is released.
        drop(
            self.limiter
                .core
                .with(|state, _| state.drained.claim(key).is_none().then(|| state.drained.cancel(key))),
        );
    }
}
