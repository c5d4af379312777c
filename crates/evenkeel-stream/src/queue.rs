//! A queue between producers and consumers, and workers on it.

mod budget;
mod capacity;
mod consumer;
mod core;
mod error;
#[cfg(feature = "inspect")]
mod inspect;
mod job;
mod loom;
#[cfg(test)]
mod loom_tests;
mod producer;
mod snapshot;
mod state;
mod workers;

use std::sync::Arc;

pub use capacity::Capacity;
pub use consumer::{Consumer, Pop};
pub use error::{PopError, PushError, Unfinished};
pub use job::Job;
pub use producer::{Join, Producer, Push};
pub use snapshot::QueueSnapshot;
pub use workers::{Workers, WorkersReport};

use self::core::Core;

/// Returns the two sides of a bounded queue.
///
/// - **Bounded** by a number of items, and by bytes if you like: producers wait for room.
/// - **First in, first out**, for items, for producers that wait, and for consumers that wait.
/// - **Closed by the last producer that is dropped**, or by [`close`](Producer::close): consumers get the rest, and then
///   `None`. There is no sentinel. [`close_now`](Producer::close_now) returns the rest instead.
/// - **Each item is a [`Job`]**, which counts as done when it is dropped, and can be put back.
///   [`join`](Producer::join) waits until all are done, and says so if nobody is left to do them.
/// - **[`Workers`](Consumer::workers)** run a function over the items; a failure stops none of them.
/// - Waits can be dropped at any time: no item, no room and no wake-up is lost.
///
/// # Why not just use a channel?
///
/// `tokio::sync::mpsc` has one receiver. Channels with several know when an item was taken, not when its work is done;
/// closing them loses the items in them or waits for all. Dropping a wait loses an item in some of them.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
///
/// let (urls, consumer) = queue(Capacity::items(100));
/// let workers = consumer.workers(4, async |url: String| {
///     if url.contains("gone") { Err("404") } else { Ok(()) }
/// });
/// for page in ["/", "/about", "/gone"] {
///     urls.push(page.into()).await.unwrap();
/// }
/// urls.close();
/// let report = workers.await;
/// assert_eq!((report.done, report.failed), (2, 1));
/// # }
/// ```
#[must_use = "a queue without a side is closed"]
pub fn queue<T>(capacity: Capacity<T>) -> (Producer<T>, Consumer<T>) {
    let max_bytes = capacity.bytes.as_ref().map_or(usize::MAX, |bytes| bytes.max);
    let core = Arc::new(Core::new(capacity.items, max_bytes));
    (Producer::new(core.clone(), capacity.bytes), Consumer::new(core))
}
