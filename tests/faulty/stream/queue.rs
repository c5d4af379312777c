//! A queue, its jobs, and workers on it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use evenkeel_tck::{
    BoxFuture,
    stream::{Channel, Item, Job, Queue, QueueConsumer, QueueProducer, Worked},
};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Fault,
    queue_state::State,
    work::{Ended, work},
};

pub(super) fn channel(fault: Fault, queue: &Queue) -> Channel {
    let shared = Shared { fault, state: Arc::new(Mutex::new(State::new(fault, queue.clone()))) };
    Channel::new(Producer(shared.clone()), Consumer(shared))
}

#[derive(Clone)]
struct Shared {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Producer(Shared);

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        Box::pin(Push { shared: self.0.clone(), item: Some(item), ticket: None })
    }

    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        let waits_for_one = self.0.fault == Fault::WaitsForAFirstItem;
        Box::pin(poll_fn(move |cx| {
            let mut state = self.0.state();
            if state.unfinished == 0 && (state.finished > 0 || !waits_for_one) {
                return Poll::Ready(Ok(()));
            }
            state.joins.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_producers = false;
        if self.0.fault != Fault::TellsNobodyOfTheLastProducer {
            state.pops.wake_all();
        }
    }
}

struct Push {
    shared: Shared,
    item: Option<Item>,
    ticket: Option<u64>,
}

impl Future for Push {
    type Output = Result<(), Option<Item>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (shared, known) = (self.shared.clone(), self.ticket.is_some());
        let mut state = shared.state();
        let ticket = *self.ticket.get_or_insert_with(|| state.ticket());
        let Some(item) = self.item.take() else { return Poll::Pending };
        let refuses = state.takes_no_more() && !(known && shared.fault == Fault::ClosesForLaterPushesOnly);
        if refuses {
            state.pushes.remove(ticket);
            return Poll::Ready(Err(Some(item).filter(|_| shared.fault != Fault::KeepsItemsThatItRefuses)));
        }
        match state.try_push(ticket, item) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(item) => {
                self.item = Some(item);
                state.pushes.set(ticket, cx.waker(), shared.fault == Fault::LastPushComesFirst);
                Poll::Pending
            }
        }
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.item.is_some()
            && self.shared.fault != Fault::KeepsThePlaceOfADroppedPush
        {
            let mut state = self.shared.state();
            state.pushes.remove(ticket);
            state.wake();
        }
    }
}

struct Consumer(Shared);

impl Consumer {
    fn clone(&self) -> Self {
        self.0.state().consumers += 1;
        Self(self.0.clone())
    }
}

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        let shared = self.0.clone();
        Box::pin(async move {
            let item = Pop { shared: shared.clone(), ticket: None, is_done: false }.await?;
            if shared.fault == Fault::PopsLate {
                sleep(Duration::from_millis(1)).await;
            }
            if shared.fault == Fault::FinishesWhatIsPopped {
                shared.state().finish();
            }
            Some(Box::new(PoppedJob { shared, item: Some(item), is_back: false }) as Box<dyn Job>)
        })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        Box::new(self.clone())
    }

    fn close(&mut self) {
        self.0.state().close();
    }

    fn close_now(&mut self) -> Vec<Item> {
        let mut state = self.0.state();
        state.close();
        let items = state.items.drain(..).collect();
        if self.0.fault == Fault::LosesItemsAtAClose { Vec::new() } else { items }
    }

    fn workers(self: Box<Self>, number: usize, close_after: Option<Duration>) -> BoxFuture<'static, Worked> {
        let fault = self.0.fault;
        let number = if fault == Fault::HasOneWorker { 1 } else { number };
        Box::pin(async move {
            let (mut set, failures) = (JoinSet::new(), Arc::new(Mutex::new(Vec::new())));
            for _ in 0..number {
                let (mut consumer, failures) = (self.clone(), failures.clone());
                set.spawn(async move {
                    while let Some(job) = consumer.pop_item().await {
                        let ended = job.run().await;
                        if matches!(ended, Ended::Ok(_)) {
                            continue;
                        }
                        failures.lock().unwrap_or_else(PoisonError::into_inner).extend(ended.result().err());
                        if fault == Fault::LosesWorkersToFailures {
                            return;
                        }
                    }
                });
            }
            let mut set = LeftWorkers { set, leaves: fault == Fault::LeavesItsWorkers };
            tokio::select! {
                biased;
                () = async { while set.set.join_next().await.is_some() {} } => {}
                () = sleep(close_after.unwrap_or(Duration::from_secs(1 << 30))) => set.set.shutdown().await,
            }
            let unstarted = self.0.state().items.drain(..).collect::<Vec<_>>();
            let failures = std::mem::take(&mut *failures.lock().unwrap_or_else(PoisonError::into_inner));
            Worked::new(failures, unstarted.into_iter().filter(|_| fault != Fault::LosesWhatIsNotStarted))
        })
    }
}

impl Consumer {
    async fn pop_item(&mut self) -> Option<PoppedJob> {
        let item = Pop { shared: self.0.clone(), ticket: None, is_done: false }.await?;
        Some(PoppedJob { shared: self.0.clone(), item: Some(item), is_back: false })
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.consumers -= 1;
        state.pushes.wake_all();
    }
}

/// The tasks of workers; dropping it aborts them.
struct LeftWorkers {
    set: JoinSet<()>,
    leaves: bool,
}

impl Drop for LeftWorkers {
    fn drop(&mut self) {
        if self.leaves {
            self.set.detach_all();
        }
    }
}

struct Pop {
    shared: Shared,
    ticket: Option<u64>,
    is_done: bool,
}

impl Future for Pop {
    type Output = Option<Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        let ticket = *self.ticket.get_or_insert_with(|| state.ticket());
        let item = if state.is_over() { None } else { state.try_pop(ticket) };
        if item.is_some() || state.is_over() {
            self.is_done = true;
            state.pops.remove(ticket);
            return Poll::Ready(item);
        }
        if shared.fault == Fault::ChecksThenWaits {
            // An item that comes now wakes nobody.
            drop(state);
            (0..200_000).for_each(|_| std::hint::spin_loop());
            state = shared.state();
        }
        state.pops.set(ticket, cx.waker(), false);
        Poll::Pending
    }
}

impl Drop for Pop {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.filter(|_| !self.is_done) else { return };
        let mut state = self.shared.state();
        state.pops.remove(ticket);
        drop(state.handed.remove(&ticket));
        if self.shared.fault != Fault::KeepsAWakeToItself {
            state.wake();
        }
    }
}

/// An item that was popped; dropping it finishes it.
struct PoppedJob {
    shared: Shared,
    item: Option<Item>,
    is_back: bool,
}

impl PoppedJob {
    async fn run(mut self) -> Ended {
        match self.item.take() {
            Some(item) => work(item).await,
            None => Ended::Ok(0),
        }
    }
}

impl Job for PoppedJob {
    fn item(&self) -> &Item {
        self.item.as_ref().unwrap_or_else(|| unreachable!("it is there until the job ends"))
    }

    fn put_back(mut self: Box<Self>) {
        self.is_back = true;
        let item = self.item.take();
        let mut state = self.shared.state();
        if self.shared.fault == Fault::FinishesWhatIsPutBack {
            state.finish();
        }
        state.items.extend(item);
        state.wake();
    }
}

impl Drop for PoppedJob {
    fn drop(&mut self) {
        let item = self.item.take();
        let forgets = self.shared.fault == Fault::ForgetsItemsOfPanics && thread::panicking();
        if !forgets && !self.is_back && self.shared.fault != Fault::FinishesWhatIsPopped {
            self.shared.state().finish();
        }
        drop(item);
    }
}
