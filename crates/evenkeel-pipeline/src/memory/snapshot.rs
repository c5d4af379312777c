//! The numbers of a broker, and the loss of a power loss.

/// The numbers of a [`MemoryBroker`](crate::MemoryBroker) now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// Messages that are stored, in any state.
    pub stored: usize,
    /// Messages that are leased.
    pub leased: usize,
    /// Messages that wait for the end of a delay.
    pub delayed: usize,
    /// Messages that were published.
    pub published: u64,
    /// Deliveries, the first of a message and others.
    pub delivered: u64,
    /// Deliveries of messages that had been delivered before.
    pub redelivered: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Messages that were acked.
    pub acked: u64,
    /// Messages that were terminated.
    pub terminated: u64,
    /// Messages that a power loss took.
    pub lost: u64,
}

/// The loss of a [`power_loss`](crate::MemoryBroker::power_loss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PowerLoss {
    /// Messages that were published, and are gone.
    pub lost: usize,
    /// Messages that were settled for good, and come again.
    pub revived: usize,
}
