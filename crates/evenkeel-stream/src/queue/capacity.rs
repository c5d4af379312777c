//! The capacity of a queue.

use std::fmt;

/// The most that a queue holds: a number of items, and optionally a number of bytes.
///
/// Items that were taken do not count, whether they are done or not.
///
/// # Examples
///
/// ```
/// use evenkeel_stream::{Capacity, queue};
///
/// let (bodies, _consumer) = queue(Capacity::items(1000).max_bytes(100, |body: &Vec<u8>| body.len()));
/// bodies.try_push(vec![0; 60]).unwrap();
/// bodies.try_push(vec![0; 60]).unwrap_err();
/// bodies.try_push(vec![0; 40]).unwrap();
/// ```
#[must_use]
pub struct Capacity<T> {
    pub(super) items: usize,
    pub(super) bytes: Option<Bytes<T>>,
}

pub(super) struct Bytes<T> {
    pub(super) max: usize,
    pub(super) size: Box<dyn Fn(&T) -> usize + Send + Sync>,
}

impl<T> Capacity<T> {
    /// Sets the maximum number of items.
    ///
    /// The queue allocates only what it holds, so `usize::MAX` is no bound.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub const fn items(items: usize) -> Self {
        assert!(items > 0, "the capacity of a queue must not be zero");
        Self { items, bytes: None }
    }

    /// Sets the maximum sum of the items' sizes; `size` returns that of an item, when it is pushed.
    ///
    /// An item counts as one byte at least and as `bytes` at most: one that is larger than the whole queue enters when
    /// the queue is empty. A panic of `size` is one of the push.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub fn max_bytes(self, bytes: usize, size: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        assert!(bytes > 0, "the capacity of a queue must not be zero");
        Self { bytes: Some(Bytes { max: bytes, size: Box::new(size) }), ..self }
    }
}

impl<T> Bytes<T> {
    pub(super) fn size_of(&self, item: &T) -> usize {
        (self.size)(item).clamp(1, self.max)
    }
}

impl<T> fmt::Debug for Capacity<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.as_ref().map(|bytes| bytes.max);
        f.debug_struct("Capacity").field("items", &self.items).field("bytes", &bytes).finish()
    }
}
