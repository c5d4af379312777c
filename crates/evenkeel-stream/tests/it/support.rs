//! Sources and gauges of several modules.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::time::{Instant, sleep};

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sleeps, and does not even yield for zero.
pub(crate) async fn wait(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// A source that waits before each item; the wait begins when the item is asked for.
pub(crate) fn slow<T>(items: impl IntoIterator<Item = (u64, T)>) -> impl Stream<Item = T> {
    stream::unfold(items.into_iter(), async |mut items| {
        let (delay, item) = items.next()?;
        wait(ms(delay)).await;
        Some((item, items))
    })
}

/// Returns the items of a stream, each with the time since `start` at which it came.
pub(crate) async fn timed<S: Stream>(stream: S) -> Vec<(u64, S::Item)> {
    let start = Instant::now();
    let stamp = |item| (start.elapsed().as_millis().try_into().expect("not that long"), item);
    futures::StreamExt::collect(futures::StreamExt::map(stream, stamp)).await
}

/// Counts guards: one that is dropped, in any way, counts no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Inside(Gauge);

impl Gauge {
    pub(crate) fn enter(&self) -> Inside {
        self.0.most.fetch_max(self.0.now.fetch_add(1, SeqCst) + 1, SeqCst);
        self.0.total.fetch_add(1, SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.now.load(SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.most.load(SeqCst)
    }

    pub(crate) fn total(&self) -> usize {
        self.0.total.load(SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, SeqCst);
    }
}

/// Forwards a stream, and fails the test if it is polled after its end.
#[derive(Debug)]
pub(crate) struct PollOnce<S> {
    stream: Pin<Box<S>>,
    has_ended: bool,
}

pub(crate) fn strict<S>(stream: S) -> PollOnce<S> {
    PollOnce { stream: Box::pin(stream), has_ended: false }
}

impl<S: Stream> Stream for PollOnce<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        assert!(!self.has_ended, "the source was polled after its end");
        let polled = self.stream.as_mut().poll_next(cx);
        self.has_ended = matches!(polled, Poll::Ready(None));
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}
