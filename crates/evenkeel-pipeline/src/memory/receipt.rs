//! The handle of a delivery.

use std::fmt;

/// The handle of a delivery of a [`MemoryBroker`](crate::MemoryBroker); its text is the number of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReceipt {
    pub(super) index: usize,
    pub(super) number: u64,
    pub(super) delivery: u64,
}

impl fmt::Display for MemoryReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}
