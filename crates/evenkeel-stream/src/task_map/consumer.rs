//! The consumer's side of a map: it takes results, makes room, and fills it from the source.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use evenkeel_base::FirstPanic;
use evenkeel_task::Panic;
use futures_core::Stream;
use tokio::{
    runtime::Handle,
    task::{self, coop::poll_proceed},
};

use super::{
    keys::KeyIndex,
    pull::{Stopped, drop_source, pull},
    results::Results,
    shared::Shared,
    source::Source,
    state::{Closed, ItemResult, Parked},
    worker::perform,
    workers::Call,
};
use crate::{ItemError, edges::CallPlace, span::Span};

/// The number of results that count as one step of a task, after 128 of which tokio lets other tasks run.
const RESULTS_OF_A_UNIT: u64 = 8;

/// A map, without the types of its function.
pub(crate) trait Engine<I, T, E> {
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>>;
    fn set_ordered(&mut self);
    fn set_settled(&mut self);
    #[cfg(feature = "inspect")]
    fn unlist(&mut self);
    fn set_keys(&mut self, keys: Box<dyn KeyIndex<I> + Send>);
    fn has_begun(&self) -> bool;
    fn size_hint(&self) -> (usize, Option<usize>);
    fn fmt(&self, f: &mut fmt::DebugStruct<'_, '_>);
}

pub(super) struct ConsumerSide<S: Stream, V, T, E, F> {
    shared: Arc<Shared<S, V, T, E>>,
    /// The source, unless it was pending: then a worker has it.
    source: Option<Box<Source<S, V, E>>>,
    work: F,
    /// Results that are due.
    due: VecDeque<ItemResult<T, E>>,
    /// The number of results that were handed over, ever.
    handed: u64,
    has_begun: bool,
    /// Whether no item starts any more.
    is_closed: bool,
    is_over: bool,
    #[cfg(feature = "inspect")]
    registration: Option<evenkeel_inspect::Registration>,
}

impl<S: Stream, V, T, E, F> ConsumerSide<S, V, T, E, F> {
    pub(super) fn new(
        source: S,
        limit: usize,
        split: fn(S::Item) -> Result<V, E>,
        work: F,
        call: CallPlace,
    ) -> Self {
        Self {
            shared: Arc::new(Shared::new(limit, call)),
            #[cfg(feature = "inspect")]
            registration: None,
            source: Some(Box::new(Source::new(source, split, limit))),
            work,
            due: VecDeque::new(),
            handed: 0,
            has_begun: false,
            is_closed: false,
            is_over: false,
        }
    }

    /// Aborts all workers, and drops all that has not begun. A panic of a destructor fails the map.
    fn close(&mut self) {
        self.is_closed = true;
        let Closed { workers, source, jobs } = self.shared.with(|state| state.close());
        workers.iter().for_each(|worker| worker.abort());
        drop_source(&self.shared, self.source.take());
        if let Parked::Full(source) | Parked::Pending(source) = source {
            drop_source(&self.shared, Some(source));
        }
        if let Err(panic) = Panic::catch(|| drop(jobs)) {
            drop(self.shared.with(|state| state.fail(ItemError::Panic(panic))));
        }
    }
}

/// The outcome of a look at the state when no result is due.
enum Look<E> {
    Due,
    Failing,
    Failed(ItemError<E>),
    Over(Option<Panic>),
    /// The consumer waits; its waker is stored. The waker before is dropped without the lock.
    Waits(Call, Option<Waker>),
}

impl<S, V, T, E, F, Fut> ConsumerSide<S, V, T, E, F>
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    /// Puts the map into the registry of evenkeel-inspect.
    #[cfg(feature = "inspect")]
    pub(super) fn register(&mut self) {
        self.registration = Some(evenkeel_inspect::register(Arc::downgrade(&self.shared)));
    }

    /// Fills the map from the source; a source that is pending is left to a worker.
    fn pull(&mut self, cx: &mut Context<'_>) {
        let Some(source) = &mut self.source else { return };
        source.span = Span::current();
        match pull(&self.shared, source, |call| perform(&self.shared, &self.work, call), cx) {
            Stopped::NoRoom => {}
            Stopped::Over => drop_source(&self.shared, self.source.take()),
            Stopped::Pending => {
                if let Some(source) = self.source.take() {
                    let hint = source.size_hint();
                    let call = self.shared.with(|state| state.park_pending(source, hint));
                    perform(&self.shared, &self.work, call);
                }
            }
        }
    }

    /// Makes room for one item, and fills it before the consumer goes to work.
    fn make_room(&mut self, cx: &mut Context<'_>) {
        match &mut self.source {
            Some(source) => source.room += 1,
            None if self.is_closed => {}
            None => {
                self.source = self.shared.with(|state| state.make_room(|source, room| source.room = room))
            }
        }
        self.pull(cx);
    }

    fn poll_next_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>> {
        self.has_begun = true;
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            if self.shared.has_failed() && !self.is_closed {
                self.close();
            }
            if let Some(result) = self.due.pop_front() {
                self.handed += 1;
                self.make_room(cx);
                return Poll::Ready(Some(result));
            }
            self.pull(cx);
            match self.look(cx.waker().clone()) {
                Look::Due | Look::Failing => {}
                Look::Failed(failure) => {
                    self.is_over = true;
                    // Results that would have been due after the failure.
                    let results = self.shared.with(|state| state.results.take_all());
                    drop(Panic::catch(|| results.for_each(drop)));
                    return Poll::Ready(Some(Err(failure)));
                }
                Look::Over(panic) => {
                    self.is_over = true;
                    self.close();
                    if let Some(panic) = panic {
                        panic.resume();
                    }
                }
                Look::Waits(call, _before) => {
                    if matches!(call, Call::Spawn(_)) && Handle::try_current().is_err() {
                        perform(&self.shared, &self.work, call);
                        panic!("a parallel map must be polled within a tokio runtime");
                    }
                    perform(&self.shared, &self.work, call);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Has the next worker wake the consumer. Tokio keeps a task without budget to its thread until that has nothing else to
    /// run, or has run dozens of tasks; an item that blocks the thread would keep it as long.
    fn wait_for_budget(&self, waker: Waker) {
        if task::try_id().is_some() {
            let _before = self.shared.with(|state| state.wait(waker, true));
            self.shared.set_without_budget(true);
        }
    }

    fn look(&mut self, waker: Waker) -> Look<E> {
        // Taken only where it is stored: the closure would drop it under the lock.
        let mut waker = Some(waker);
        let is_task = task::try_id().is_some();
        self.shared.with(|state| {
            state.results.take_into(&mut self.due);
            if !self.due.is_empty() {
                return Look::Due;
            }
            if state.has_failed() {
                if !self.is_closed {
                    return Look::Failing;
                }
                if let Some(failure) = state.take_failure() {
                    return Look::Failed(failure);
                }
            } else if state.ended && state.started == self.handed {
                return Look::Over(state.source_panic.take());
            }
            let before = waker.take().and_then(|waker| state.wait(waker, is_task));
            Look::Waits(state.call(), before)
        })
    }
}

impl<S, V, T, E, F, Fut> Engine<S::Item, T, E> for ConsumerSide<S, V, T, E, F>
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>> {
        if !self.handed.is_multiple_of(RESULTS_OF_A_UNIT) {
            return self.poll_next_result(cx);
        }
        // A map that always has a result would keep its task for ever.
        let Poll::Ready(coop) = poll_proceed(cx) else {
            self.wait_for_budget(cx.waker().clone());
            return Poll::Pending;
        };
        if self.shared.is_without_budget() {
            self.shared.set_without_budget(false);
        }
        let polled = self.poll_next_result(cx);
        if polled.is_ready() {
            coop.made_progress();
        }
        polled
    }

    fn set_ordered(&mut self) {
        self.shared.with(|state| state.results = Results::ordered());
    }

    fn set_settled(&mut self) {
        self.shared.with(|state| state.settled = true);
    }

    #[cfg(feature = "inspect")]
    fn unlist(&mut self) {
        self.registration = None;
    }

    fn set_keys(&mut self, keys: Box<dyn KeyIndex<S::Item> + Send>) {
        if let Some(source) = &mut self.source {
            source.keys = Some(keys);
        }
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.is_over {
            return (0, Some(0));
        }
        let hint = self.source.as_ref().map(|source| source.size_hint());
        let (has_failed, started, parked) =
            self.shared.with(|state| (state.has_failed(), state.started, state.hint));
        let held = usize::try_from(started - self.handed).unwrap_or(usize::MAX);
        if has_failed {
            return (0, Some(held.saturating_add(1)));
        }
        let (lower, upper) = hint.unwrap_or(parked);
        (lower.saturating_add(held), upper.and_then(|upper| upper.checked_add(held)))
    }

    fn fmt(&self, f: &mut fmt::DebugStruct<'_, '_>) {
        let (started, workers) = self.shared.with(|state| (state.started, state.workers.alive()));
        f.field("held", &(started - self.handed)).field("workers", &workers);
    }
}

/// Aborts the workers first: a destructor that panics leaves none of them behind.
impl<S: Stream, V, T, E, F> Drop for ConsumerSide<S, V, T, E, F> {
    fn drop(&mut self) {
        let (closed, results, waker) = self.shared.with(|state| {
            let (closed, results) = state.abandon();
            (closed, results, state.take_consumer())
        });
        closed.workers.iter().for_each(|worker| worker.abort());
        let mut panics = FirstPanic::default();
        panics.drop_each(self.due.drain(..).chain(results));
        panics.drop_each(closed.jobs);
        panics.drop_each([self.source.take()]);
        panics.drop_each([closed.source]);
        panics.drop_each(waker);
        panics.resume();
    }
}
