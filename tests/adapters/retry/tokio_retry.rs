//! tokio-retry: `RetryIf::start(strategy, action, condition)`, with strategies as in the documentation of the crate.

use std::time::Duration;

use evenkeel_tck::{
    Adapter, AdapterError,
    retry::{Capability, Growth, Hint, Jitter, Operation, Policy, Refused, Settings},
};
use tokio_retry::{
    RetryIf,
    strategy::{ExponentialBackoff, FixedInterval, jitter},
};

use super::{COUNTS_RETRIES, NO_SUCH_SETTING, ONLY_ERRORS};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-retry",
    package: "tokio-retry",
    docs: "https://docs.rs/tokio-retry/0.3.2/tokio_retry/index.html",
    adapter: &TokioRetry,
    // Its poll calls itself for each retry.
    isolated: &["RETRY-24"],
    fails: &[
        ("RETRY-02", "`RetryIf::start` runs the action (src/lib.rs)"),
        ("RETRY-19", "`Instant::now() + duration` overflows (`RetryIf::retry`)"),
        ("RETRY-21", "a delay of zero is slept, too (`RetryIf::retry`)"),
    ],
};

struct TokioRetry;

type Delays = Box<dyn Iterator<Item = Duration> + Send>;

impl Adapter<Settings> for TokioRetry {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Jitter => Ok(()),
            Capability::Responses => Err(ONLY_ERRORS),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let retries =
            settings.max_attempts.checked_sub(1).ok_or(AdapterError::NotExpressible(COUNTS_RETRIES))?
                as usize;
        delays(settings).map(drop)?;
        let settings = settings.clone();
        Ok(Policy::new(move |operation: Operation| {
            let delays = delays(&settings).expect("it was asked for above");
            RetryIf::start(
                delays.take(retries),
                move || operation.call(),
                |error: &Refused| error.hint != Hint::Permanent,
            )
        }))
    }
}

fn delays(settings: &Settings) -> Result<Delays, AdapterError> {
    let millis = settings.initial.as_millis() as u64;
    let is_even = settings.initial == Duration::from_millis(millis) && millis.is_multiple_of(2);
    let delays: Delays = match settings.growth {
        Growth::Fixed => Box::new(FixedInterval::new(settings.initial)),
        // Delays are base^n * factor, so that they double if the base is 2.
        Growth::Exponential(2.0) if is_even => {
            Box::new(ExponentialBackoff::from_millis(2).factor(millis / 2).max_delay(settings.cap))
        }
        _ => return Err(AdapterError::NotExpressible("delays are powers of a whole number of milliseconds")),
    };
    match settings.jitter {
        None => Ok(delays),
        Some(Jitter::Percent(_)) => Err(AdapterError::NotExpressible("jitter has no width")),
        Some(_) => Ok(Box::new(delays.map(jitter))),
    }
}
