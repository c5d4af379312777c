//! Items and prefetched pages run in the span of the task that polls the stream.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use tracing::{
    Event, Instrument, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;

use evenkeel_stream::{paginate, prelude::*};
use evenkeel_testkit::World;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::task::yield_now;

/// A subscriber of one span, and how deep in it the thread is.
#[derive(Default)]
struct OneSpan {
    depth: AtomicU32,
    span: OnceLock<&'static Metadata<'static>>,
}

impl Subscriber for OneSpan {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.span.get_or_init(|| span.metadata());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {
        self.depth.fetch_add(1, SeqCst);
    }
    fn exit(&self, _: &Id) {
        self.depth.fetch_sub(1, SeqCst);
    }
    fn current_span(&self) -> Current {
        match self.span.get() {
            Some(span) if self.depth.load(SeqCst) > 0 => Current::new(Id::from_u64(1), span),
            _ => Current::none(),
        }
    }
}

fn is_within() -> bool {
    !tracing::Span::current().is_disabled()
}

async fn spanned() -> bool {
    let before = is_within();
    yield_now().await;
    before && is_within()
}

#[test]
fn items_and_pages_run_in_the_span_of_who_polls() {
    async fn all_of_them() -> Vec<bool> {
        let source = || futures::stream::iter(0..3);
        let mut seen: Vec<bool> = source().par_map(2, async |_| spanned().await).collect().await;
        let tried = source().map(Ok::<_, ()>).try_par_map(2, async |_| Ok::<_, ()>(spanned().await));
        seen.extend(tried.ordered().try_collect::<Vec<_>>().await.unwrap());
        let pages =
            paginate(2, async |n: u8| Ok::<_, std::io::Error>((vec![spanned().await], n.checked_sub(1))));
        seen.extend(pages.prefetch(2).try_collect::<Vec<_>>().await.unwrap());
        seen
    }
    tracing::subscriber::with_default(OneSpan::default(), || {
        World::run(async |_| {
            assert_eq!(all_of_them().await, [false; 9]);
            assert_eq!(all_of_them().instrument(tracing::info_span!("caller")).await, [true; 9]);
        });
    });
}

/// Items that start while the consumer is busy, and the source that a worker waits for, are in its span as well.
#[test]
fn items_that_start_while_the_consumer_is_busy_run_in_its_span() {
    async fn all_of_them() -> Vec<bool> {
        let source = crate::support::slow((0..3).map(|n| (10, n))).map(|_| is_within());
        let mut map = source.par_map(4, async |before| before && spanned().await);
        assert!(futures::FutureExt::now_or_never(map.next()).is_none());
        tokio::time::sleep(crate::support::ms(100)).await;
        map.collect().await
    }
    tracing::subscriber::with_default(OneSpan::default(), || {
        World::run(async |_| {
            assert_eq!(all_of_them().await, [false; 3]);
            assert_eq!(all_of_them().instrument(tracing::info_span!("caller")).await, [true; 3]);
        });
    });
}
