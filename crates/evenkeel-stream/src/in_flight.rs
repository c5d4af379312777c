//! The items in flight: a task for each of them, bounded, owned, aborted on drop.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::panic::resume_unwind;
use std::task::{Context, Poll};

use evenkeel_task::{Panic, catch_panic};
use tokio::task::{Id, JoinError, JoinSet};

use crate::ItemError;

pub(crate) type Outcome<T, E> = Result<T, ItemError<E>>;

pub(crate) struct Window<T, E> {
    limit: usize,
    ordered: bool,
    settled: bool,
    tasks: JoinSet<(u64, Outcome<T, E>)>,
    /// Ordered: a place for each item in the window, in the order of the input. Unordered: the items that have
    /// finished, in that order.
    done: VecDeque<Place<T, E>>,
    admitted: u64,
    /// What ends the stream, as soon as no task is left.
    failure: Option<ItemError<E>>,
}

/// The place of an item.
enum Place<T, E> {
    /// In flight, as this task.
    Running(Id),
    Done(Outcome<T, E>),
}

impl<T, E> Window<T, E> {
    #[track_caller]
    pub(crate) fn new(limit: usize) -> Self {
        assert!(limit > 0, "the number of items in flight must not be zero");
        Self {
            limit,
            ordered: false,
            settled: false,
            tasks: JoinSet::new(),
            done: VecDeque::new(),
            admitted: 0,
            failure: None,
        }
    }

    #[track_caller]
    pub(crate) fn ordered(self) -> Self {
        assert!(self.admitted == 0, "the order must be chosen before the stream is polled");
        Self { ordered: true, ..self }
    }

    pub(crate) fn settled(self) -> Self {
        Self { settled: true, ..self }
    }

    /// How many items the window holds: in flight, or finished and not yet emitted.
    pub(crate) fn len(&self) -> usize {
        if self.ordered { self.done.len() } else { self.tasks.len() + self.done.len() }
    }

    /// How many items were admitted from the beginning.
    pub(crate) fn admitted(&self) -> u64 {
        self.admitted
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.failure.is_none() && self.len() < self.limit
    }

    pub(crate) fn take_done(&mut self) -> Option<Outcome<T, E>> {
        match self.done.pop_front()? {
            Place::Done(outcome) => Some(outcome),
            running => {
                self.done.push_front(running);
                None
            }
        }
    }

    pub(crate) fn take_failure(&mut self) -> Option<ItemError<E>> {
        let failure = if self.tasks.is_empty() { self.failure.take() } else { None };
        if failure.is_some() {
            self.done.clear();
        }
        failure
    }
}

impl<T: 'static, E: 'static> Window<T, E> {
    /// Admits an item and starts its task on the current runtime.
    pub(crate) fn admit(&mut self, work: impl Future<Output = Result<T, E>> + Send + 'static)
    where
        T: Send,
        E: Send,
    {
        let index = self.admitted;
        let task = async move {
            let outcome = match catch_panic(work).await {
                Ok(result) => result.map_err(ItemError::Error),
                Err(panic) => Err(ItemError::Panic(panic)),
            };
            (index, outcome)
        };
        let task = self.tasks.spawn(in_current_span(task));
        self.admitted += 1;
        if self.ordered {
            self.done.push_back(Place::Running(task.id()));
        }
    }

    /// Admits an item that has failed already: an error of the source.
    pub(crate) fn admit_error(&mut self, error: E) {
        self.admitted += 1;
        match Err(ItemError::Error(error)) {
            Err(failed) if !self.settled => self.fail(failed),
            outcome => self.done.push_back(Place::Done(outcome)),
        }
    }

    fn finish(&mut self, index: u64, outcome: Outcome<T, E>) {
        match outcome {
            Err(failed) if !self.settled => self.fail(failed),
            outcome if self.ordered => {
                let behind = usize::try_from(self.admitted - index).expect("the item is in the window");
                let place = self.done.len() - behind;
                self.done[place] = Place::Done(outcome);
            }
            outcome => self.done.push_back(Place::Done(outcome)),
        }
    }

    /// The first error ends the stream; a panic must not vanish behind it.
    fn fail(&mut self, failed: ItemError<E>) {
        match (&self.failure, &failed) {
            (None, _) => self.tasks.abort_all(),
            (Some(ItemError::Error(_)), ItemError::Panic(_)) => {}
            (Some(_), _) => return,
        }
        self.failure = Some(failed);
    }

    pub(crate) fn collect(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            match joined {
                Ok((index, outcome)) => self.finish(index, outcome),
                Err(error) => self.join_failed(error),
            }
        }
    }

    /// A task that did not end by itself: aborted after a failure, or dropped with its runtime.
    fn join_failed(&mut self, error: JoinError) {
        let id = error.id();
        match Panic::try_from(error) {
            // The destructor of an item that was aborted.
            Ok(panic) => self.fail(ItemError::Panic(panic)),
            Err(_) if self.failure.is_some() => {}
            Err(_) => self.cut(id),
        }
    }

    fn cut(&mut self, id: Id) {
        let failed = ItemError::Panic(runtime_shutdown());
        if !self.settled {
            return self.fail(failed);
        }
        let is_it = |place: &&mut Place<T, E>| matches!(place, Place::Running(running) if *running == id);
        let done = Place::Done(Err(failed));
        match self.done.iter_mut().find(is_it) {
            Some(place) => *place = done,
            None => self.done.push_back(done),
        }
    }
}

fn runtime_shutdown() -> Panic {
    const SAYS: &str = "the runtime of the item was shut down before the item ended";
    Panic::catch(|| -> Infallible { resume_unwind(Box::new(SAYS)) }).expect_err("it panics")
}

#[cfg(feature = "tracing")]
pub(crate) fn in_current_span<F: Future>(task: F) -> impl Future<Output = F::Output> {
    tracing::Instrument::in_current_span(task)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn in_current_span<F: Future>(task: F) -> F {
    task
}

impl<T, E> fmt::Debug for Window<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("limit", &self.limit)
            .field("ordered", &self.ordered)
            .field("in_flight", &self.tasks.len())
            .field("held", &self.len())
            .finish_non_exhaustive()
    }
}
