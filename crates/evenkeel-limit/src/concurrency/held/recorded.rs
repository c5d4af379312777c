//! The part of a permit with the feature `inspect`: its core, and its weight with the record of the holder.

use std::{mem, ops::Deref, sync::Arc};

use super::LimiterRef;
use crate::{
    concurrency::{adaptive::WorkResult, hold::Hold, inspect::SharedCore, state::Grant},
    sync::edges::CallPlace,
};

/// The core of a limiter that is borrowed or shared.
pub(in super::super) enum CoreRef<'a> {
    Borrowed(&'a SharedCore),
    Owned(Arc<SharedCore>),
}

impl<'a> LimiterRef<'a> {
    /// Returns the core, borrowed or shared as the limiter is.
    pub(in super::super) fn core_ref(&self) -> CoreRef<'a> {
        match self {
            Self::Borrowed(limiter) => CoreRef::Borrowed(limiter.core.shared()),
            Self::Owned(limiter) => CoreRef::Owned(Arc::clone(limiter.core.shared())),
        }
    }
}

impl Deref for CoreRef<'_> {
    type Target = SharedCore;

    #[inline]
    fn deref(&self) -> &SharedCore {
        match self {
            Self::Borrowed(core) => core,
            Self::Owned(core) => core,
        }
    }
}

pub(in super::super) struct Held<'a> {
    core: CoreRef<'a>,
    hold: Hold,
}

impl<'a> Held<'a> {
    /// Records a grant of the state, if the limiter has a name.
    pub(in super::super) fn new(limiter: LimiterRef<'a>, grant: Grant, call: CallPlace) -> Self {
        let core = limiter.core_ref();
        let hold = core.hold(grant, call);
        Self { core, hold }
    }

    #[inline]
    pub(in super::super) fn of(core: CoreRef<'a>, hold: Hold) -> Self {
        Self { core, hold }
    }

    pub(in super::super) fn weight(&self) -> u32 {
        match self.hold {
            Hold::Unrecorded { weight }
            | Hold::Unread { weight, .. }
            | Hold::Timed { weight, .. }
            | Hold::Listed { weight, .. }
            | Hold::Measured { weight, .. } => weight,
            Hold::Added | Hold::Returned => 0,
        }
    }

    /// Puts it back with this result.
    pub(in super::super) fn report(mut self, result: WorkResult) {
        self.finish(Some(result));
    }

    /// Puts back a permit that has a record. One without a time needs no registers to be saved.
    #[inline(never)]
    fn put_back_recorded(&mut self) {
        if let Hold::Unread { weight, record } = self.hold {
            // The record ends before the weight goes back.
            record.end();
            if self.core.add(weight) {
                return;
            }
            self.hold = Hold::Added;
        }
        self.finish(None);
    }

    /// Puts back what has not gone back yet.
    #[inline(never)]
    fn finish(&mut self, result: Option<WorkResult>) {
        let core = &*self.core;
        match mem::replace(&mut self.hold, Hold::Returned) {
            Hold::Unread { weight, record } => {
                record.end();
                core.put_back(weight);
            }
            Hold::Unrecorded { weight } => core.put_back(weight),
            Hold::Timed { weight, record } => {
                core.end_timed(record);
                core.put_back(weight);
            }
            Hold::Listed { weight, key } => match core.end_listed(key) {
                Some(key) => core.put_back_measured(weight, |state| state.take_measured(key, result)),
                None => core.put_back(weight),
            },
            Hold::Measured { weight, key } => {
                core.put_back_measured(weight, |state| state.take_measured(key, result));
            }
            Hold::Added => core.settle(),
            Hold::Returned => {}
        }
    }
}

impl Drop for Held<'_> {
    // Small, to be inlined where a permit is dropped.
    #[inline]
    fn drop(&mut self) {
        match self.hold {
            Hold::Unrecorded { weight } => self.core.put_back(weight),
            _ => self.put_back_recorded(),
        }
    }
}
