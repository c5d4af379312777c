//! The handle of a delivery.

use std::fmt;

/// The handle of a delivery of a [`PgQueue`](crate::PgQueue); its text is the number of the job.
///
/// A settlement counts if the job still belongs to this fetch of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgReceipt {
    pub(super) job: i64,
    pub(super) worker: i64,
    pub(super) fetch: i64,
    /// Another job may wait for its end.
    pub(super) is_keyed: bool,
}

impl fmt::Display for PgReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.job.fmt(f)
    }
}
