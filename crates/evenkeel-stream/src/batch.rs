//! Batches of items, by number and time.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// The size of a batch, as a number of items and a time.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{Batch, prelude::*};
/// use futures::StreamExt as _;
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let start = Instant::now();
/// let ticks = futures::stream::iter(0..4).then(async |n| {
///     sleep(Duration::from_millis(80)).await;
///     n
/// });
/// let batches = ticks.batch(Batch::items(500).within(Duration::from_millis(200)));
/// let batches: Vec<_> = batches.map(|batch| (batch, start.elapsed().as_millis())).collect().await;
/// assert_eq!(batches, [(vec![0, 1, 2], 280), (vec![3], 320)]);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Batch {
    items: usize,
    within: Option<Duration>,
}

impl Batch {
    /// Makes batches of `items`; only the last one may have fewer.
    ///
    /// # Panics
    ///
    /// If `items` is zero.
    #[track_caller]
    pub const fn items(items: usize) -> Self {
        assert!(items > 0, "the number of items in a batch must not be zero");
        Self { items, within: None }
    }

    /// Also ends a batch this long after its first item; without it there is no such bound.
    ///
    /// An item that comes at that very instant is in the next batch. With `Duration::ZERO` every item is a batch.
    /// tokio's timers count whole milliseconds: while the source is silent, a fraction is rounded up.
    pub const fn within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }
}

pin_project! {
    /// The stream of [`batch`](crate::StreamExt::batch): the items of the source in vectors, in order, none empty.
    ///
    /// - **The time counts from the first item of the batch, and for that batch only**, whether the source is silent
    ///   or always ready. It is read when the stream is polled: a batch whose time is over is the next one that the
    ///   consumer gets.
    /// - The vectors grow with their content; a large maximum costs nothing.
    /// - When the source ends, the rest is the last batch, at once.
    /// - Results are items like others: a batch of a stream of results is a `Vec<Result<T, E>>`.
    /// - After its end it returns `None` for ever, and the source is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of one `next()` loses nothing: the items stay in the stream, and the time of their batch
    /// goes on. Dropping the stream drops the items of the unfinished batch.
    ///
    /// # Panics
    ///
    /// If it has to wait for the time of a batch outside a tokio runtime with its time driver enabled.
    ///
    /// # Why not just use `chunks_timeout`?
    ///
    /// `chunks_timeout` of tokio-stream looks at its timer only when the source is silent, so behind a source that is always
    /// ready the time has no effect, and it allocates the full capacity for each batch. `chunks` of futures has
    /// no time.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, prelude::*};
    /// use futures::StreamExt as _;
    ///
    /// let rows: Vec<_> = futures::stream::iter(0..1000).batch(Batch::items(400)).map(|rows| rows.len()).collect().await;
    /// assert_eq!(rows, [400, 400, 200]);
    /// # }
    /// ```
    #[must_use = "streams do nothing unless polled"]
    pub struct Batches<S: Stream> {
        #[pin]
        source: Option<S>,
        full: Batch,
        items: Vec<S::Item>,
        // Both belong to the batch in `items`; the timer is set when the source is first pending before the deadline.
        deadline: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<S: Stream> Batches<S> {
    pub(crate) fn new(source: S, full: Batch) -> Self {
        Self { source: Some(source), full, items: Vec::new(), deadline: None, timer: None }
    }

    fn emit(self: Pin<&mut Self>) -> Poll<Option<Vec<S::Item>>> {
        let this = self.project();
        *this.deadline = None;
        *this.timer = None;
        Poll::Ready(Some(mem::take(this.items)))
    }
}

impl<S: Stream> Stream for Batches<S> {
    type Item = Vec<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut this = self.as_mut().project();
            if this.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.emit();
            }
            let Some(source) = this.source.as_mut().as_pin_mut() else { return Poll::Ready(None) };
            match source.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    if this.items.is_empty() {
                        *this.deadline =
                            this.full.within.and_then(|within| Instant::now().checked_add(within));
                    }
                    this.items.push(item);
                    if this.items.len() == this.full.items {
                        return self.emit();
                    }
                }
                Poll::Ready(None) => {
                    this.source.set(None);
                    return if this.items.is_empty() { Poll::Ready(None) } else { self.emit() };
                }
                Poll::Pending => {
                    let Some(deadline) = *this.deadline else { return Poll::Pending };
                    let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                    return if timer.as_mut().poll(cx).is_ready() { self.emit() } else { Poll::Pending };
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), S::size_hint);
        let held = self.items.len();
        // At least as many as if all were full; at most one for each item to come, and one for the items that are held.
        let lower = lower.saturating_add(held).div_ceil(self.full.items);
        (lower, upper.and_then(|upper| upper.checked_add(usize::from(held > 0))))
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for Batches<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("source", &self.source)
            .field("full", &self.full)
            .field("held", &self.items.len())
            .finish_non_exhaustive()
    }
}
