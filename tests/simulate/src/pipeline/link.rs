//! The broker as a process sees it: over a link that can be cut, and with an account of each call.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_pipeline::{
    Ack, Delivery, Demand, MemoryAck, MemoryReceipt, MemorySource, Settle, SettleOutcome, Source, SourceError,
};
use tokio::time::{Instant, sleep_until};

use super::{incarnation::Incarnation, plan::Plan};
use crate::{
    checks::{lock, plant_panic},
    note,
};

/// An item, as a process gets it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) key: u64,
    /// The number of its delivery, and of the attempt; 0 at the broker.
    pub(super) delivery: u64,
    pub(super) attempt: u32,
}

impl Item {
    pub(super) fn new(plan: &Plan, number: u64) -> Self {
        Self { number, key: plan.key(number), delivery: 0, attempt: 0 }
    }
}

/// The way from a process to the broker.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    cut_until: Option<Instant>,
    stalled_until: Option<Instant>,
    is_deleted: bool,
    panics: bool,
}

impl Link {
    pub(super) fn cut(&self, until: Instant) {
        lock(&self.state).cut_until = Some(until);
    }

    pub(super) fn stall(&self, until: Instant) {
        lock(&self.state).stalled_until = Some(until);
    }

    pub(super) fn delete(&self) {
        lock(&self.state).is_deleted = true;
    }

    pub(super) fn panic(&self) {
        lock(&self.state).panics = true;
    }

    /// A call on its way; it arrives late during a stall, and not at all during a cut.
    async fn call(&self) -> Result<(), SourceError> {
        let state = *lock(&self.state);
        if let Some(until) = state.stalled_until {
            sleep_until(until).await;
        }
        if state.cut_until.is_some_and(|until| Instant::now() < until) {
            return Err(SourceError::transient("the link is cut"));
        }
        Ok(())
    }

    fn check_pull(&self) -> Result<(), SourceError> {
        let state = *lock(&self.state);
        if state.panics {
            plant_panic("in a pull");
        }
        if state.is_deleted { Err(SourceError::permanent("the queue was deleted")) } else { Ok(()) }
    }
}

/// The source of a process.
#[derive(Debug)]
pub(super) struct LinkedSource {
    pub(super) source: MemorySource<Item>,
    pub(super) run: Arc<Incarnation>,
}

/// The other half of it.
#[derive(Clone, Debug)]
pub(super) struct LinkedAck {
    ack: MemoryAck<Item>,
    run: Arc<Incarnation>,
}

/// The handle of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    inner: MemoryReceipt,
    delivery: u64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Source for LinkedSource {
    type Item = Item;
    type Ack = LinkedAck;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<Item, Receipt>>, SourceError> {
        let Self { source, run } = self;
        let pulled = async {
            run.pulls(demand.items);
            run.link.check_pull()?;
            run.link.call().await?;
            source.pull(demand).await
        };
        // Behind the last await: deliveries reach the pipeline now, or not at all.
        let pulled = run.process.runs(pulled).await?;
        note!(run.shared.trace, "process {} pulls {} of {}", run.number, pulled.len(), demand.items);
        let got = pulled.len();
        let deliver = |pulled: Delivery<Item, MemoryReceipt>| {
            let Delivery { mut item, receipt, attempt, size, leased_at } = pulled;
            item.delivery = run.delivers(item.number, attempt, leased_at);
            item.attempt = attempt;
            let receipt = Receipt { inner: receipt, delivery: item.delivery };
            Delivery { item, receipt, attempt, size, leased_at }
        };
        let delivered: Vec<_> = pulled.into_iter().map(deliver).collect();
        run.pulled(demand.items, got);
        Ok(delivered)
    }

    fn ack(&self) -> LinkedAck {
        LinkedAck { ack: self.source.ack(), run: Arc::clone(&self.run) }
    }
}

impl Ack for LinkedAck {
    type Receipt = Receipt;

    fn ack_wait(&self) -> Option<Duration> {
        self.ack.ack_wait()
    }

    async fn settle(&self, batch: &[(Receipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        let run = &self.run;
        let decisions: Vec<_> =
            batch.iter().map(|(receipt, decision)| (receipt.delivery, *decision)).collect();
        let inner: Vec<_> = batch.iter().map(|(receipt, decision)| (receipt.inner, *decision)).collect();
        let settled = async {
            note!(run.shared.trace, "process {} settles {decisions:?}", run.number);
            run.settles(&decisions);
            run.link.call().await?;
            self.ack.settle(&inner).await
        };
        let outcomes = run.process.runs(settled).await?;
        run.settled(&decisions, &outcomes);
        Ok(outcomes)
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<usize>, SourceError> {
        let run = &self.run;
        let at = Instant::now();
        let deliveries: Vec<_> = receipts.iter().map(|receipt| receipt.delivery).collect();
        let inner: Vec<_> = receipts.iter().map(|receipt| receipt.inner).collect();
        let extended = async {
            run.link.call().await?;
            self.ack.extend(&inner).await
        };
        let lost = run.process.runs(extended).await?;
        note!(run.shared.trace, "process {} extends {deliveries:?}, of which {lost:?} are lost", run.number);
        run.extended(&deliveries, &lost, at);
        Ok(lost)
    }
}
