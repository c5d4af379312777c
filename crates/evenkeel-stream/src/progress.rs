//! How far a stream has come, and when it will be done.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::Instant;

/// How far a stream has come, for the hook of [`progress`](crate::StreamExt::progress).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::prelude::*;
/// use futures::StreamExt as _;
/// use std::{sync::mpsc, time::Duration};
/// use tokio::time::sleep;
///
/// let (lines, shown) = mpsc::channel();
/// let work = futures::stream::iter(0..4).par_map(1, async |_| sleep(Duration::from_secs(10)).await);
/// work.progress(move |progress| {
///     let total = progress.total.unwrap_or_default();
///     let eta = progress.eta().unwrap_or_default().as_secs();
///     lines.send(format!("{}/{total}, {eta} s left", progress.done)).unwrap();
/// })
/// .count()
/// .await;
/// let shown: Vec<_> = shown.iter().collect();
/// assert_eq!(shown, ["1/4, 30 s left", "2/4, 20 s left", "3/4, 10 s left", "4/4, 0 s left", "4/4, 0 s left"]);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of items so far.
    pub done: u64,
    /// The number of items in all, if it is known: from [`WithProgress::total`], or the size that the source tells.
    pub total: Option<u64>,
    /// The time since the first poll of the stream.
    pub elapsed: Duration,
    /// Whether this is the last call: the stream has ended.
    pub has_ended: bool,
}

impl Progress {
    /// Returns the items per second since the beginning, or `None` while no time has passed.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (seconds > 0.0).then(|| self.done as f64 / seconds)
    }

    /// Returns the time until the end at the present rate, or `None` if the number of items or the rate is not known.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let left = match self.total {
            _ if self.has_ended => 0,
            total => total?.saturating_sub(self.done),
        };
        if left == 0 {
            return Some(Duration::ZERO);
        }
        let rate = self.rate().filter(|rate| *rate > 0.0)?;
        Some(Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX))
    }
}

pin_project! {
    /// The stream of [`progress`](crate::StreamExt::progress): the items of the source, as they come.
    ///
    /// - The hook is called behind each item, or at most [`every`](Self::every) so often, and once at the end. It runs in the
    ///   task that polls the stream.
    /// - A panic of the hook resumes at the consumer; the item is returned by the next poll.
    /// - After its end it returns `None` for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of one `next()` loses nothing. A stream that is dropped before its end makes no last call.
    #[must_use = "streams do nothing unless polled"]
    pub struct WithProgress<S: Stream> {
        #[pin]
        source: Option<S>,
        hook: Box<dyn FnMut(&Progress) + Send>,
        // The item while the hook runs, and behind its panic.
        item: Option<S::Item>,
        done: u64,
        total: Option<u64>,
        every: Duration,
        started: Option<Instant>,
        called: Option<Instant>,
    }
}

impl<S: Stream> WithProgress<S> {
    pub(crate) fn new(source: S, hook: impl FnMut(&Progress) + Send + 'static) -> Self {
        Self {
            source: Some(source),
            hook: Box::new(hook),
            item: None,
            done: 0,
            total: None,
            every: Duration::ZERO,
            started: None,
            called: None,
        }
    }

    /// Sets the number of items in all, for a source that does not know it.
    pub fn total(self, items: u64) -> Self {
        Self { total: Some(items), ..self }
    }

    /// Sets the least time between two calls of the hook, but for the last call.
    pub fn every(self, interval: Duration) -> Self {
        Self { every: interval, ..self }
    }

    /// Calls the hook, unless the last call was just now.
    fn call(self: Pin<&mut Self>, has_ended: bool) {
        let this = self.project();
        let now = Instant::now();
        let is_due = this.called.is_none_or(|called| now.saturating_duration_since(called) >= *this.every);
        if !is_due && !has_ended {
            return;
        }
        *this.called = Some(now);
        let hint = this.source.as_ref().as_pin_ref().map_or((0, Some(0)), |source| source.size_hint());
        let left = Some(hint.0).filter(|lower| hint.1 == Some(*lower));
        let known = left.and_then(|left| this.done.checked_add(left as u64));
        let progress = Progress {
            done: *this.done,
            total: this.total.or(known).map(|total| total.max(*this.done)),
            elapsed: now.saturating_duration_since(this.started.unwrap_or(now)),
            has_ended,
        };
        (this.hook)(&progress);
    }
}

impl<S: Stream> Stream for WithProgress<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.as_mut().project();
        if let Some(item) = this.item.take() {
            return Poll::Ready(Some(item));
        }
        if this.started.is_none() {
            *this.started = Some(Instant::now());
        }
        let Some(source) = this.source.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        *this.item = ready!(source.poll_next(cx));
        let has_ended = this.item.is_none();
        if has_ended {
            this.source.set(None);
        } else {
            *this.done += 1;
        }
        self.as_mut().call(has_ended);
        Poll::Ready(self.project().item.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), S::size_hint);
        let held = usize::from(self.item.is_some());
        (lower.saturating_add(held), upper.and_then(|upper| upper.checked_add(held)))
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for WithProgress<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithProgress")
            .field("source", &self.source)
            .field("done", &self.done)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
