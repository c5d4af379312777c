//! tokio-retry2: `Retry::spawn_notify(strategy, action, notify)`, with strategies and errors as in the documentation of
//! the crate.

use std::time::Duration;

use evenkeel_tck::{
    Adapter, AdapterError,
    retry::{Capability, Growth, Hint, Jitter, Operation, Policy, Refused, Settings},
};
use tokio_retry2::{
    Retry, RetryError,
    strategy::{ExponentialFactorBackoff, FixedInterval, MaxInterval, jitter},
};

use super::{COUNTS_RETRIES, NO_SUCH_SETTING, ONLY_ERRORS};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-retry2",
    package: "tokio-retry2",
    docs: "https://docs.rs/tokio-retry2/0.9.1/tokio_retry2/index.html",
    adapter: &TokioRetry2,
    // Its poll calls itself for each retry; and without a clock that moves, its limit for the time is never reached.
    isolated: &["RETRY-24", "RETRY-32"],
    fails: &[
        ("RETRY-02", "`RetryIf::spawn` runs the action (src/future.rs)"),
        (
            "RETRY-18",
            "not a number, and what is below zero, become zero milliseconds (`ExponentialFactorBackoff::next`)",
        ),
        ("RETRY-19", "`Instant::now() + duration` overflows (`RetryIf::retry`)"),
        ("RETRY-21", "a delay of zero is slept, too (`RetryIf::retry`)"),
        (
            "RETRY-25",
            "`jitter`, mapped over the strategy as in its example, makes up to 1.5 of what `max_delay` allows",
        ),
        ("RETRY-32", "elapsed time is that of the standard library's clock (`MaxIntervalIterator`)"),
        ("RETRY-37", "what is slept is the strategy's delay, whatever the error asks for (`RetryIf::retry`)"),
        ("RETRY-42", "the observer is told before the strategy is asked for another delay (`RetryIf::poll`)"),
        (
            "RETRY-43",
            "what is told is the sum of the delays so far, without the one to come (`RetryIf::poll`)",
        ),
        (
            "RETRY-73",
            "the strategy's delay is added to what the error asks for, which overflows (`RetryIf::retry`)",
        ),
    ],
};

struct TokioRetry2;

type Delays = Box<dyn Iterator<Item = Duration> + Send>;

impl Adapter<Settings> for TokioRetry2 {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Jitter | Capability::TotalTimeout | Capability::RetryAfter | Capability::Observer => {
                Ok(())
            }
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
            let observed = operation.clone();
            let attempt = move || {
                let attempt = operation.call();
                async move { attempt.await.map_err(error) }
            };
            let notify = move |_: &Refused, delay: Duration| observed.observed(delay);
            Retry::spawn_notify(delays.take(retries), attempt, notify)
        }))
    }
}

fn delays(settings: &Settings) -> Result<Delays, AdapterError> {
    let millis = settings.initial.as_millis() as u64;
    let mut delays: Delays = match settings.growth {
        Growth::Exponential(factor) if settings.initial == Duration::from_millis(millis) => {
            Box::new(ExponentialFactorBackoff::from_millis(millis, factor).max_delay(settings.cap))
        }
        Growth::Fixed => Box::new(FixedInterval::new(settings.initial)),
        _ => return Err(AdapterError::NotExpressible("delays are whole numbers of milliseconds")),
    };
    if let Some(longest) = settings.total_timeout {
        delays = Box::new(delays.max_duration(longest));
    }
    match settings.jitter {
        None => Ok(delays),
        Some(Jitter::Percent(_)) => {
            Err(AdapterError::NotExpressible("jitter is a range of factors, not a width"))
        }
        Some(_) => Ok(Box::new(delays.map(jitter))),
    }
}

fn error(error: Refused) -> RetryError<Refused> {
    match error.hint {
        Hint::Permanent => RetryError::permanent(error),
        Hint::RetryAfter(wait) => RetryError::retry_after(error, wait),
        _ => RetryError::transient(error),
    }
}
