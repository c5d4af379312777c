//! `WorldReport`: the measurements of a world.

use std::time::Duration;

use crate::Record;

/// The measurements of a [`World`](crate::World), from [`WorldBuilder::run_report`](crate::WorldBuilder::run_report).
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
    /// The virtual time from the start of the world to the end of its body.
    pub virtual_elapsed: Duration,
    /// The real time that the world took.
    pub wall: Duration,
    /// The number of polls of the body; [`probe::meter`](crate::probe::meter) counts those of any future.
    pub polls: u64,
    /// The longest CPU time of the runtime's thread between two parks: see
    /// [`WorldBuilder::block_limit`](crate::WorldBuilder::block_limit). Zero where the system does not measure it.
    pub max_busy: Duration,
    /// The number of tasks still alive at the end: at most [`allow_leaks`](crate::WorldBuilder::allow_leaks).
    pub leaked: usize,
    /// The notes of [`World::record`](crate::World::record).
    pub record: Record,
    /// The tasks and waits, with the feature `timeline`; empty if the world was run
    /// [without](crate::WorldBuilder::without_timeline).
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    pub timeline: crate::timeline::Timeline,
}
