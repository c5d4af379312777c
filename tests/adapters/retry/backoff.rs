//! backoff: `retry_notify` with an exponential or a constant backoff, as in the documentation of the module `future`.

use std::time::Duration;

use backoff::{
    Error, ExponentialBackoff, ExponentialBackoffBuilder,
    backoff::{Backoff, Constant},
    future::retry_notify,
};
use evenkeel_tck::{
    Adapter, AdapterError,
    retry::{Capability, Growth, Hint, Jitter, Operation, Policy, Refused, Settings},
};

use super::{NO_SUCH_SETTING, ONLY_ERRORS};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "backoff",
    package: "backoff",
    docs: "https://docs.rs/backoff/0.4.0/backoff/future/index.html",
    adapter: &BackoffCrate,
    // Without a clock that moves, its limit for the time is never reached.
    isolated: &["RETRY-32"],
    fails: &[
        ("RETRY-02", "`Retry::new` calls the operation (src/future.rs)"),
        ("RETRY-12", "`Retry::poll` calls the operation right after it has made the delay (src/future.rs)"),
        (
            "RETRY-14",
            "the maximum is applied where the delay grows, so not to the first (`increment_current_interval`)",
        ),
        ("RETRY-18", "not a number becomes zero nanoseconds (`nanos_to_duration`)"),
        ("RETRY-21", "a delay of zero is slept, too (`TokioSleeper`)"),
        (
            "RETRY-25",
            "up to half of the delay is added after the maximum was applied (`get_random_value_from_interval`)",
        ),
        (
            "RETRY-30",
            "the range begins below zero, which becomes zero nanoseconds (`get_random_value_from_interval`)",
        ),
        ("RETRY-32", "elapsed time is that of the standard library's clock (`SystemClock`)"),
        ("RETRY-38", "an error with `retry_after` is retried without asking the backoff (`Retry::poll`)"),
    ],
};

struct BackoffCrate;

impl Adapter<Settings> for BackoffCrate {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Jitter | Capability::TotalTimeout | Capability::RetryAfter | Capability::Observer => {
                Ok(())
            }
            Capability::ResetAfter => Err("`Backoff::reset` is called once, before the first attempt"),
            Capability::Responses => Err(ONLY_ERRORS),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let retries = settings.max_attempts.checked_sub(1);
        let left = retries.ok_or(AdapterError::NotExpressible("it has no limit for attempts"))?;
        let settings = settings.clone();
        Ok(Policy::new(move |operation: Operation| {
            let observed = operation.clone();
            let limited = Limited { left, backoff: backoff(&settings) };
            let attempt = move || {
                let attempt = operation.call();
                async move { attempt.await.map_err(error) }
            };
            retry_notify(limited, attempt, move |_, delay| observed.observed(delay))
        }))
    }
}

fn backoff(settings: &Settings) -> Box<dyn Backoff + Send> {
    let (factor, cap) = match settings.growth {
        Growth::Exponential(factor) => (factor, settings.cap),
        _ if settings.total_timeout.is_none() && settings.jitter.is_none() => {
            return Box::new(Constant::new(settings.initial));
        }
        _ => (1.0, settings.initial),
    };
    let mut builder = ExponentialBackoffBuilder::new();
    builder
        .with_initial_interval(settings.initial)
        .with_multiplier(factor)
        .with_max_interval(cap)
        .with_max_elapsed_time(settings.total_timeout);
    match settings.jitter {
        None => builder.with_randomization_factor(0.0),
        Some(Jitter::Percent(percent)) => builder.with_randomization_factor(f64::from(percent) / 100.0),
        Some(_) => &mut builder,
    };
    let backoff: ExponentialBackoff = builder.build();
    Box::new(backoff)
}

fn error(error: Refused) -> Error<Refused> {
    match error.hint {
        Hint::Permanent => Error::permanent(error),
        Hint::RetryAfter(wait) => Error::retry_after(error, wait),
        _ => Error::transient(error),
    }
}

/// A limit for attempts, which the crate does not have, by means of the trait that it offers for backoffs of one's own.
struct Limited {
    left: u32,
    backoff: Box<dyn Backoff + Send>,
}

impl Backoff for Limited {
    fn reset(&mut self) {
        self.backoff.reset();
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        self.backoff.next_backoff()
    }
}
