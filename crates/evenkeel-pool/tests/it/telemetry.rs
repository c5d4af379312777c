//! Creations and checks run in the span of the caller that began them.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use tracing::{
    Event, Instrument, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;

use evenkeel_pool::{BoxError, Manager, Pool};
use evenkeel_testkit::World;
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

struct Spanned;

impl Manager for Spanned {
    type Object = bool;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<bool, Self::Error> {
        let before = is_within();
        yield_now().await;
        Ok(before && is_within())
    }

    async fn check(&self, object: &mut bool) -> Result<(), BoxError> {
        *object = is_within();
        yield_now().await;
        *object &= is_within();
        Ok(())
    }
}

#[test]
fn objects_are_created_and_checked_in_the_span_of_who_asked() {
    tracing::subscriber::with_default(OneSpan::default(), || {
        World::run(async |_| {
            let pool = Pool::builder(Spanned).max(1).build().unwrap();
            assert!(!*pool.get().await.unwrap(), "there is none");
            let asks = async {
                for step in ["the check", "the check again", "the creation"] {
                    let lease = pool.get().await.unwrap();
                    assert!(*lease, "{step}");
                    if step == "the check again" {
                        evenkeel_pool::Lease::discard(lease);
                    }
                }
            };
            asks.instrument(tracing::info_span!("caller")).await;
        });
    });
}
