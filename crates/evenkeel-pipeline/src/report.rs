//! The report of a pipeline that has ended.

use std::{fmt, iter::Sum};

/// The account of every delivery that a pipeline has accepted.
///
/// `accepted = acked + nacked + dead + left()`, always. A delivery counts as acked, nacked or dead when the server has
/// confirmed it, and not before.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::DrainReport;
///
/// let report = DrainReport::default();
/// assert_eq!(report.accepted, report.acked + report.nacked + report.dead + report.left());
/// assert_eq!(report.to_string(), "0 accepted: 0 acked, 0 nacked, 0 dead, 0 left");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// The deliveries that were pulled.
    pub accepted: u64,
    /// Done, confirmed.
    pub acked: u64,
    /// Failed, to be delivered again, confirmed.
    pub nacked: u64,
    /// Failed too often, with a dead letter, confirmed.
    pub dead: u64,
    /// Handed back without an attempt, confirmed.
    pub released: u64,
    /// The lease was lost: another attempt decides.
    pub superseded: u64,
    /// Decided, and not confirmed: the server carries it out, or delivers the item again.
    pub unconfirmed: u64,
    /// Aborted, and not handed back: delivered again when the lease runs out.
    pub unfinished: u64,
}

impl DrainReport {
    /// Returns the number of deliveries that were neither acked, nor nacked, nor dead: the sum of the last four.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.released + self.superseded + self.unconfirmed + self.unfinished
    }
}

impl Sum for DrainReport {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        reports.fold(Self::default(), |sum, report| Self {
            accepted: sum.accepted + report.accepted,
            acked: sum.acked + report.acked,
            nacked: sum.nacked + report.nacked,
            dead: sum.dead + report.dead,
            released: sum.released + report.released,
            superseded: sum.superseded + report.superseded,
            unconfirmed: sum.unconfirmed + report.unconfirmed,
            unfinished: sum.unfinished + report.unfinished,
        })
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, acked, nacked, dead, .. } = self;
        write!(f, "{accepted} accepted: {acked} acked, {nacked} nacked, {dead} dead, {} left", self.left())?;
        let parts = [
            (self.released, "handed back"),
            (self.superseded, "superseded"),
            (self.unconfirmed, "not confirmed"),
            (self.unfinished, "not finished"),
        ];
        let mut parts = parts.iter().filter(|(count, _)| *count > 0);
        if let Some((count, name)) = parts.next() {
            write!(f, " ({count} {name}")?;
            for (count, name) in parts {
                write!(f, ", {count} {name}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
