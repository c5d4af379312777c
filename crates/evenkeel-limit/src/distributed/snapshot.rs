//! The numbers of a distributed limit in one process.

use crate::rate::Rate;

/// The numbers of a [`Distributed`](super::Distributed) in this process.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Rate, distributed::{Distributed, MemoryStore}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::distributed::Error> {
/// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(100)).lease(10);
/// quota.acquire().await?;
///
/// let snapshot = quota.snapshot();
/// assert_eq!((snapshot.granted, snapshot.leased, snapshot.calls), (1, 9, 1));
/// assert!(!snapshot.store_down);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The rate of all processes together.
    pub rate: Rate,
    /// The most permits that there can be at once.
    pub burst: u32,
    /// Permits that were taken from the store and are not used yet.
    pub leased: u32,
    /// Futures that wait in the queue.
    pub waiting: usize,
    /// Requests that got their permits.
    pub granted: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Calls of the store that have ended.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Whether the last call failed, so that [`OnFailure`](super::OnFailure) decides.
    pub store_down: bool,
    /// Whether it has been closed.
    pub closed: bool,
}
