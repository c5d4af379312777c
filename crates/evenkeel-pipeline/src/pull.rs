//! The task that pulls from the source.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    vec,
};

use evenkeel_task::Panic;
use futures_core::Stream;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{
    Delivery, Source, SourceError, Workload,
    deliveries::DeliveriesOf,
    edges::Caller,
    in_hand::InHand,
    orders::Orders,
    race::{First, patiently, pause, race},
    random::Random,
    segment::Never,
    settings::{Copying, PathSettings},
    source::Deliveries,
    status::SourceStatus,
    token::{Carried, Token},
};

/// The task that pulls, as long as there is room.
pub(crate) struct Puller<S: Source> {
    pub(crate) source: S,
    pub(crate) in_hand: Arc<InHand>,
    pub(crate) deliveries: Arc<DeliveriesOf<S>>,
    pub(crate) items: mpsc::UnboundedSender<Vec<Carried<S::Item>>>,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) status: Arc<SourceStatus>,
    pub(crate) workload: Workload,
    pub(crate) settings: Arc<PathSettings>,
    /// Copies an item whose last attempt begins.
    pub(crate) copy: Option<Copying<S::Item>>,
    pub(crate) random: Random,
}

/// Waits for the order to drain, the failure of a source, or the end of the handle.
pub(crate) async fn draining(orders: &mut watch::Receiver<Orders>) {
    // It fails when the handle is gone, which aborts this task.
    let _ = orders.wait_for(Orders::ends_pulls).await;
}

impl<S: Source> Puller<S> {
    /// Returns the source, to be stopped, and the error that nothing mends.
    pub(crate) async fn run(mut self) -> (S, Result<(), SourceError>) {
        let result = match self.check().await {
            Ok(true) => self.pull().await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        (self.source, result)
    }

    /// Returns whether to go on.
    async fn check(&mut self) -> Result<bool, SourceError> {
        let mut failures = 0;
        loop {
            let status = Arc::clone(&self.status);
            let check = patiently(self.source.check(&self.workload), |waited| {
                let text = format!("the source has not answered its check for {waited:?}");
                status.note_failed(Caller::Pull, &SourceError::transient(text));
            });
            let _calling = status.edges.call(Caller::Pull, "the answer to the check", 1);
            match race(draining(&mut self.orders), check).await {
                First::A(()) => return Ok(false),
                First::B(Ok(warnings)) => {
                    self.status.edges.done(Caller::Pull);
                    self.status.warn(warnings);
                    return Ok(true);
                }
                First::B(Err(error)) => {
                    failures += 1;
                    if !self.passes(error, failures).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    async fn pull(&mut self) -> Result<(), SourceError> {
        let (mut failures, mut was_paused) = (0, false);
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.ends_pulls() {
                return Ok(());
            }
            if orders.is_paused && !was_paused {
                race(draining(&mut self.orders), self.source.pause()).await;
            }
            was_paused = orders.is_paused;
            // There is none in a pause.
            let demand = match race(self.orders.changed(), self.in_hand.wait_for_room(1)).await {
                First::A(Ok(())) => continue,
                // The handle is gone, which aborts this task.
                First::A(Err(_)) => return Ok(()),
                First::B(demand) => demand,
            };
            // Items that end meanwhile make room. A source that waits for its server is asked again, for twice as much at least:
            // seldom, and yet a small demand is none for long.
            let grown = self.in_hand.wait_for_room(demand.items.saturating_mul(2));
            let is_over = race(self.orders.changed(), grown);
            let calling = self.status.edges.call(Caller::Pull, "items", demand.items);
            let pulled = race(is_over, self.source.pull(demand)).await;
            calling.end();
            match pulled {
                // Dropped, and loses none. Its deliveries would come into a pause or a drain, or it is asked for more.
                First::A(_) => {}
                First::B(Ok(deliveries)) if deliveries.is_empty() => return Ok(()),
                First::B(Ok(deliveries)) => {
                    failures = 0;
                    self.status.edges.done(Caller::Pull);
                    self.accept(deliveries);
                    if self.in_hand.has_threads && self.source.may_block() {
                        self.in_hand.let_others_make_room().await;
                    }
                }
                First::B(Err(error)) => {
                    failures += 1;
                    if !self.passes(error, failures).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits after an error that passes; returns whether to go on.
    async fn passes(&mut self, error: SourceError, failures: u32) -> Result<bool, SourceError> {
        if !error.is_transient() {
            return Err(error);
        }
        self.status.note_failed(Caller::Pull, &error);
        let pause = sleep(pause(failures, &mut self.random));
        let _pausing = self.status.edges.pause(Caller::Pull, pause.deadline());
        Ok(matches!(race(draining(&mut self.orders), pause).await, First::B(())))
    }

    /// Returns the copy of an item, unless its clone panics.
    fn copied<C>(&self, copy: impl FnOnce() -> C) -> Option<C> {
        let note = |panic| {
            let text = format!("an item could not be copied for its dead letter: {panic}");
            self.status.note(&SourceError::transient(text));
        };
        Panic::catch(copy).map_err(note).ok()
    }

    fn accept(&mut self, deliveries: Deliveries<S>) {
        let max_attempts = self.settings.limits.max_attempts;
        let losses = self.in_hand.losses();
        let keys = self.in_hand.accept(deliveries.iter().map(|d| (d.attempt, d.size, d.leased_at)));
        let mut carried = Vec::with_capacity(keys.len());
        if deliveries.iter().all(|delivery| delivery.attempt < max_attempts) {
            self.deliveries.insert_all(&keys, deliveries, |key, attempt, item| {
                carried.push(Carried { token: Token::new(&self.in_hand, key, attempt, losses), item });
            });
            // It fails only when the stages are gone: the tokens hand the items back then.
            let _ = self.items.send(carried);
            return;
        }
        let mut spent = Vec::new();
        let entries = keys.into_iter().zip(deliveries).map(|(key, delivery)| {
            let Delivery { item, receipt, attempt, .. } = delivery;
            let mut token = Token::new(&self.in_hand, key, attempt, losses);
            if attempt > max_attempts {
                let reason =
                    format!("delivered {attempt} times, of which {max_attempts} may fail: none had a result");
                token.fail(reason, self.settings.retry_after(attempt));
                spent.push(token);
                return (key, receipt, Some(item));
            }
            let copy = self.copy.filter(|_| attempt == max_attempts);
            // Without a copy, as its clone has panicked, it is delivered once more if it fails, and is its dead letter then.
            let original = copy.and_then(|copy| self.copied(|| copy(&item)));
            carried.push(Carried { token, item });
            (key, receipt, original)
        });
        // An item is copied by code of others, which the lock must not run.
        let entries: Vec<_> = entries.collect();
        self.deliveries.insert(entries.into_iter());
        // Behind the receipts, which a dead letter needs.
        drop(spent);
        let _ = self.items.send(carried);
    }
}

/// The items that were pulled, as the first segment takes them.
pub(crate) struct Pulled<T> {
    batches: mpsc::UnboundedReceiver<Vec<Carried<T>>>,
    batch: vec::IntoIter<Carried<T>>,
}

impl<T> Pulled<T> {
    pub(crate) fn new(batches: mpsc::UnboundedReceiver<Vec<Carried<T>>>) -> Self {
        Self { batches, batch: Vec::new().into_iter() }
    }
}

// Nothing is pinned in it.
impl<T> Unpin for Pulled<T> {}

impl<T> Stream for Pulled<T> {
    type Item = Result<Carried<T>, Never>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(carried) = self.batch.next() {
                return Poll::Ready(Some(Ok(carried)));
            }
            let Some(batch) = ready!(self.batches.poll_recv(cx)) else { return Poll::Ready(None) };
            self.batch = batch.into_iter();
        }
    }
}
