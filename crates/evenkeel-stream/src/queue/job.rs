//! An item that was taken from a queue.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::{core::Core, state::Entry};

/// An item that a consumer has taken from a queue.
///
/// - **It counts as done when it is dropped**, in any way: at the end of its work, by a panic, with an aborted task. So
///   [`join`](crate::Producer::join) never waits for work that has ended. The item is dropped before it counts.
/// - [`put_back`](Self::put_back) gives the item to another consumer, and [`put_back_on_drop`](Self::put_back_on_drop) does
///   so unless the work comes to its end.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Capacity, queue};
///
/// let (jobs, consumer) = queue(Capacity::items(10));
/// jobs.push(String::from("a")).await.unwrap();
///
/// let job = consumer.pop().await.unwrap().put_back_on_drop();
/// assert_eq!(job.len(), 1);
/// drop(job); // as when its task was aborted
///
/// let job = consumer.pop().await.unwrap();
/// assert_eq!(job.done(), "a");
/// jobs.join().await.unwrap();
/// # }
/// ```
pub struct Job<T> {
    // Some until it was given away; dropped before `in_flight`.
    item: Option<T>,
    puts_back: bool,
    in_flight: InFlight<T>,
}

/// Counts as a job in flight until it is dropped.
struct InFlight<T> {
    core: Arc<Core<T>>,
    size: usize,
}

const HAS_ITEM: &str = "only a job that ends gives its item away";

impl<T> Job<T> {
    #[inline]
    pub(super) fn new(entry: Entry<T>, core: Arc<Core<T>>) -> Self {
        let Entry { item, size } = entry;
        Self { item: Some(item), puts_back: false, in_flight: InFlight { core, size } }
    }

    /// Returns the item, and counts the job as done.
    pub fn done(mut self) -> T {
        self.take_item()
    }

    /// Puts the item back to the front of the queue, where it is the next one that is taken.
    ///
    /// It never waits, so the queue can hold more than its capacity. After [`close`](crate::Producer::close), too, the item
    /// is given to the consumers that go on. Without one, and after [`close_now`](crate::Producer::close_now), it stays
    /// for the next `close_now`.
    pub fn put_back(mut self) {
        self.puts_back = true;
    }

    /// Has the item put back when the job is dropped; [`done`](Self::done) is then its only end.
    #[must_use = "dropping the job puts its item back"]
    pub fn put_back_on_drop(mut self) -> Self {
        self.puts_back = true;
        self
    }

    #[inline]
    pub(super) fn set_put_back(&mut self, puts_back: bool) {
        self.puts_back = puts_back;
    }

    /// Takes the item out; the job counts as in flight until it is dropped.
    pub(super) fn take_item(&mut self) -> T {
        self.item.take().expect(HAS_ITEM)
    }
}

impl<T> Drop for Job<T> {
    #[inline]
    fn drop(&mut self) {
        if self.puts_back
            && let Some(item) = self.item.take()
        {
            let InFlight { core, size } = &self.in_flight;
            // It counts as in flight a little longer, so the queue is never taken for done in between.
            core.put_back(Entry { item, size: *size });
        }
    }
}

impl<T> Drop for InFlight<T> {
    #[inline]
    fn drop(&mut self) {
        self.core.finish();
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect(HAS_ITEM)
    }
}

impl<T> DerefMut for Job<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect(HAS_ITEM)
    }
}

impl<T: fmt::Debug> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("item", &self.item)
            .field("puts_back", &self.puts_back)
            .finish_non_exhaustive()
    }
}
