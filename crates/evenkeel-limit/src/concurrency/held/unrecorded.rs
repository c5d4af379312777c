//! The part of a permit without the feature `inspect`: its limiter, its weight, and what was measured.

use tokio::time::Instant;

use super::LimiterRef;
use crate::{
    concurrency::{
        adaptive::{Sample, WorkResult},
        state::Grant,
    },
    sync::edges::CallPlace,
};

pub(in super::super) struct Held<'a> {
    limiter: LimiterRef<'a>,
    weight: u32,
    /// The time of the grant and the weight in use then, if the limit adapts. Most permits do not have it: their drop looks at
    /// one value.
    extra: Option<(Instant, u64)>,
    result: Option<WorkResult>,
}

impl<'a> Held<'a> {
    #[inline]
    pub(in super::super) fn new(limiter: LimiterRef<'a>, grant: Grant, _: CallPlace) -> Self {
        let extra = grant.measured.map(|in_use| (Instant::now(), in_use));
        Self { limiter, weight: grant.weight, extra, result: None }
    }

    pub(in super::super) fn weight(&self) -> u32 {
        self.weight
    }

    /// Puts it back with this result.
    pub(in super::super) fn report(mut self, result: WorkResult) {
        self.result = Some(result);
    }

    #[inline(never)]
    fn put_back_measured(&self) {
        if let Some((started, in_use)) = self.extra {
            let sample = self.result.map(|result| Sample { result, started, now: Instant::now(), in_use });
            self.limiter.core.put_back_measured(self.weight, |_| sample);
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.extra {
            None => self.limiter.core.put_back(self.weight),
            Some(_) => self.put_back_measured(),
        }
    }
}
