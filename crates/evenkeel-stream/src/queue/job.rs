//! An item that was taken from a queue.

use std::{
    fmt, mem,
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
    held: Held<T>,
    size: usize,
    core: Arc<Core<T>>,
}

/// The item of a job, and its fate when the job is dropped. In one, as a job is moved for each item.
enum Held<T> {
    Dropped(T),
    PutBack(T),
    /// Given away.
    Gone,
}

/// Counts a job as finished when it is dropped.
struct Finish<'a, T>(&'a Core<T>);

const HAS_ITEM: &str = "only a job that ends gives its item away";

impl<T> Held<T> {
    fn take(&mut self) -> Option<T> {
        match mem::replace(self, Self::Gone) {
            Self::Dropped(item) | Self::PutBack(item) => Some(item),
            Self::Gone => None,
        }
    }

    fn get(&self) -> Option<&T> {
        match self {
            Self::Dropped(item) | Self::PutBack(item) => Some(item),
            Self::Gone => None,
        }
    }
}

impl<T> Job<T> {
    #[inline]
    pub(super) fn new(entry: Entry<T>, core: Arc<Core<T>>) -> Self {
        let Entry { item, size } = entry;
        Self { held: Held::Dropped(item), size, core }
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
    pub fn put_back(self) {
        drop(self.put_back_on_drop());
    }

    /// Has the item put back when the job is dropped; [`done`](Self::done) is then its only end.
    #[must_use = "dropping the job puts its item back"]
    pub fn put_back_on_drop(mut self) -> Self {
        if let Some(item) = self.held.take() {
            self.held = Held::PutBack(item);
        }
        self
    }

    /// Takes the item out; the job counts as in flight until it is dropped.
    pub(super) fn take_item(&mut self) -> T {
        self.held.take().expect(HAS_ITEM)
    }
}

impl<T> Drop for Job<T> {
    #[inline]
    fn drop(&mut self) {
        let held = mem::replace(&mut self.held, Held::Gone);
        // Small enough to be inlined where the item is plain data.
        if !mem::needs_drop::<T>() && !matches!(held, Held::PutBack(_)) {
            self.core.finish();
        } else {
            // By value, so that a job needs no place in memory for it.
            end(held, self.size, &self.core);
        }
    }
}

/// Parts with the item of a job, and counts it as finished behind that, whether it panics or not.
#[inline(never)]
fn end<T>(held: Held<T>, size: usize, core: &Core<T>) {
    let _finish = Finish(core);
    match held {
        // It counts as in flight a little longer, so the queue is never taken for done in between.
        Held::PutBack(item) => core.put_back(Entry { item, size }),
        Held::Dropped(item) => drop(item),
        Held::Gone => {}
    }
}

impl<T> Drop for Finish<'_, T> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.held.get().expect(HAS_ITEM)
    }
}

impl<T> DerefMut for Job<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Held::Dropped(item) | Held::PutBack(item) => item,
            Held::Gone => panic!("{HAS_ITEM}"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("item", &self.held.get())
            .field("puts_back", &matches!(self.held, Held::PutBack(_)))
            .finish_non_exhaustive()
    }
}
