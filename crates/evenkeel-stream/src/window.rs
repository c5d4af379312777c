//! The items in flight: a task for each of them, bounded, owned, aborted on drop.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use evenkeel_task::{Panic, catch_panic};
use tokio::task::{JoinError, JoinSet};

use crate::ItemError;

pub(crate) type Outcome<T, E> = Result<T, ItemError<E>>;

pub(crate) struct Window<T, E> {
    limit: usize,
    ordered: bool,
    settled: bool,
    tasks: JoinSet<(u64, Outcome<T, E>)>,
    /// Ordered: a place for each item in the window, in the order of the input, empty until the item has finished.
    /// Unordered: the items that have finished, in that order.
    done: VecDeque<Option<Outcome<T, E>>>,
    admitted: u64,
    /// What ends the stream, as soon as no task is left.
    failure: Option<ItemError<E>>,
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

    fn place(&mut self) -> u64 {
        if self.ordered {
            self.done.push_back(None);
        }
        self.admitted += 1;
        self.admitted - 1
    }

    pub(crate) fn take_done(&mut self) -> Option<Outcome<T, E>> {
        match self.done.front() {
            Some(Some(_)) => self.done.pop_front().flatten(),
            _ => None,
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
        let index = self.place();
        self.tasks.spawn(async move {
            let outcome = match catch_panic(work).await {
                Ok(result) => result.map_err(ItemError::Error),
                Err(panic) => Err(ItemError::Panic(panic)),
            };
            (index, outcome)
        });
    }

    /// Admits an item that has failed already: an error of the source.
    pub(crate) fn admit_error(&mut self, error: E) {
        let index = self.place();
        self.finish(index, Err(ItemError::Error(error)));
    }

    fn finish(&mut self, index: u64, outcome: Outcome<T, E>) {
        match outcome {
            Err(failed) if !self.settled => self.fail(failed),
            outcome if self.ordered => {
                let behind = usize::try_from(self.admitted - index).expect("the item is in the window");
                let place = self.done.len() - behind;
                self.done[place] = Some(outcome);
            }
            outcome => self.done.push_back(Some(outcome)),
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

    /// A task that did not end by itself: aborted after a failure, or with its runtime.
    fn join_failed(&mut self, error: JoinError) {
        match Panic::try_from(error) {
            // The destructor of an item that was aborted.
            Ok(panic) => self.fail(ItemError::Panic(panic)),
            Err(_) => assert!(self.failure.is_some(), "the runtime of the items was shut down"),
        }
    }
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
