//! A broker in memory as a source.

use std::{fmt, sync::Arc, time::Duration};

use super::{receipt::MemoryReceipt, shared::Shared};
use crate::{Ack, Delivery, Demand, Settle, SettleOutcome, Source, SourceError};

/// A source of the messages of a [`MemoryBroker`](crate::MemoryBroker).
pub struct MemorySource<T> {
    shared: Arc<Shared<T>>,
}

/// The half of a [`MemorySource`] that settles.
pub struct MemoryAck<T> {
    shared: Arc<Shared<T>>,
}

impl<T> MemorySource<T> {
    pub(super) const fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }
}

impl<T: Clone + Send + 'static> Source for MemorySource<T> {
    type Item = T;
    type Ack = MemoryAck<T>;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<T, MemoryReceipt>>, SourceError> {
        self.shared.pull(demand).await
    }

    fn ack(&self) -> MemoryAck<T> {
        MemoryAck { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone + Send + 'static> Ack for MemoryAck<T> {
    type Receipt = MemoryReceipt;

    fn ack_wait(&self) -> Option<Duration> {
        Some(self.shared.ack_wait())
    }

    async fn settle(&self, batch: &[(MemoryReceipt, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        self.shared.settle(batch).await
    }

    async fn extend(&self, receipts: &[MemoryReceipt]) -> Result<Vec<usize>, SourceError> {
        self.shared.extend(receipts).await
    }
}

impl<T> Clone for MemoryAck<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for MemorySource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for MemoryAck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAck").finish_non_exhaustive()
    }
}
