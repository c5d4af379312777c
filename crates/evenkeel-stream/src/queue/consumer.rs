//! The receiving side of a queue.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use evenkeel_base::WakeList;
use futures_core::Stream;

use super::{
    budget::Budget,
    core::Core,
    error::PopError,
    job::Job,
    snapshot::QueueSnapshot,
    state::{Entry, Key},
};

/// The side of a [`queue`](crate::queue()) that takes items.
///
/// It can be cloned and shared, and is a [`Stream`] of [`Job`]s. Each item goes to one consumer. A consumer that was told
/// the end of the queue has left it: every further call says the same. When the last one has left or was dropped, no more
/// items are accepted; those that stand in the queue stay for `close_now`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, prelude::*, queue};
/// use futures::StreamExt as _;
///
/// let (jobs, consumer) = queue(Capacity::items(100));
/// for id in 0..10 {
///     jobs.push(id).await.unwrap();
/// }
/// drop(jobs);
/// // Every method of a stream, as well.
/// let squares = consumer.par_map(4, async |job| *job * *job);
/// assert_eq!(squares.fold(0, async |sum, x| sum + x).await, 285);
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Consumer<T> {
    core: Arc<Core<T>>,
    // The wait of the stream.
    key: Option<Key>,
    has_left: AtomicBool,
    budget: Budget,
}

impl<T> Consumer<T> {
    pub(super) fn new(core: Arc<Core<T>>) -> Self {
        Self { core, key: None, has_left: AtomicBool::new(false), budget: Budget::new() }
    }

    /// Takes the item at the front of the queue; waits for one.
    ///
    /// Returns `None` when the queue is closed and empty. Consumers that wait are served in the order in which they came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: an item that came for it goes to the next consumer.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    ///
    /// let (jobs, consumer) = queue(Capacity::items(10));
    /// jobs.push('a').await.unwrap();
    /// drop(jobs);
    /// assert_eq!(consumer.pop().await.unwrap().done(), 'a');
    /// assert!(consumer.pop().await.is_none());
    /// # }
    /// ```
    #[doc(alias = "recv")]
    #[inline]
    pub fn pop(&self) -> Pop<'_, T> {
        Pop { consumer: self, key: None }
    }

    /// Takes the item at the front of the queue now, or none.
    ///
    /// # Errors
    ///
    /// [`PopError::Empty`] if there is none, or others wait for those that are there; [`PopError::Closed`] at the end.
    pub fn try_pop(&self) -> Result<Job<T>, PopError> {
        if self.has_left.load(Relaxed) {
            return Err(PopError::Closed);
        }
        let mut wakes = WakeList::new();
        match self.core.try_pop(&mut wakes) {
            Ok(entry) => Ok(Job::new(kept_until_woken(entry, &self.core, wakes), self.core.clone())),
            Err(false) => Err(PopError::Empty),
            Err(true) => {
                self.leave();
                Err(PopError::Closed)
            }
        }
    }

    /// Closes the queue, as [`Producer::close`](crate::Producer::close) does.
    pub fn close(&self) {
        self.core.close();
    }

    /// Closes the queue, and returns the items that no consumer has taken, as
    /// [`Producer::close_now`](crate::Producer::close_now) does.
    #[must_use = "these items were not taken, and are dropped"]
    pub fn close_now(&self) -> Vec<T> {
        self.core.stop().into_iter().map(|entry| entry.item).collect()
    }

    /// Returns the numbers of the queue now.
    #[must_use]
    pub fn snapshot(&self) -> QueueSnapshot {
        self.core.snapshot()
    }

    pub(super) fn core(&self) -> &Arc<Core<T>> {
        &self.core
    }

    #[inline]
    fn poll_pop(&self, key: &mut Option<Key>, cx: &mut Context<'_>) -> Poll<Option<Job<T>>> {
        let coop = ready!(self.budget.poll_proceed(cx));
        // Also by a consumer that has left: there is nothing for it.
        let popped = match key.is_none().then(|| self.core.pop_fast()).flatten() {
            Some(entry) => Some(entry),
            None => ready!(self.poll_pop_slow(key, cx)),
        };
        self.budget.made_progress(coop);
        Poll::Ready(popped.map(|entry| Job::new(entry, self.core.clone())))
    }

    #[inline(never)]
    fn poll_pop_slow(&self, key: &mut Option<Key>, cx: &mut Context<'_>) -> Poll<Option<Entry<T>>> {
        if self.has_left.load(Relaxed) {
            return Poll::Ready(None);
        }
        let mut wakes = WakeList::new();
        Poll::Ready(match ready!(self.core.poll_pop_slow(key, cx.waker(), &mut wakes)) {
            Some(entry) => Some(kept_until_woken(entry, &self.core, wakes)),
            None => {
                self.leave();
                None
            }
        })
    }

    #[cold]
    fn leave(&self) {
        if !self.has_left.swap(true, Relaxed) {
            self.core.drop_consumer();
        }
    }
}

/// Calls these wakers; if one panics, the item goes back to the queue.
fn kept_until_woken<T>(entry: Entry<T>, core: &Core<T>, wakes: WakeList) -> Entry<T> {
    if wakes.is_empty() {
        return entry;
    }
    let mut kept = Kept { entry: Some(entry), core };
    drop(wakes);
    kept.entry.take().expect("it is taken here only")
}

/// An item that goes back to the queue if it is dropped here.
struct Kept<'a, T> {
    entry: Option<Entry<T>>,
    core: &'a Core<T>,
}

impl<T> Drop for Kept<'_, T> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.core.put_back(entry);
            self.core.finish();
        }
    }
}

impl<T> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        let has_left = self.has_left.load(Relaxed);
        if !has_left {
            self.core.add_consumer();
        }
        Self {
            core: self.core.clone(),
            key: None,
            has_left: AtomicBool::new(has_left),
            budget: Budget::new(),
        }
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.cancel_pop(key);
        }
        if !*self.has_left.get_mut() {
            self.core.drop_consumer();
        }
    }
}

/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing. The consumer keeps its place, and an item that came for it, until
/// the stream is polled again or dropped.
impl<T> Stream for Consumer<T> {
    type Item = Job<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Job<T>>> {
        let mut key = self.key;
        let polled = self.poll_pop(&mut key, cx);
        self.key = key;
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.has_left.load(Relaxed).then_some(0))
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("queue", &self.snapshot()).finish_non_exhaustive()
    }
}

/// The future of [`Consumer::pop`].
///
/// # Cancel safety
///
/// Dropping it loses nothing: an item that came for it goes to the next consumer.
///
/// # Panics
///
/// With the panic of a waker of a producer, for whose item there is room now; the item that was to be returned is back in
/// the queue.
#[must_use = "futures do nothing unless polled"]
pub struct Pop<'a, T> {
    consumer: &'a Consumer<T>,
    key: Option<Key>,
}

impl<T> Future for Pop<'_, T> {
    type Output = Option<Job<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.consumer.poll_pop(&mut this.key, cx)
    }
}

impl<T> Drop for Pop<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.consumer.core.cancel_pop(key);
        }
    }
}

impl<T> fmt::Debug for Pop<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop").field("is_waiting", &self.key.is_some()).finish_non_exhaustive()
    }
}
