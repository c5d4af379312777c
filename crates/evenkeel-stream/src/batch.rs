//! Batches of items, by number, size, time, or a predicate.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::{
    task::coop::poll_proceed,
    time::{Instant, Sleep, sleep_until},
};

use crate::edges::{BatchEdge, CallPlace};

/// The end of a batch: a number of items, and optionally a size in bytes, a time, or an item that says so.
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
#[must_use]
pub struct Batch<T> {
    items: usize,
    bytes: Option<Bytes<T>>,
    within: Option<Duration>,
    ends_after: Option<Closure<T, bool>>,
}

type Closure<T, R> = Box<dyn FnMut(&T) -> R + Send>;

struct Bytes<T> {
    max: usize,
    size: Closure<T, usize>,
}

impl<T> Batch<T> {
    /// Makes batches of `items`; only the last one may have fewer.
    ///
    /// # Panics
    ///
    /// If `items` is zero.
    #[track_caller]
    pub const fn items(items: usize) -> Self {
        assert!(items > 0, "the number of items in a batch must not be zero");
        Self { items, bytes: None, within: None, ends_after: None }
    }

    /// Also bounds the sum of the items' sizes; `size` returns that of an item.
    ///
    /// An item that does not fit ends the batch, and is the first one of the next. An item that is larger than `bytes` is a
    /// batch of its own. A panic of `size` resumes at the consumer; its item is lost, and no other.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, prelude::*};
    /// use futures::StreamExt as _;
    ///
    /// let words = futures::stream::iter(["a", "bcd", "ef", "a long one", "g"]);
    /// let batches = words.batch(Batch::items(500).max_bytes(4, |word: &&str| word.len()));
    /// let batches: Vec<_> = batches.map(|words| words.join(" ")).collect().await;
    /// assert_eq!(batches, ["a bcd", "ef", "a long one", "g"]);
    /// # }
    /// ```
    #[track_caller]
    pub fn max_bytes(self, bytes: usize, size: impl FnMut(&T) -> usize + Send + 'static) -> Self {
        assert!(bytes > 0, "the number of bytes in a batch must not be zero");
        Self { bytes: Some(Bytes { max: bytes, size: Box::new(size) }), ..self }
    }

    /// Also ends a batch this long after its first item; without it there is no such bound.
    ///
    /// An item that comes at that very instant is in the next batch. With `Duration::ZERO` every item is a batch.
    /// tokio's timers count whole milliseconds: while the source is silent, a fraction is rounded up.
    pub fn within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }

    /// Also ends a batch behind each item for which `is_last` returns true.
    ///
    /// A panic of `is_last` resumes at the consumer; the item stays in its batch.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, prelude::*};
    /// use futures::StreamExt as _;
    ///
    /// let words = futures::stream::iter("one two. three. four".split_inclusive(' '));
    /// let sentences = words.batch(Batch::items(500).ends_after(|word: &&str| word.ends_with(". ")));
    /// let sentences: Vec<_> = sentences.map(|words| words.concat()).collect().await;
    /// assert_eq!(sentences, ["one two. ", "three. ", "four"]);
    /// # }
    /// ```
    pub fn ends_after(self, is_last: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        Self { ends_after: Some(Box::new(is_last)), ..self }
    }

    /// Makes the same batches of items that have a `T` in them.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, prelude::*};
    /// use futures::StreamExt as _;
    ///
    /// let words = Batch::items(500).max_bytes(4, |word: &&str| word.len());
    /// let numbered = futures::stream::iter(["a", "bcd", "ef"]).enumerate();
    /// let batches: Vec<_> = numbered.batch(words.by(|(_, word)| word)).collect().await;
    /// assert_eq!(batches, [vec![(0, "a"), (1, "bcd")], vec![(2, "ef")]]);
    /// # }
    /// ```
    pub fn by<U>(self, part: impl Fn(&U) -> &T + Clone + Send + 'static) -> Batch<U>
    where
        T: 'static,
    {
        let Self { items, bytes, within, ends_after } = self;
        let bytes = bytes.map(|Bytes { max, mut size }| {
            let part = part.clone();
            Bytes { max, size: Box::new(move |item: &U| size(part(item))) as Closure<U, usize> }
        });
        let ends_after =
            ends_after.map(|mut is_last| Box::new(move |item: &U| is_last(part(item))) as Closure<U, bool>);
        Batch { items, bytes, within, ends_after }
    }

    /// Returns the number of items in a full batch.
    #[must_use]
    pub const fn max_items(&self) -> usize {
        self.items
    }

    /// Returns the time after which a batch ends that is not full; `None` if it waits until it is.
    #[must_use]
    pub const fn max_wait(&self) -> Option<Duration> {
        self.within
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("items", &self.items)
            .field("bytes", &self.bytes.as_ref().map(|bytes| bytes.max))
            .field("within", &self.within)
            .finish_non_exhaustive()
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
    /// - [`into_rest`](Self::into_rest) takes the unfinished batch back.
    /// - A batch of an endless source without a bound in reach lets other tasks run.
    /// - Results are items like others: a batch of a stream of results is a `Vec<Result<T, E>>`.
    /// - After its end it returns `None` for ever, and the source is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of one `next()` loses nothing: the items stay in the stream, and the time of their batch
    /// goes on. Dropping the stream drops the items of the unfinished batch; [`into_rest`](Self::into_rest) returns them.
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
        full: Batch<S::Item>,
        // A batch that is complete: the item that did not fit in it has begun the next one.
        before: Option<Vec<S::Item>>,
        // The batch in progress. The deadline and the timer belong to it; the timer is set when the source is first
        // pending before the deadline.
        items: Vec<S::Item>,
        bytes: usize,
        is_full: bool,
        deadline: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
        edge: BatchEdge,
    }
}

impl<S: Stream> Batches<S> {
    pub(crate) fn new(source: S, full: Batch<S::Item>, call: CallPlace) -> Self {
        Self {
            edge: BatchEdge::new(call, full.items),
            source: Some(source),
            full,
            before: None,
            items: Vec::new(),
            bytes: 0,
            is_full: false,
            deadline: None,
            timer: None,
        }
    }

    /// Ends the stream, and returns the items of the unfinished batch.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::{Batch, generate, prelude::*};
    /// use futures::StreamExt as _;
    /// use std::{future::pending, time::Duration};
    /// use tokio::time::timeout;
    ///
    /// let numbers = generate(|y| async move {
    ///     for n in 0..5 {
    ///         y.yield_(n).await;
    ///     }
    ///     pending().await
    /// });
    /// let mut batches = numbers.batch(Batch::items(3));
    /// assert_eq!(batches.next().await, Some(vec![0, 1, 2]));
    /// assert!(timeout(Duration::from_secs(1), batches.next()).await.is_err());
    /// assert_eq!(batches.into_rest(), [3, 4]);
    /// # }
    /// ```
    #[must_use = "these items were in no batch, and are dropped"]
    pub fn into_rest(self) -> Vec<S::Item> {
        let mut rest = self.before.unwrap_or_default();
        rest.extend(self.items);
        rest
    }

    /// Sets its name and its place in dumps, for evenkeel-pipeline.
    #[doc(hidden)]
    #[cfg(feature = "inspect")]
    pub fn titled(
        mut self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        place: &'static std::panic::Location<'static>,
    ) -> Self {
        self.edge.set_title(name.into(), CallPlace(place));
        self
    }

    fn take_batch(self: Pin<&mut Self>) -> Vec<S::Item> {
        let this = self.project();
        this.edge.ends();
        (*this.bytes, *this.is_full) = (0, false);
        *this.deadline = None;
        *this.timer = None;
        mem::take(this.items)
    }

    /// Adds an item, behind the batch before it, if the item did not fit in there.
    fn add(mut self: Pin<&mut Self>, item: S::Item) {
        let this = self.as_mut().project();
        let (max, size) = match &mut this.full.bytes {
            Some(bytes) => (bytes.max, (bytes.size)(&item)),
            None => (usize::MAX, 0),
        };
        let fits = this.bytes.checked_add(size).is_some_and(|sum| sum <= max);
        if !fits && !this.items.is_empty() {
            // Kept, as the predicate may panic.
            let before = self.as_mut().take_batch();
            *self.as_mut().project().before = Some(before);
        }
        let this = self.project();
        if this.items.is_empty() {
            *this.deadline = this.full.within.and_then(|within| Instant::now().checked_add(within));
        }
        *this.bytes = this.bytes.saturating_add(size);
        this.items.push(item);
        *this.is_full =
            this.items.len() == this.full.items || this.full.bytes.is_some() && *this.bytes >= max;
        if let (Some(is_last), Some(item)) = (&mut this.full.ends_after, this.items.last()) {
            *this.is_full |= is_last(item);
        }
    }
}

impl<S: Stream> Stream for Batches<S> {
    type Item = Vec<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut this = self.as_mut().project();
            if let Some(before) = this.before.take() {
                return Poll::Ready(Some(before));
            }
            if *this.is_full || this.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Some(self.take_batch()));
            }
            let Some(source) = this.source.as_mut().as_pin_mut() else {
                // The item that did not fit in the last batch but one.
                return Poll::Ready((!this.items.is_empty()).then(|| self.take_batch()));
            };
            // An endless source would keep the task in this loop.
            let coop = ready!(poll_proceed(cx));
            match source.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    coop.made_progress();
                    self.as_mut().add(item);
                }
                Poll::Ready(None) => {
                    this.edge.ends();
                    this.source.set(None);
                }
                Poll::Pending => {
                    this.edge.waits(this.items.len(), *this.deadline);
                    let Some(deadline) = *this.deadline else { return Poll::Pending };
                    let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(Some(self.take_batch()));
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), S::size_hint);
        let held = self.items.len();
        // At least as many as if all were full; at most one for each item to come, and one for the items that are held.
        let lower = lower.saturating_add(held).div_ceil(self.full.items);
        let before = usize::from(self.before.is_some());
        let upper = upper.and_then(|upper| upper.checked_add(usize::from(held > 0) + before));
        (lower.saturating_add(before), upper)
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
