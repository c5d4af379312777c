//! The part of a permit that is put back when it is dropped: with the feature `inspect`, and without it.

#[cfg(feature = "inspect")]
mod recorded;
#[cfg(not(feature = "inspect"))]
mod unrecorded;

use std::{ops::Deref, sync::Arc};

#[cfg(feature = "inspect")]
pub(super) use self::recorded::{CoreRef, Held};
#[cfg(not(feature = "inspect"))]
pub(super) use self::unrecorded::Held;
use super::limiter::ConcurrencyLimiter;

/// A limiter that is borrowed or shared.
#[derive(Clone)]
pub(super) enum LimiterRef<'a> {
    Borrowed(&'a ConcurrencyLimiter),
    Owned(Arc<ConcurrencyLimiter>),
}

impl Deref for LimiterRef<'_> {
    type Target = ConcurrencyLimiter;

    #[inline]
    fn deref(&self) -> &ConcurrencyLimiter {
        match self {
            Self::Borrowed(limiter) => limiter,
            Self::Owned(limiter) => limiter,
        }
    }
}
