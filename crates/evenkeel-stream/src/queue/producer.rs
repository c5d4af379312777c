//! The sending side of a queue.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::task::coop::poll_proceed;

use super::{
    budget::Budget,
    capacity::Bytes,
    core::Core,
    error::{PushError, Unfinished},
    snapshot::QueueSnapshot,
    state::{Entry, Key, PushStage},
};
use crate::edges::CallPlace;

/// The side of a [`queue`](crate::queue()) that adds items.
///
/// It can be cloned and shared. When the last clone is dropped, the queue is closed.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
///
/// let (jobs, consumer) = queue(Capacity::items(2));
/// let producer = tokio::spawn(async move {
///     for id in 0..10 {
///         jobs.push(id).await.unwrap(); // waits while two items stand in the queue
///     }
/// });
/// let mut sum = 0;
/// while let Some(id) = consumer.pop().await {
///     sum += *id;
/// }
/// assert_eq!(sum, 45);
/// producer.await.unwrap();
/// # }
/// ```
pub struct Producer<T> {
    core: Arc<Core<T>>,
    bytes: Option<Arc<Bytes<T>>>,
    budget: Budget,
}

impl<T> Producer<T> {
    pub(super) fn new(core: Arc<Core<T>>, bytes: Option<Bytes<T>>) -> Self {
        Self { core, bytes: bytes.map(Arc::new), budget: Budget::new() }
    }

    /// Adds an item at the back of the queue; waits for room.
    ///
    /// Producers that wait are served in the order in which they came. See [`Push`].
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`], with the item, if the queue is closed, or gets closed while this call waits.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has added nothing, and drops the item;
    /// [`Push::into_item`] returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    ///
    /// let (jobs, consumer) = queue(Capacity::items(1));
    /// jobs.push("a").await.unwrap();
    /// let (pushed, job) = tokio::join!(jobs.push("b"), consumer.pop());
    /// assert!(pushed.is_ok());
    /// assert_eq!(*job.unwrap(), "a");
    /// # }
    /// ```
    #[doc(alias = "send")]
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn push(&self, item: T) -> Push<'_, T> {
        Push { producer: self, stage: PushStage::New(self.entry(item)), call: CallPlace::here() }
    }

    /// Adds an item at the back of the queue now, or not at all.
    ///
    /// It never overtakes a producer that waits.
    ///
    /// # Errors
    ///
    /// [`PushError`], with the item: `Full` if there is no room or a producer waits, `Closed` if the queue is closed.
    pub fn try_push(&self, item: T) -> Result<(), PushError<T>> {
        self.core.try_push(self.entry(item)).map_err(|error| error.map(|entry| entry.item))
    }

    /// Closes the queue: no more items are accepted, and waiting producers fail with theirs.
    ///
    /// The consumers go on until the queue is empty.
    pub fn close(&self) {
        self.core.close();
    }

    /// Closes the queue, and returns the items that no consumer has taken, in their order.
    ///
    /// Jobs that were taken go on; one that is put back afterwards is returned by another call.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    ///
    /// let (jobs, consumer) = queue(Capacity::items(10));
    /// for id in 0..3 {
    ///     jobs.push(id).await.unwrap();
    /// }
    /// let job = consumer.pop().await.unwrap();
    /// assert_eq!(jobs.close_now(), [1, 2]);
    /// assert!(consumer.pop().await.is_none());
    /// job.put_back();
    /// assert_eq!(jobs.close_now(), [0]);
    /// # }
    /// ```
    #[must_use = "these items were not taken, and are dropped"]
    pub fn close_now(&self) -> Vec<T> {
        self.core.stop().into_iter().map(|entry| entry.item).collect()
    }

    /// Waits until every item that was accepted is done.
    ///
    /// It closes nothing: to wait for the end of all work, [`close`](Self::close) first, or wait for the
    /// [`Workers`](crate::Workers). Items that are accepted while it waits count, too. Items that
    /// [`close_now`](Self::close_now) has returned do not.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] if items are left that nobody will take, as no consumer is alive. So it ends when all workers have
    /// died, where the join of asyncio's queue hangs.
    ///
    /// # Cancel safety
    ///
    /// It only waits, and can be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Capacity, queue};
    ///
    /// let (jobs, consumer) = queue(Capacity::items(10));
    /// let worker = tokio::spawn(async move { while let Some(_job) = consumer.pop().await {} });
    /// for id in 0..100 {
    ///     jobs.push(id).await.unwrap();
    /// }
    /// jobs.join().await.unwrap();
    /// assert_eq!(jobs.snapshot().done, 100);
    /// # worker.abort();
    /// # }
    /// ```
    pub fn join(&self) -> Join<'_, T> {
        Join { core: &self.core, key: None, has_ended: false }
    }

    /// Returns the numbers of the queue now.
    #[must_use]
    pub fn snapshot(&self) -> QueueSnapshot {
        self.core.snapshot()
    }

    #[inline]
    fn entry(&self, item: T) -> Entry<T> {
        let size = self.bytes.as_ref().map_or(0, |bytes| bytes.size_of(&item));
        Entry { item, size }
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        self.core.add_producer();
        Self { core: self.core.clone(), bytes: self.bytes.clone(), budget: Budget::new() }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.core.drop_producer();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("queue", &self.snapshot()).finish_non_exhaustive()
    }
}

/// The future of [`Producer::push`].
///
/// While it waits, its item has a place in the order of the producers, and enters the queue the moment there is room,
/// whether the future is polled or not.
///
/// # Cancel safety
///
/// A future that is dropped before the item has entered drops the item.
///
/// # Panics
///
/// If polled again after it returned its result.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// let (jobs, _consumer) = queue(Capacity::items(1));
/// jobs.push("a").await.unwrap();
/// let mut push = jobs.push("b");
/// if timeout(Duration::from_secs(1), &mut push).await.is_err() {
///     assert_eq!(push.into_item(), Some("b"));
/// }
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Push<'a, T> {
    producer: &'a Producer<T>,
    stage: PushStage<T>,
    call: CallPlace,
}

impl<T> Push<'_, T> {
    /// Takes the item back, unless it has entered the queue.
    #[must_use]
    pub fn into_item(mut self) -> Option<T> {
        self.cancel()
    }

    // Not inlined where a future is dropped, which has ended nearly always.
    #[inline(never)]
    fn cancel(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.stage, PushStage::Ended) {
            PushStage::New(entry) => Some(entry.item),
            PushStage::Waiting(key) => self.producer.core.cancel_push(key),
            PushStage::Ended => None,
        }
    }
}

// The item is moved into the queue, not polled in place.
impl<T> Unpin for Push<'_, T> {}

impl<T> Future for Push<'_, T> {
    type Output = Result<(), PushError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Producer { core, budget, .. } = this.producer;
        let coop = ready!(budget.poll_proceed(cx));
        let pushed = ready!(core.poll_push(&mut this.stage, cx.waker(), this.call));
        budget.made_progress(coop);
        Poll::Ready(pushed.map_err(PushError::Closed))
    }
}

impl<T> Drop for Push<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.stage, PushStage::Ended) {
            drop(self.cancel());
        }
    }
}

impl<T> fmt::Debug for Push<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_waiting = matches!(self.stage, PushStage::Waiting(_));
        f.debug_struct("Push").field("is_waiting", &is_waiting).finish_non_exhaustive()
    }
}

/// The future of [`Producer::join`].
///
/// # Cancel safety
///
/// It only waits, and can be dropped at any time.
///
/// # Panics
///
/// If polled again after it returned its result.
#[must_use = "futures do nothing unless polled"]
pub struct Join<'a, T> {
    core: &'a Core<T>,
    key: Option<Key>,
    has_ended: bool,
}

impl<T> Future for Join<'_, T> {
    type Output = Result<(), Unfinished>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(!this.has_ended, "polled after it returned its result");
        let coop = ready!(poll_proceed(cx));
        let joined = ready!(this.core.poll_join(&mut this.key, cx.waker()));
        coop.made_progress();
        this.has_ended = true;
        Poll::Ready(joined.map_err(|left| Unfinished { left }))
    }
}

impl<T> Drop for Join<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.cancel_join(key);
        }
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("is_waiting", &self.key.is_some()).finish_non_exhaustive()
    }
}
