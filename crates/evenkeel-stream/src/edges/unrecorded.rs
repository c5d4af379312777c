//! Types without size, which record nothing.

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace;

impl CallPlace {
    #[inline]
    pub(crate) const fn here() -> Self {
        Self
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitRecord;

impl WaitRecord {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn here() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn polled_here(&mut self) {
        let _ = self;
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceWait;

impl SourceWait {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn begin(&mut self, _: u64) {
        let _ = self;
    }
}

#[derive(Debug)]
pub(crate) struct BatchEdge;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl BatchEdge {
    pub(crate) const fn new(_: CallPlace, _: usize) -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn waits(&mut self, _: usize, _: Option<Instant>) {}

    #[inline]
    pub(crate) const fn ends(&self) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemEdge;

impl ItemEdge {
    pub(crate) const fn none() -> Self {
        Self
    }
}

/// The items of a worker.
#[derive(Debug)]
pub(crate) struct ItemRecord;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl ItemRecord {
    pub(crate) const fn none() -> Self {
        Self
    }

    #[inline]
    pub(crate) fn is_pending(&mut self, _: impl FnOnce(ItemEdge)) {}

    #[inline]
    pub(crate) const fn ends(&mut self) {}
}

#[derive(Clone, Debug)]
pub(crate) struct WorkersEdge;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl WorkersEdge {
    pub(crate) const fn new<T>(_: &T, _: usize, _: CallPlace) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn watch<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work
    }
}
