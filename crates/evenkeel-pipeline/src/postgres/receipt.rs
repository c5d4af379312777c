//! The handle of a delivery.

use std::fmt;

/// The handle of a delivery of a [`PgQueue`](crate::PgQueue).
///
/// Its text is the identity of the job: `TABLES/NUMBER`, with a number of the tables that is made up when they are created, so
/// that a broker or a sink which gets the jobs of several databases, or of one that was set up again, takes none for another.
///
/// A settlement counts if the job still belongs to this fetch of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgReceipt {
    pub(super) job: i64,
    pub(super) origin: i64,
    pub(super) worker: i64,
    pub(super) fetch: i64,
    /// Another job may wait for its end.
    pub(super) is_keyed: bool,
}

impl fmt::Display for PgReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}/{}", self.origin, self.job)
    }
}

/// Reads the number of the tables and that of the job from the text of a receipt.
pub(super) fn parse(id: &str) -> Option<(i64, i64)> {
    let (origin, job) = id.split_once('/').filter(|(origin, _)| origin.len() == 16)?;
    Some((u64::from_str_radix(origin, 16).ok()?.cast_signed(), job.parse().ok()?))
}
