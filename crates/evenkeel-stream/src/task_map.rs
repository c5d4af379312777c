//! The part that all parallel maps share: workers that take the next item when theirs has ended.
//!
//! # How it works
//!
//! A map has its consumer, which polls the stream, and at most as many workers as its limit. Items and results pass through
//! one state behind a lock. The source is polled by whoever can: the consumer takes an item for each result that it
//! takes; while the source is pending, a worker without an item waits for it, so that the map fills up while the
//! consumer is busy.
//!
//! | file | contents |
//! |---|---|
//! | `consumer` | the side of the consumer |
//! | `worker` | the task that runs items; calling one |
//! | `pull`, `source` | taking items from the source; the source, on its way from one to the other |
//! | `state`, `shared`, `step` | every step, behind the lock; the lock; an item, and the next step of a worker |
//! | `workers` | the workers that are parked, and how many are on their way |
//! | `inspect` | the map in the dumps of evenkeel-inspect |
//! | `results`, `keys` | the order of the results; the order within a key |
//! | `erased` | with debug assertions: the types of the source and of the function, taken from them |

use std::{
    fmt,
    marker::PhantomData,
    task::{Context, Poll},
};

use futures_core::Stream;

mod consumer;
#[cfg(debug_assertions)]
mod erased;
#[cfg(feature = "inspect")]
mod inspect;
mod keys;
#[cfg(test)]
mod loom_tests;
mod pull;
mod results;
mod shared;
mod source;
mod state;
mod step;
mod worker;
mod workers;

use self::consumer::{ConsumerSide, Engine};
pub(crate) use self::{
    keys::{KeyIndex, Keys},
    state::ItemResult,
};
use crate::edges::CallPlace;

/// Runs a function over the items of a source.
///
/// The types of the function, of its errors and of its futures stay in the box. Bounds like `E2: From<E>` or `T: 'static` on a
/// stream fail in spawned tasks, as "not general enough", if a type has a lifetime in it; a
/// `Box<dyn Error + Send + Sync>` has one.
pub(crate) struct TaskMap<S: Stream, T, E> {
    engine: Box<dyn Engine<S::Item, T, E> + Send>,
    source: PhantomData<fn() -> S>,
}

impl<S: Stream, T, E> TaskMap<S, T, E> {
    /// `split` tells items from those that have failed already. `work` calls no foreign code before its future is polled,
    /// so that a panic of it is one of the item.
    #[track_caller]
    pub(crate) fn new<V, F, Fut>(source: S, limit: usize, split: fn(S::Item) -> Result<V, E>, work: F) -> Self
    where
        S: Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(V) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        assert!(limit > 0, "the number of items in flight must not be zero");
        #[cfg(debug_assertions)]
        let (source, work) = (Box::pin(source) as erased::AnySource<S::Item>, erased::any_work(work));
        let engine = ConsumerSide::new(source, limit, split, work, CallPlace::here());
        #[cfg(feature = "inspect")]
        let engine = {
            let mut engine = engine;
            engine.register();
            engine
        };
        Self { engine: Box::new(engine), source: PhantomData }
    }

    pub(crate) fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>> {
        self.engine.poll_result(cx)
    }

    #[track_caller]
    pub(crate) fn ordered(mut self) -> Self {
        assert!(!self.engine.has_begun(), "the order must be chosen before the stream is polled");
        self.engine.set_ordered();
        self
    }

    /// Keeps the map out of dumps.
    #[cfg(feature = "inspect")]
    pub(crate) fn unlisted(mut self) -> Self {
        self.engine.unlist();
        self
    }

    pub(crate) fn settled(mut self) -> Self {
        self.engine.set_settled();
        self
    }

    #[track_caller]
    pub(crate) fn keyed(mut self, keys: impl KeyIndex<S::Item> + Send + 'static) -> Self {
        assert!(!self.engine.has_begun(), "the keys must be chosen before the stream is polled");
        self.engine.set_keys(Box::new(keys));
        self
    }

    /// Returns the bounds as long as nothing fails; after a failure there is no lower one.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        self.engine.size_hint()
    }

    pub(crate) fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct(name);
        self.engine.fmt(&mut f);
        f.finish_non_exhaustive()
    }
}
