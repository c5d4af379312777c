//! The items in flight: a task for each of them, bounded, owned, aborted on drop.
//!
//! # How it works
//!
//! A [`JoinSet`] owns the tasks. Each task returns the number of its item and the result, panics included. Results wait
//! in `done` until the consumer takes them, and count against the limit until then. In an ordered map `done` has an entry
//! for each item from its start on, so the entry of item `n` is found from the end by the number of items that were
//! started since. In an unordered map `done` has only results, in the order of completion.
//!
//! - **The first error wins, unless a panic follows**: an error aborts all tasks; a panic that comes while they end
//!   replaces the error, as no panic may vanish.
//! - **A task that its runtime drops** says nothing but its id. In a settled map the entry is found by that.
//! - **An error of the source** takes no task, but the place of an item.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    panic::resume_unwind,
    task::{Context, Poll},
};

use evenkeel_task::{Panic, catch_panic};
use tokio::task::{Id, JoinError, JoinSet};

use crate::ItemError;

pub(crate) type ItemResult<T, E> = Result<T, ItemError<E>>;

pub(crate) struct InFlight<T, E> {
    limit: usize,
    ordered: bool,
    settled: bool,
    tasks: JoinSet<(u64, ItemResult<T, E>)>,
    /// Ordered: each item that was started and not taken, in the order of the input. Unordered: each item that has
    /// finished, in the order of completion.
    done: VecDeque<Entry<T, E>>,
    /// The number of items that were started, ever.
    started: u64,
    /// The error or panic that ends the stream as soon as no task is left.
    failure: Option<ItemError<E>>,
}

enum Entry<T, E> {
    /// In flight, as this task.
    Running(Id),
    Done(ItemResult<T, E>),
}

impl<T, E> InFlight<T, E> {
    #[track_caller]
    pub(crate) fn new(limit: usize) -> Self {
        assert!(limit > 0, "the number of items in flight must not be zero");
        Self {
            limit,
            ordered: false,
            settled: false,
            tasks: JoinSet::new(),
            done: VecDeque::new(),
            started: 0,
            failure: None,
        }
    }

    #[track_caller]
    pub(crate) fn ordered(self) -> Self {
        assert!(self.started == 0, "the order must be chosen before the stream is polled");
        Self { ordered: true, ..self }
    }

    pub(crate) fn settled(self) -> Self {
        Self { settled: true, ..self }
    }

    /// Returns the number of items that were started and not taken.
    pub(crate) fn len(&self) -> usize {
        if self.ordered { self.done.len() } else { self.tasks.len() + self.done.len() }
    }

    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.failure.is_none() && self.len() < self.limit
    }

    pub(crate) fn take_done(&mut self) -> Option<ItemResult<T, E>> {
        match self.done.pop_front()? {
            Entry::Done(result) => Some(result),
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

impl<T: 'static, E: 'static> InFlight<T, E> {
    /// Starts an item as a task on the current runtime.
    pub(crate) fn start(&mut self, work: impl Future<Output = Result<T, E>> + Send + 'static)
    where
        T: Send,
        E: Send,
    {
        let number = self.started;
        let task = async move {
            let result = match catch_panic(work).await {
                Ok(result) => result.map_err(ItemError::Error),
                Err(panic) => Err(ItemError::Panic(panic)),
            };
            (number, result)
        };
        #[cfg(feature = "tracing")]
        let task = tracing::Instrument::in_current_span(task);
        let task = self.tasks.spawn(task);
        self.started += 1;
        if self.ordered {
            self.done.push_back(Entry::Running(task.id()));
        }
    }

    /// Adds an item that has failed already: an error of the source.
    pub(crate) fn add_error(&mut self, error: E) {
        self.started += 1;
        match Err(ItemError::Error(error)) {
            Err(failed) if !self.settled => self.fail(failed),
            result => self.done.push_back(Entry::Done(result)),
        }
    }

    fn finish(&mut self, number: u64, result: ItemResult<T, E>) {
        match result {
            Err(failed) if !self.settled => self.fail(failed),
            result if self.ordered => {
                // Entries leave at the front only, so the distance from the end stays right.
                let from_end = usize::try_from(self.started - number).expect("the item is in flight");
                let index = self.done.len() - from_end;
                self.done[index] = Entry::Done(result);
            }
            result => self.done.push_back(Entry::Done(result)),
        }
    }

    /// Ends the stream with the first error; a panic must not vanish behind it.
    fn fail(&mut self, failed: ItemError<E>) {
        match (&self.failure, &failed) {
            (None, _) => self.tasks.abort_all(),
            (Some(ItemError::Error(_)), ItemError::Panic(_)) => {}
            (Some(_), _) => return,
        }
        self.failure = Some(failed);
    }

    /// Takes the results of all tasks that have ended, and registers the waker with the others.
    pub(crate) fn poll_tasks(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            match joined {
                Ok((number, result)) => self.finish(number, result),
                Err(error) => self.join_failed(error),
            }
        }
    }

    /// Handles a task that did not end by itself: it was aborted after a failure, or dropped with its runtime.
    fn join_failed(&mut self, error: JoinError) {
        let id = error.id();
        match Panic::try_from(error) {
            // A destructor of an item that was aborted.
            Ok(panic) => self.fail(ItemError::Panic(panic)),
            Err(_) if self.failure.is_some() => {}
            Err(_) => self.runtime_ended(id),
        }
    }

    fn runtime_ended(&mut self, id: Id) {
        let failed = ItemError::Panic(runtime_shutdown());
        if !self.settled {
            return self.fail(failed);
        }
        let is_it = |entry: &&mut Entry<T, E>| matches!(entry, Entry::Running(running) if *running == id);
        let done = Entry::Done(Err(failed));
        match self.done.iter_mut().find(is_it) {
            Some(entry) => *entry = done,
            None => self.done.push_back(done),
        }
    }
}

fn runtime_shutdown() -> Panic {
    const MESSAGE: &str = "the runtime of the item was shut down before the item ended";
    Panic::catch(|| -> Infallible { resume_unwind(Box::new(MESSAGE)) }).expect_err("it panics")
}

impl<T, E> fmt::Debug for InFlight<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("limit", &self.limit)
            .field("ordered", &self.ordered)
            .field("running", &self.tasks.len())
            .field("held", &self.len())
            .finish_non_exhaustive()
    }
}
