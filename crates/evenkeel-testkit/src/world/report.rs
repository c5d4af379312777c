//! What a world did.

use std::time::Duration;

use crate::Record;

/// What a [`World`](crate::World) did, from [`Builder::run_report`](crate::Builder::run_report).
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::World;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let ((), report) = World::builder().run_report(async |_| sleep(Duration::from_secs(60)).await);
/// assert_eq!(report.virtual_elapsed, Duration::from_secs(60));
/// assert_eq!((report.polls, report.leaked), (2, 0));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorldReport {
    /// The virtual time from the begin of the world to the end of its body.
    pub virtual_elapsed: Duration,
    /// The real time that all of it took.
    pub wall: Duration,
    /// How often the body was polled; [`probe::meter`](crate::probe::meter) counts those of any future.
    pub polls: u64,
    /// The longest time for which the runtime's thread computed without a rest: see
    /// [`Builder::block_limit`](crate::Builder::block_limit). Zero where the system does not tell.
    pub max_busy: Duration,
    /// The tasks that were still alive at the end: at most [`allow_leaks`](crate::Builder::allow_leaks).
    pub leaked: usize,
    /// What was noted in [`World::record`](crate::World::record).
    pub record: Record,
}
