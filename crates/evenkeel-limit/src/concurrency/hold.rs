//! The weight of a permit, with the record of its holder.

use super::record::Record;

/// The weight of a permit, and what is known of it.
// Small: a permit is moved more often than it is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hold {
    /// A record without a time.
    Unread { weight: u32, record: &'static Record },
    /// Nothing more.
    Unrecorded { weight: u32 },
    /// A record with a time.
    Timed { weight: u32, record: &'static Record },
    /// A record on the list of the limiter.
    Listed { weight: u32, key: usize },
    /// The key of what was measured, if the limit adapts and has no name.
    Measured { weight: u32, key: usize },
    /// The weight is back, and the state has to take it over.
    Added,
    /// It went back.
    Returned,
}
