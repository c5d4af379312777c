//! The handle of a delivery.

use std::fmt;

/// The handle of a delivery of a [`MemoryBroker`](crate::MemoryBroker); its text has the numbers of the broker and of
/// the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReceipt {
    /// The number of the broker in this process: messages of several may meet in one sink.
    pub(super) broker: u64,
    pub(super) index: usize,
    pub(super) number: u64,
    pub(super) delivery: u64,
}

impl fmt::Display for MemoryReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory{}:{}", self.broker, self.number)
    }
}
