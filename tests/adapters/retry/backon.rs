//! backon: closures with `.retry(builder).when(..).notify(..).adjust(..)`, as in the documentation of `Retryable` and
//! `Retry`.

use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder, Retryable};
use evenkeel_tck::{
    Adapter, AdapterError,
    retry::{Capability, Growth, Hint, Jitter, Operation, Policy, Refused, Settings},
};

use super::{COUNTS_RETRIES, NO_SUCH_SETTING, ONLY_ERRORS};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "backon",
    package: "backon",
    docs: "https://docs.rs/backon/1.6.0/backon/struct.Retry.html",
    adapter: &Backon,
    isolated: &[],
    fails: &[
        (
            "RETRY-11",
            "delays are multiplied in `f32`: 200 ms becomes 200.000003 ms (`saturating_mul`, src/backoff/exponential.rs)",
        ),
        ("RETRY-14", "the first delay is `min_delay`, whatever the maximum (`ExponentialBackoff::next`)"),
        ("RETRY-21", "a delay of zero is slept, too (`TokioSleeper`)"),
        ("RETRY-25", "jitter is added after the maximum was applied (`ExponentialBackoff::next`)"),
        (
            "RETRY-38",
            "`adjust`, used as in its example, gives a delay where the backoff has none left (`Retry::poll`)",
        ),
        (
            "RETRY-71",
            "what jitter adds to a constant delay overflows (`ConstantBackoff::next`, src/backoff/constant.rs)",
        ),
    ],
};

struct Backon;

impl Adapter<Settings> for Backon {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Jitter | Capability::Seed | Capability::RetryAfter | Capability::Observer => Ok(()),
            Capability::TotalTimeout => Err("`with_total_delay` bounds the sum of the delays, not the time"),
            Capability::Responses => Err(ONLY_ERRORS),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let retries =
            settings.max_attempts.checked_sub(1).ok_or(AdapterError::NotExpressible(COUNTS_RETRIES))?
                as usize;
        if matches!(settings.jitter, Some(Jitter::Percent(_))) {
            return Err(AdapterError::NotExpressible("jitter has no width"));
        }
        let is_jittered = settings.jitter.is_some();
        Ok(match settings.growth {
            Growth::Exponential(factor) => {
                let mut builder = ExponentialBuilder::new()
                    .with_min_delay(settings.initial)
                    .with_factor(factor as f32)
                    .with_max_delay(settings.cap)
                    .with_max_times(retries);
                if is_jittered {
                    builder = builder.with_jitter();
                }
                if let Some(seed) = settings.seed {
                    builder = builder.with_jitter_seed(seed);
                }
                Policy::new(move |operation: Operation| retry(builder, operation))
            }
            _ => {
                let builder = ConstantBuilder::new().with_delay(settings.initial).with_max_times(retries);
                let builder = if is_jittered { builder.with_jitter() } else { builder };
                Policy::new(move |operation: Operation| retry(builder, operation))
            }
        })
    }
}

fn retry<B: BackoffBuilder>(builder: B, operation: Operation) -> impl Future<Output = Result<u32, Refused>> {
    let observed = operation.clone();
    (move || operation.call())
        .retry(builder)
        .when(|error: &Refused| error.hint != Hint::Permanent)
        .notify(move |_: &Refused, delay| observed.observed(delay))
        .adjust(adjust)
}

/// As in the example of `Retry::adjust`, which reads the header `Retry-After`.
fn adjust(error: &Refused, delay: Option<Duration>) -> Option<Duration> {
    match error.hint {
        Hint::RetryAfter(wait) => Some(wait),
        _ => delay,
    }
}
