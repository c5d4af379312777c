//! The numbers of a queue.

/// The numbers of a queue now; returned by [`Producer::snapshot`](crate::Producer::snapshot) and
/// [`Consumer::snapshot`](crate::Consumer::snapshot).
///
/// # Examples
///
/// ```
/// use evenkeel_stream::{Capacity, queue};
///
/// let (jobs, consumer) = queue(Capacity::items(10));
/// for id in 0..5 {
///     jobs.try_push(id).unwrap();
/// }
/// let job = consumer.try_pop().unwrap();
/// drop(consumer.try_pop());
/// let snapshot = jobs.snapshot();
/// assert_eq!((snapshot.accepted, snapshot.items, snapshot.in_flight, snapshot.done), (5, 3, 1, 1));
/// # drop(job);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// The items that stand in the queue.
    pub items: usize,
    /// Their size in bytes, if the queue is bounded by bytes; zero if not.
    pub bytes: usize,
    /// The items that were taken and are not done.
    pub in_flight: u64,
    /// The producers that wait for room.
    pub waiting_producers: usize,
    /// The consumers that wait for an item.
    pub waiting_consumers: usize,
    /// The items that were accepted so far.
    pub accepted: u64,
    /// The items that are done.
    pub done: u64,
    /// Whether no more items are accepted.
    pub is_closed: bool,
}
