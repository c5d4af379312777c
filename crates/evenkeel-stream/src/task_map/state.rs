//! The data of a map behind its lock: every step from an item to its result.
//!
//! # How it works
//!
//! Items wait in `queue` for a worker, results in `results` for the consumer. A worker reports its result and takes the
//! next item in one step. Nothing foreign runs here: wakers, handles and values of users that a step takes out are
//! called or dropped by its caller when the lock is gone.
//!
//! - **An item in the queue has a worker on its way**, unless all are busy. A worker that arrives takes one item, and calls
//!   the next worker if there is more: [`WorkerSet::call`].
//! - **A consumer that waits is woken once for several results.** Until there are [`BATCH`] of them, a worker leaves the wake
//!   to the workers on their way, if each thread has one. Else it comes back first, behind the other tasks of its
//!   thread, and wakes the consumer then. On a runtime with several threads it yields after the wake if there are more
//!   items, as the consumer is next on its thread, and an item may block that. A consumer that is no task, but has a
//!   thread of its own, is woken at once: every other thread may be blocked by items.
//! - **Items too short to be shared are left to one worker.** Threads that take turns at the lock for such items are slower than
//!   one of them alone. So a worker that has yielded, and sees that [steps](State::steps) of others took less than [`SHORT`]
//!   each, stands by: it yields on and looks again, and takes an item as soon as they take longer, as an item that blocks
//!   its thread does. One worker stands by and calls the others then; the rest park.
//! - **After a failure no item starts.** The consumer sees it, and [closes](State::close) the map.

use std::{collections::VecDeque, mem, task::Waker, time::Duration};

use evenkeel_task::Panic;
use tokio::task::AbortHandle;

use super::{
    keys::KeyQueues,
    results::Results,
    step::{Next, PulledItem, Seen, Step, Ticket},
    workers::{Call, WorkerSet},
};
use crate::{
    ItemError,
    edges::{SourceWait, WaitRecord},
    span::Span,
};

/// The number of results for which a consumer that waits is woken at once.
const BATCH: usize = 32;

/// The time of a step below which a second thread costs more than it does: some turns of the lock between processors.
const SHORT: Duration = Duration::from_nanos(200);

pub(crate) type ItemResult<T, E> = Result<T, ItemError<E>>;

/// An item of the queue that has failed, and what is left of its failure: to be dropped without the lock.
pub(super) type Rejected<V, T, E> = (PulledItem<V>, Option<ItemResult<T, E>>);

/// The source, while neither the consumer nor a worker has it.
#[derive(Debug)]
pub(super) enum Parked<S> {
    /// Somebody has it, or it has ended.
    None,
    /// There is no room: the consumer takes it when it makes some.
    Full(S),
    /// It was pending: a worker takes it and waits for it.
    Pending(S),
}

pub(super) struct State<S, V, T, E> {
    queue: VecDeque<PulledItem<V>>,
    pub(super) keys: KeyQueues<PulledItem<V>>,
    pub(super) workers: WorkerSet,
    pub(super) results: Results<ItemResult<T, E>>,
    pub(super) settled: bool,
    pub(super) parked: Parked<S>,
    /// The room that the consumer made while a worker has the source.
    pub(super) freed: usize,
    /// The size hint of the source when the consumer has not got it.
    pub(super) hint: (usize, Option<usize>),
    /// The number of items that were taken from the source, ever.
    pub(super) started: u64,
    /// The number of items that have ended.
    pub(super) finished: u64,
    /// Whether the source has ended.
    pub(super) ended: bool,
    pub(super) consumer: Option<Waker>,
    /// Whether the consumer waits in a task, and so needs a thread that may run a worker meanwhile.
    is_consumer_task: bool,
    /// The panic of the source of a settled map, for the end of the stream.
    pub(super) source_panic: Option<Panic>,
    /// The error or panic that ends the stream as soon as no worker is left.
    failure: Option<ItemError<E>>,
    closed: bool,
    /// Whether the consumer is gone: results are for nobody.
    abandoned: bool,
    /// For dumps: the wait of the consumer, and that of the worker that has the source.
    pub(super) consumer_wait: WaitRecord,
    pub(super) source_wait: SourceWait,
}

impl<S, V, T, E> State<S, V, T, E> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            keys: KeyQueues::new(),
            workers: WorkerSet::new(limit),
            results: Results::unordered(),
            settled: false,
            parked: Parked::None,
            freed: 0,
            hint: (0, None),
            started: 0,
            finished: 0,
            ended: false,
            consumer: None,
            is_consumer_task: false,
            source_panic: None,
            failure: None,
            closed: false,
            abandoned: false,
            consumer_wait: WaitRecord::none(),
            source_wait: SourceWait::none(),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    fn is_stopped(&self) -> bool {
        self.closed || self.failure.is_some()
    }

    /// Adds an item of the source; returns it if none may start any more.
    pub(super) fn push(&mut self, value: V, key: Option<usize>, span: Span) -> (Call, Option<PulledItem<V>>) {
        let ticket = Ticket { number: self.started, key };
        let job = PulledItem { ticket, value, span };
        if self.is_stopped() {
            return (Call::None, Some(job));
        }
        self.started += 1;
        self.hint.0 = self.hint.0.saturating_sub(1);
        match key {
            Some(key) => self.queue.extend(self.keys.enter(key, job)),
            None => self.queue.push_back(job),
        }
        (self.workers.call(self.work()), None)
    }

    /// Adds an item that has failed already: an error of the source. Returns what is left of it.
    pub(super) fn push_error(&mut self, error: E) -> Option<ItemResult<T, E>> {
        let ticket = Ticket { number: self.started, key: None };
        self.started += 1;
        self.hint.0 = self.hint.0.saturating_sub(1);
        self.finish(ticket, Err(ItemError::Error(error)))
    }

    /// Calls a worker if there is work that none is on its way to.
    pub(super) fn call(&mut self) -> Call {
        if self.is_stopped() { Call::None } else { self.workers.call(self.work()) }
    }

    /// Returns the number of workers that there is work for.
    fn work(&self) -> usize {
        self.queue.len() + usize::from(matches!(self.parked, Parked::Pending(_)))
    }

    /// Parks the source for a worker that waits for it.
    pub(super) fn park_pending(&mut self, source: S, hint: (usize, Option<usize>)) -> Call {
        self.parked = Parked::Pending(source);
        self.hint = hint;
        self.call()
    }

    /// Parks the source of a worker until there is room; returns it if the map is closed.
    pub(super) fn park_full(&mut self, source: S) -> Option<S> {
        if self.closed {
            return Some(source);
        }
        self.parked = Parked::Full(source);
        None
    }

    /// Parks the source of a worker that is dropped; returns it if the map is closed.
    pub(super) fn put_back(&mut self, source: S, hint: (usize, Option<usize>)) -> Option<S> {
        if self.closed {
            return Some(source);
        }
        (self.parked, self.hint) = (Parked::Pending(source), hint);
        None
    }

    /// Makes room for one item; returns the source if it waited for that.
    pub(super) fn make_room(&mut self, set_room: impl FnOnce(&mut S, usize)) -> Option<S> {
        if self.ended {
            return None;
        }
        self.freed += 1;
        match mem::replace(&mut self.parked, Parked::None) {
            Parked::Full(mut source) => {
                set_room(&mut source, mem::take(&mut self.freed));
                Some(source)
            }
            other => {
                self.parked = other;
                None
            }
        }
    }

    /// Stores the result of an item; returns what is left of it.
    #[inline]
    pub(super) fn finish(&mut self, ticket: Ticket, result: ItemResult<T, E>) -> Option<ItemResult<T, E>> {
        self.finished += 1;
        if let Some(next) = ticket.key.and_then(|key| self.keys.leave(key)) {
            self.queue.push_front(next);
        }
        match result {
            result if self.abandoned => Some(result),
            Err(failed) if !self.settled => self.fail(failed).map(Err),
            result => {
                self.results.add(ticket.number, result);
                None
            }
        }
    }

    /// Ends the stream with the first error; a panic must not vanish behind it. Returns the one that is not kept.
    pub(super) fn fail(&mut self, failed: ItemError<E>) -> Option<ItemError<E>> {
        match (&self.failure, &failed) {
            (None, _) | (Some(ItemError::Error(_)), ItemError::Panic(_)) => self.failure.replace(failed),
            (Some(_), _) => Some(failed),
        }
    }

    /// Notes that the source has ended or panicked. Returns the panic that is not kept.
    pub(super) fn source_over(&mut self, panic: Option<Panic>) -> Option<Panic> {
        self.ended = true;
        self.hint = (0, Some(0));
        match panic {
            Some(panic) if self.settled => match self.source_panic {
                None => self.source_panic.replace(panic),
                Some(_) => Some(panic),
            },
            Some(panic) => match self.fail(ItemError::Panic(panic)) {
                Some(ItemError::Panic(panic)) => Some(panic),
                // An error that the panic has replaced.
                _ => None,
            },
            None => None,
        }
    }

    /// Decides the next step of a worker that has none; a worker that parks leaves its waker.
    ///
    /// `may_go_on` says that it may run another item in this poll, `came_back` that it had yielded before it, and `seen`
    /// what it had seen then; `away` returns how long ago that was.
    #[inline]
    pub(super) fn step(
        &mut self,
        key: usize,
        waker: &mut Option<Waker>,
        may_go_on: bool,
        came_back: bool,
        seen: Option<Seen>,
        away: impl FnOnce() -> Duration,
    ) -> Next<S, V> {
        if self.is_stopped() {
            return Next { step: Step::End, call: Call::None, consumer: self.consumer.take() };
        }
        if let Some(seen) = seen
            && let Some(step) = self.leave_to_others(key, waker, seen, away)
        {
            return Next { step, call: Call::None, consumer: None };
        }
        let is_awaited = self.is_awaited();
        let has_more = self.work() > 0;
        let may_wait = is_awaited && self.is_consumer_task && self.results.len() < BATCH;
        let leaves_wake = may_wait && self.workers.reach_all_threads() && (has_more || !came_back);
        let has_others = self.is_consumer_task && self.workers.threads() > 1;
        let comes_back = may_wait && !leaves_wake && !came_back && (has_more || !self.ended);
        let consumer = if is_awaited && !leaves_wake && !comes_back { self.consumer.take() } else { None };
        let step = if comes_back || (has_more && (!may_go_on || (consumer.is_some() && has_others))) {
            self.workers.yields();
            Step::Yield((self.workers.threads() > 1).then_some(Seen { steps: self.steps() }))
        } else if let Some(job) = self.queue.pop_front() {
            self.workers.takes_item(key);
            Step::Run(job)
        } else {
            match mem::replace(&mut self.parked, Parked::None) {
                Parked::Pending(source) => Step::Pull(source),
                other => {
                    self.parked = other;
                    if self.ended {
                        Step::End
                    } else {
                        self.workers.park(key, waker.take().expect("a worker has its waker here"));
                        Step::Park
                    }
                }
            }
        };
        Next { step, call: self.workers.call(self.work()), consumer }
    }

    /// Returns the number of items that began to wait for a worker or have ended, each counted twice in the end.
    fn steps(&self) -> u64 {
        self.started + self.finished
    }

    /// Returns the step of a worker that leaves short items to another one, if it does.
    fn leave_to_others(
        &mut self,
        key: usize,
        waker: &mut Option<Waker>,
        seen: Seen,
        away: impl FnOnce() -> Duration,
    ) -> Option<Step<S, V>> {
        let steps = u32::try_from(self.steps() - seen.steps).unwrap_or(u32::MAX);
        let may_leave = self.work() > 0 && self.workers.may_stand_by(key);
        if !may_leave || away() >= SHORT.saturating_mul(steps) {
            self.workers.stands_by_no_more(key);
            return None;
        }
        if self.workers.stands_by(key) {
            return Some(Step::StandBy(Seen { steps: self.steps() }));
        }
        self.workers.park(key, waker.take()?);
        Some(Step::Park)
    }

    /// Returns whether the consumer waits and there is something for it.
    fn is_awaited(&self) -> bool {
        self.consumer.is_some() && (self.results.has_next() || self.failure.is_some())
    }

    /// Returns the waker of the consumer, if it waits and there is something for it.
    pub(super) fn take_awaited(&mut self) -> Option<Waker> {
        if self.is_awaited() { self.consumer.take() } else { None }
    }

    /// Returns the waker of the consumer, if it waits.
    pub(super) fn take_consumer(&mut self) -> Option<Waker> {
        self.consumer.take()
    }

    /// Stores the waker of the consumer; returns the one before.
    pub(super) fn wait(&mut self, waker: Waker, is_task: bool) -> Option<Waker> {
        self.is_consumer_task = is_task;
        if self.consumer.is_none() {
            self.consumer_wait = WaitRecord::here();
        }
        self.consumer.replace(waker)
    }

    /// Fails one item of the queue, as no worker could be made for it. Returns the item, and what is left of the panic; or
    /// the panic, if there is no item.
    pub(super) fn reject(&mut self, panic: Panic) -> Result<Rejected<V, T, E>, Panic> {
        let Some(job) = self.queue.pop_front() else { return Err(panic) };
        let left = self.finish(job.ticket, Err(ItemError::Panic(panic)));
        Ok((job, left))
    }

    /// Ends the source that is pending, as no worker could be made to wait for it. Returns the source, and what is left of
    /// the panic.
    pub(super) fn reject_source(&mut self, panic: Panic) -> (Option<S>, Option<Panic>) {
        match mem::replace(&mut self.parked, Parked::None) {
            Parked::Pending(source) => (Some(source), self.source_over(Some(panic))),
            other => {
                self.parked = other;
                (None, Some(panic))
            }
        }
    }

    /// Returns whether items wait that no worker is left for.
    pub(super) fn is_stranded(&self) -> bool {
        !self.is_stopped() && self.workers.alive() == 0 && !self.queue.is_empty()
    }

    /// Returns whether there is no worker, though neither the map nor its source has ended.
    pub(super) fn is_deserted(&self) -> bool {
        !self.is_stopped() && !self.ended && self.workers.alive() == 0
    }

    /// Notes that an item was dropped, with a panic of its destructor or without. An item that was aborted has no result;
    /// for another one it is the panic `shutdown`. Returns what is left.
    pub(super) fn cut(
        &mut self,
        ticket: Ticket,
        panic: Option<Panic>,
        shutdown: Option<Panic>,
    ) -> Option<ItemResult<T, E>> {
        if self.closed {
            self.fail(ItemError::Panic(panic?)).map(Err)
        } else {
            self.finish(ticket, Err(ItemError::Panic(panic.or(shutdown)?)))
        }
    }

    /// Takes the failure, if no worker is left.
    pub(super) fn take_failure(&mut self) -> Option<ItemError<E>> {
        if self.workers.alive() == 0 { self.failure.take() } else { None }
    }

    /// Ends the map: no item starts any more. Returns the workers to abort, and all that waits, to be dropped.
    pub(super) fn close(&mut self) -> Closed<S, V> {
        self.closed = true;
        let source = mem::replace(&mut self.parked, Parked::None);
        let queue = mem::take(&mut self.queue);
        let jobs = queue.into_iter().chain(self.keys.take_all()).collect();
        Closed { workers: self.workers.take_handles(), source, jobs }
    }

    /// Closes the map of a consumer that is gone; returns its results, too.
    pub(super) fn abandon(
        &mut self,
    ) -> (Closed<S, V>, impl Iterator<Item = ItemResult<T, E>> + use<S, V, T, E>) {
        self.abandoned = true;
        (self.close(), self.results.take_all())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// All that waits in a map that is closed.
pub(super) struct Closed<S, V> {
    pub(super) workers: Vec<AbortHandle>,
    pub(super) source: Parked<S>,
    pub(super) jobs: Vec<PulledItem<V>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = State<(), u32, u32, ()>;

    /// A map on two threads, with this many items and workers, of which the first one has taken an item.
    fn map(items: u32, workers: usize) -> Numbers {
        let mut state = Numbers::new(workers);
        for item in 0..items {
            assert!(state.push(item, None, Span::current()).1.is_none());
        }
        while state.workers.alive() < workers {
            drop(state.workers.call_another());
        }
        state.workers.set_threads(2);
        (0..workers).for_each(|key| assert!(state.workers.arrive(key)));
        assert!(matches!(step(&mut state, 0, None, Duration::MAX), Step::Run(_)));
        state
    }

    fn step(state: &mut Numbers, key: usize, seen: Option<Seen>, away: Duration) -> Step<(), u32> {
        state.step(key, &mut Some(Waker::noop().clone()), true, seen.is_some(), seen, || away).step
    }

    fn finish_one(state: &mut Numbers) {
        assert!(state.finish(Ticket { number: 0, key: None }, Ok(0)).is_none());
    }

    #[test]
    fn short_items_are_left_to_one_worker() {
        let mut state = map(4, 3);
        let seen = Some(Seen { steps: state.steps() });
        finish_one(&mut state);
        let Step::StandBy(seen_later) = step(&mut state, 1, seen, SHORT / 2) else {
            panic!("it takes an item")
        };
        // One is enough.
        assert!(matches!(step(&mut state, 2, seen, SHORT / 2), Step::Park));
        assert!(matches!(state.call(), Call::None));
        // The active worker goes on.
        let Step::Run(item) = step(&mut state, 0, seen, SHORT / 2) else { panic!("it takes no item") };
        assert_eq!(item.value, 1);
        // Its item blocks the thread: the other worker takes the next one, and calls another.
        assert!(state.workers.arrive(1));
        assert!(matches!(step(&mut state, 1, Some(seen_later), SHORT), Step::Run(_)));
        assert!(matches!(state.call(), Call::None), "the worker that parked was called");
        assert!(state.workers.arrive(2));
    }

    #[test]
    fn longer_items_are_shared() {
        let mut state = map(4, 2);
        let seen = Some(Seen { steps: state.steps() });
        finish_one(&mut state);
        assert!(matches!(step(&mut state, 1, seen, SHORT), Step::Run(_)));
    }

    #[test]
    fn a_worker_that_is_dropped_while_it_stands_by_is_replaced() {
        let mut state = map(4, 2);
        let seen = Some(Seen { steps: state.steps() });
        finish_one(&mut state);
        assert!(matches!(step(&mut state, 1, seen, Duration::ZERO), Step::StandBy(_)));
        assert!(matches!(state.call(), Call::None));
        drop(state.workers.remove(1, true));
        assert!(matches!(state.call(), Call::Spawn(_)));
    }

    #[test]
    fn without_items_nobody_stands_by() {
        let mut state = map(1, 2);
        let seen = Some(Seen { steps: state.steps() });
        finish_one(&mut state);
        assert!(matches!(step(&mut state, 1, seen, Duration::ZERO), Step::Park));
    }
}
