//! The handle by which a generator yields.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::task::coop::poll_proceed;

use super::shared::{Shared, YieldStage};

/// The handle by which the function of [`generate`](crate::generate()) yields its items.
///
/// It is owned: it can be moved, stored, and used from another task. When the stream has ended or was dropped, items have
/// nowhere to go, and [`yield_`](Self::yield_) says so.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Yielder, generate};
/// use futures::StreamExt as _;
///
/// struct Visitor(Yielder<u32>);
///
/// impl Visitor {
///     async fn visit(&self, depth: u32) {
///         self.0.yield_(depth).await;
///         if depth < 3 {
///             Box::pin(self.visit(depth + 1)).await;
///         }
///     }
/// }
///
/// let depths = generate(|y| async move { Visitor(y).visit(0).await });
/// assert_eq!(depths.collect::<Vec<_>>().await, [0, 1, 2, 3]);
/// # }
/// ```
pub struct Yielder<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Yielder<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Returns an item from the stream, and waits until it was taken and the next one is wanted.
    ///
    /// Returns whether it was taken: `false` after the end of the stream, which only a yielder can see that is used outside
    /// of its function. Of several yields at the same time the items come in the order in which they were first polled.
    ///
    /// # Cancel safety
    ///
    /// The item of a future that is dropped before it is ready is not taken afterwards; it may have been before.
    pub fn yield_(&self, item: T) -> Yield<'_, T> {
        Yield { shared: &self.shared, stage: YieldStage::New(item) }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// The future of [`Yielder::yield_`].
///
/// # Cancel safety
///
/// Dropped before it is ready, it takes its item along, unless the stream has taken it already.
///
/// # Panics
///
/// If polled again after it returned its result.
#[must_use = "futures do nothing unless polled"]
pub struct Yield<'a, T> {
    shared: &'a Shared<T>,
    stage: YieldStage<T>,
}

impl<T> Future for Yield<'_, T> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = self.get_mut();
        // A loop of yields that go nowhere would keep its task for ever.
        let coop = ready!(poll_proceed(cx));
        let taken = ready!(this.shared.poll_yield(&mut this.stage, cx.waker()));
        coop.made_progress();
        Poll::Ready(taken)
    }
}

// The item is moved out, not polled in place.
impl<T> Unpin for Yield<'_, T> {}

impl<T> Drop for Yield<'_, T> {
    fn drop(&mut self) {
        if let YieldStage::Waiting(key) = mem::replace(&mut self.stage, YieldStage::Ended) {
            drop(self.shared.cancel(key));
        }
    }
}

impl<T> fmt::Debug for Yield<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_waiting = matches!(self.stage, YieldStage::Waiting(_));
        f.debug_struct("Yield").field("is_waiting", &is_waiting).finish_non_exhaustive()
    }
}
