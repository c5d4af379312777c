//! Types without size, which record nothing.

use std::marker::PhantomData;

use tokio::time::Instant;

use super::Caller;
use crate::SourceError;

#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace;

impl CallPlace {
    pub(crate) const fn here() -> Self {
        Self
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DumpInstant;

impl DumpInstant {
    pub(crate) const fn now() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(crate) struct StageEdges;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl StageEdges {
    pub(crate) const fn new(_: CallPlace, _: &'static str) -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn begin_wait(&self, _: Instant) {}

    #[inline]
    pub(crate) const fn end_wait(&self) {}

    #[inline]
    pub(crate) const fn end_at_once(&self) {}

    #[inline]
    pub(crate) const fn batch_failed(&self, _: &str) {}

    #[inline]
    pub(crate) const fn batch_done(&self) {}
}

#[derive(Debug)]
pub(crate) struct Hold<'a>(PhantomData<&'a StageEdges>);

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl<'a> Hold<'a> {
    #[inline]
    pub(crate) const fn none() -> Self {
        Self(PhantomData)
    }

    #[inline]
    pub(crate) const fn begin(&mut self, _: &'a StageEdges, _: Instant) {}

    #[inline]
    pub(crate) const fn end(&mut self, _: Instant) {}
}

#[derive(Clone, Debug)]
pub(crate) struct SourceEdges;

#[derive(Debug)]
pub(crate) struct Calling;

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl Calling {
    pub(crate) const fn end(self) {}
}

#[expect(clippy::unused_self, reason = "there is nothing to record")]
impl SourceEdges {
    pub(crate) const fn new(_: CallPlace) -> Self {
        Self
    }

    #[inline]
    pub(crate) const fn call(&self, _: Caller, _: &'static str, _: usize) -> Calling {
        Calling
    }

    #[inline]
    pub(crate) const fn pause(&self, _: Caller, _: Instant) -> Calling {
        Calling
    }

    #[inline]
    pub(crate) const fn failed(&self, _: Caller, _: &SourceError) {}

    #[inline]
    pub(crate) const fn done(&self, _: Caller) {}
}
