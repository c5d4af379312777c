//! A worker of a map: a task that runs one item after the other, and parks while there is none.
//!
//! # How it works
//!
//! A worker either runs an item, or waits for the source, or is parked. Items that are ready at once follow each other
//! within one poll, up to [`RUN`] of them. The one worker that waits for the source takes items from it until there is no
//! room, and runs none meanwhile.
//!
//! - **Dropped with an item**, without an abort, the worker says that its runtime was shut down: in the item's
//!   place, and in those of the queue if no worker is left.
//! - **Dropped with the source** it puts the source back, for a worker on another runtime.
//! - **A panic of a destructor** of an item or of the source is a panic of the item or the source.

use std::{
    convert::Infallible,
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_base::boxed_in_debug;
use evenkeel_task::{CatchPanic, Panic, catch_panic};
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::{runtime::Handle, time::Instant};

use super::{
    pull::{Stopped, drop_source, pull},
    shared::Shared,
    source::Source,
    step::{Next, Seen, Step, Ticket},
    workers::Call,
};
use crate::{
    ItemError,
    edges::{ItemRecord, SourceWait},
    span::Span,
};

/// The number of items that a worker runs before it lets other tasks of its thread run.
const RUN: u32 = 8;

/// The time, and the most turns, for which a worker that stands by leaves the state alone: each look at it costs the others
/// time. A turn may take long on a thread with other tasks, and the clock of a test may stand still.
const STANDBY: (Duration, u32) = (Duration::from_micros(1), 8);

pin_project! {
    pub(super) struct Worker<S: Stream, V, T, E, F, Fut> {
        shared: Arc<Shared<S, V, T, E>>,
        key: usize,
        work: F,
        #[pin]
        item: Option<CatchPanic<Fut>>,
        // Set while there is an item.
        ticket: Option<(Ticket, Span)>,
        // Set while the worker waits for the source.
        source: Option<Box<Source<S, V, E>>>,
        // A clone for the next time that the worker parks.
        waker: Option<Waker>,
        // Whether the worker is parked or on its way, and was not polled since.
        is_waiting: bool,
        // Whether the last step was to yield.
        has_yielded: bool,
        // As it yielded or stood by.
        seen: Option<(Seen, Instant)>,
        // The turns of standing by that are left.
        turns: u32,
        item_record: ItemRecord,
    }

    impl<S: Stream, V, T, E, F, Fut> PinnedDrop for Worker<S, V, T, E, F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

impl<S: Stream, V, T, E, F, Fut> Worker<S, V, T, E, F, Fut> {
    pub(super) fn new(shared: Arc<Shared<S, V, T, E>>, key: usize, work: F) -> Self {
        Self {
            shared,
            key,
            work,
            item: None,
            ticket: None,
            source: None,
            waker: None,
            is_waiting: true,
            has_yielded: false,
            seen: None,
            turns: 0,
            item_record: ItemRecord::none(),
        }
    }

    /// Takes items from the source until there is no room or it is over. Returns whether it has woken the consumer, which may
    /// run next on this thread.
    fn wait_for_source(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool>
    where
        S: Stream + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(V) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let this = self.project();
        let mut has_woken = false;
        while let Some(source) = this.source.as_mut() {
            let span = source.span.clone();
            let stopped =
                span.in_scope(|| pull(this.shared, source, |call| perform(this.shared, this.work, call), cx));
            let hint = source.size_hint();
            let consumer = match stopped {
                Stopped::Pending => this.shared.with(|state| {
                    state.source_wait.begin(state.started);
                    state.hint = hint;
                    state.take_awaited()
                }),
                Stopped::NoRoom => {
                    let (closed, consumer) = this.shared.with(|state| {
                        state.source_wait = SourceWait::none();
                        state.hint = hint;
                        let closed = match mem::take(&mut state.freed) {
                            0 => this.source.take().and_then(|source| state.park_full(source)),
                            room => {
                                if let Some(source) = this.source {
                                    source.room = room;
                                }
                                None
                            }
                        };
                        (closed, state.take_awaited())
                    });
                    drop_source(this.shared, closed);
                    consumer
                }
                Stopped::Over => {
                    drop_source(this.shared, this.source.take());
                    this.shared.with(|state| {
                        state.source_wait = SourceWait::none();
                        state.take_consumer()
                    })
                }
            };
            has_woken |= consumer.is_some();
            wake(consumer);
            if stopped == Stopped::Pending {
                return Poll::Pending;
            }
        }
        Poll::Ready(has_woken)
    }

    /// Leaves the map: the worker has ended, was aborted, or is dropped with its runtime.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        let (key, is_waiting) = (*this.key, *this.is_waiting);
        let is_closed = this.shared.with(|state| state.is_closed());
        let mut is_source_left = false;
        if let Some(source) = this.source.take() {
            let hint = source.size_hint();
            let closed = this.shared.with(|state| {
                state.source_wait = SourceWait::none();
                state.put_back(source, hint)
            });
            is_source_left = closed.is_none();
            drop_source(this.shared, closed);
        }
        let mut cut = None;
        if let Some((ticket, span)) = this.ticket.take() {
            let panic = span.in_scope(|| Panic::catch(|| this.item.set(None))).err();
            let shutdown = (!is_closed && panic.is_none()).then(runtime_shutdown);
            cut = Some((ticket, panic, shutdown));
        }
        let is_cut = cut.is_some();
        let (entry, left, consumer) = this.shared.with(|state| {
            let left = cut.and_then(|(ticket, panic, shutdown)| state.cut(ticket, panic, shutdown));
            let entry = state.workers.remove(key, is_waiting);
            let is_last = state.workers.alive() == 0;
            // A worker that was on its way, or whose item another one with its key waits for, is missed: the consumer
            // calls the next one.
            let is_missed = is_source_left || (!is_closed && (is_waiting || is_cut));
            let consumer = if is_last || is_missed { state.take_consumer() } else { state.take_awaited() };
            (entry, left, consumer)
        });
        // Nobody is left to be told of a panic of these.
        drop(Panic::catch(|| drop((entry, left))));
        while this.shared.with(|state| state.is_stranded()) {
            let panic = runtime_shutdown();
            let stranded = this.shared.with(|state| state.reject(panic));
            drop(Panic::catch(|| drop(stranded)));
        }
        wake(consumer);
    }
}

fn runtime_shutdown() -> Panic {
    const MESSAGE: &str = "the runtime of the item was shut down before the item ended";
    Panic::catch(|| -> Infallible { resume_unwind(Box::new(MESSAGE)) }).expect_err("it panics")
}

/// Wakes the consumer. The panic of a waker says nothing of an item.
fn wake(consumer: Option<Waker>) {
    if let Some(waker) = consumer {
        drop(Panic::catch(|| waker.wake()));
    }
}

impl<S, V, T, E, F, Fut> Future for Worker<S, V, T, E, F, Fut>
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        if this.shared.is_without_budget() {
            // This thread may be the one that keeps the consumer, which runs next, unless an item blocks the thread.
            this.shared.set_without_budget(false);
            wake(this.shared.with(|state| state.take_consumer()));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if *this.turns > 0
            && let Some((_, since)) = this.seen
            && since.elapsed() < STANDBY.0
        {
            *this.turns -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut report = None;
        let mut ended = 0;
        let mut has_woken = false;
        loop {
            let mut this = self.as_mut().project();
            if let Some((ticket, span)) = this.ticket
                && let Some(item) = this.item.as_mut().as_pin_mut()
            {
                let Poll::Ready(result) = span.in_scope(|| item.poll(cx)) else {
                    let enter = |item| this.shared.with(|state| state.workers.set_item(*this.key, item));
                    this.item_record.is_pending(enter);
                    return Poll::Pending;
                };
                let result = result.map_or_else(
                    |panic| Err(ItemError::Panic(panic)),
                    |result| result.map_err(ItemError::Error),
                );
                report = Some((*ticket, result));
                *this.ticket = None;
                ended += 1;
            } else if this.source.is_some() {
                let Poll::Ready(woken) = self.as_mut().wait_for_source(cx) else { return Poll::Pending };
                has_woken |= woken;
            }
            let mut this = self.as_mut().project();
            if this.waker.is_none() {
                *this.waker = Some(cx.waker().clone());
            }
            let mut left = None;
            let (seen, since) = this.seen.take().unzip();
            let away = || since.map_or(Duration::MAX, |since: Instant| since.elapsed());
            let next = this.shared.with(|state| {
                if *this.is_waiting && !state.workers.arrive(*this.key) {
                    return Next::parked();
                }
                this.item_record.ends();
                if let Some((ticket, result)) = report.take() {
                    left = state.finish(ticket, result);
                }
                // An item that blocks this thread would keep the consumer.
                let may_go_on = ended < RUN && !(has_woken && state.workers.threads() > 1);
                state.step(*this.key, this.waker, may_go_on, *this.has_yielded, seen, away)
            });
            if left.is_some() {
                drop(Panic::catch(|| drop(left)));
            }
            *this.turns = if matches!(next.step, Step::StandBy(_)) { STANDBY.1 } else { 0 };
            *this.has_yielded = matches!(next.step, Step::Yield(_) | Step::StandBy(_));
            *this.is_waiting = *this.has_yielded || matches!(next.step, Step::Park);
            if next.consumer.is_some() {
                wake(next.consumer);
            }
            perform(this.shared, &*this.work, next.call);
            match next.step {
                Step::Run(item) => match Panic::catch(|| this.work.clone()) {
                    Ok(work) => {
                        this.item.set(Some(catch_panic(work(item.value))));
                        *this.ticket = Some((item.ticket, item.span));
                    }
                    Err(panic) => {
                        drop(Panic::catch(|| drop(item.value)));
                        report = Some((item.ticket, Err(ItemError::Panic(panic))));
                        ended += 1;
                    }
                },
                Step::Pull(source) => *this.source = Some(source),
                Step::Yield(seen) => {
                    *this.seen = seen.map(|seen| (seen, Instant::now()));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::StandBy(seen) => {
                    *this.seen = Some((seen, Instant::now()));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Park => return Poll::Pending,
                Step::End => return Poll::Ready(()),
            }
        }
    }
}

/// Makes a worker come. Outside a tokio runtime none can be spawned; the item is left in the queue.
pub(super) fn perform<S, V, T, E, F, Fut>(shared: &Arc<Shared<S, V, T, E>>, work: &F, call: Call)
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    match call {
        Call::None => {}
        Call::Wake(waker) => waker.wake(),
        Call::Spawn(key) => spawn(shared, work, key),
    }
}

#[cold]
fn spawn<S, V, T, E, F, Fut>(shared: &Arc<Shared<S, V, T, E>>, work: &F, key: usize)
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(V) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    let Ok(runtime) = Handle::try_current() else {
        shared.with(|state| state.workers.not_spawned(key));
        return;
    };
    let work = match Panic::catch(|| work.clone()) {
        Ok(work) => work,
        Err(panic) => {
            // The panic of the function is one of the item, or else of the source, for which the worker was meant.
            let (item, source, waker) = shared.with(|state| {
                state.workers.not_spawned(key);
                match state.reject(panic) {
                    Ok(item) => (Some(item), None, state.take_awaited()),
                    Err(panic) => (None, Some(state.reject_source(panic)), state.take_consumer()),
                }
            });
            drop(Panic::catch(|| drop(item)));
            if let Some((source, panic)) = source {
                drop_source(shared, source);
                drop(panic);
            }
            wake(waker);
            return;
        }
    };
    let threads = runtime.metrics().num_workers();
    let task = runtime.spawn(boxed_in_debug(Worker::new(Arc::clone(shared), key, work))).abort_handle();
    let (ended, is_gone) = shared.with(|state| {
        let ended = state.workers.spawned(key, task, threads);
        // A worker ends by itself only with the map or the source.
        let is_gone = ended.is_some() && state.is_deserted();
        let ended: Vec<_> = if state.is_closed() {
            ended.into_iter().chain(state.workers.take_handles()).collect()
        } else {
            Vec::from_iter(ended)
        };
        (ended, is_gone)
    });
    ended.into_iter().for_each(|task| task.abort());
    if is_gone {
        let panic = runtime_shutdown();
        let (source, panic) = shared.with(|state| state.reject_source(panic));
        drop_source(shared, source);
        drop(panic);
    }
}
