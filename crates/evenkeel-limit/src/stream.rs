//! Streams at the pace of a limiter.
//!
//! ```
//! use evenkeel_limit::{RateLimiter, stream::throttle};
//! use futures::StreamExt;
//! use tokio::time::{Duration, Instant};
//!
//! static LIMITER: RateLimiter = RateLimiter::per_second(10).burst(1);
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let start = Instant::now();
//! let numbers = throttle(futures::stream::iter(0..11), &LIMITER);
//! assert_eq!(numbers.count().await, 11);
//! assert_eq!(start.elapsed(), Duration::from_secs(1));
//! # }
//! ```

use std::{
    fmt,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::{
    rate_limiter::{RateLimiter, acquire::AcquireInner},
    sync::edges::CallPlace,
};

/// Lets the items of a stream pass one permit each.
///
/// The limiter is a reference or an [`Arc`](std::sync::Arc), and may be shared with others. See the [module](self) for
/// an example.
#[cfg_attr(feature = "inspect", track_caller)]
pub fn throttle<S, L>(stream: S, limiter: L) -> Throttled<S, L>
where
    S: Stream,
    L: Deref<Target = RateLimiter> + Clone,
{
    throttle_by(stream, limiter, |_| 1)
}

/// Lets the items of a stream pass for as many permits as each costs: bytes, for example.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, stream::throttle_by};
/// use futures::StreamExt;
/// use tokio::time::{Duration, Instant};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(1000).burst(1).oversize_as_debt();
/// let chunks = futures::stream::iter([vec![0; 1500], vec![0; 500], vec![0]]);
/// let start = Instant::now();
/// assert_eq!(throttle_by(chunks, &limiter, |chunk: &Vec<u8>| chunk.len() as u32).count().await, 3);
/// assert_eq!(start.elapsed(), Duration::from_secs(2));
/// # }
/// ```
#[cfg_attr(feature = "inspect", track_caller)]
pub fn throttle_by<S, L>(stream: S, limiter: L, cost: fn(&S::Item) -> u32) -> Throttled<S, L>
where
    S: Stream,
    L: Deref<Target = RateLimiter> + Clone,
{
    Throttled { stream, limiter, cost, call: CallPlace::here(), item: None, acquire: None }
}

pin_project! {
    /// The stream of [`throttle`] and [`throttle_by`].
    ///
    /// It polls the stream first; the item then waits for its permits, so that a stream without items takes no permits. One
    /// item waits at a time.
    ///
    /// # Panics
    ///
    /// When polled, if the limiter is closed; if an item costs more than the burst, and may not become
    /// [debt](RateLimiter::oversize_as_debt); or if it has to wait outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    ///
    /// A `next` that is dropped loses nothing: the item goes on waiting where it was. Dropping the stream drops the
    /// item that waits, and takes no permits for it.
    #[must_use = "streams do nothing unless polled"]
    pub struct Throttled<S: Stream, L: Deref<Target = RateLimiter>> {
        #[pin]
        stream: S,
        limiter: L,
        cost: fn(&S::Item) -> u32,
        call: CallPlace,
        item: Option<S::Item>,
        acquire: Option<AcquireInner<L>>,
    }
}

impl<S: Stream, L: Deref<Target = RateLimiter> + Clone> Stream for Throttled<S, L> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if this.acquire.is_none() {
            let Some(item) = ready!(this.stream.poll_next(cx)) else { return Poll::Ready(None) };
            let permits = (this.cost)(&item);
            *this.acquire = Some(AcquireInner::new(this.limiter.clone(), permits, false, *this.call));
            *this.item = Some(item);
        }
        if let Some(acquire) = this.acquire {
            let decided = ready!(acquire.poll(cx));
            *this.acquire = None;
            if let Err(denied) = decided {
                panic!("an item of a throttled stream can never pass: {denied}");
            }
        }
        Poll::Ready(this.item.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = usize::from(self.item.is_some());
        let (least, most) = self.stream.size_hint();
        (least.saturating_add(held), most.and_then(|most| most.checked_add(held)))
    }
}

impl<S: FusedStream, L: Deref<Target = RateLimiter> + Clone> FusedStream for Throttled<S, L> {
    fn is_terminated(&self) -> bool {
        self.item.is_none() && self.stream.is_terminated()
    }
}

impl<S: Stream, L: Deref<Target = RateLimiter>> fmt::Debug for Throttled<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttled").field("limiter", &*self.limiter).finish_non_exhaustive()
    }
}
