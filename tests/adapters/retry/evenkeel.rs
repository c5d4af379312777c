//! Ours.

use std::{future::pending, time::Duration};

use evenkeel::retry::{Backoff, Budget, GaveUp as Limit, Jitter, Policy as Ours, RetryError, Verdict};
use evenkeel_tck::{
    Unfit,
    retry::{Adapter, Capability, GaveUp, Growth, Hint, Jitter as Wanted, Policy, Reason, Refused, Settings},
};

use crate::adapters::Peer;

pub(super) const PEER: Peer<dyn Adapter> = Peer {
    name: "evenkeel",
    package: "evenkeel-retry",
    docs: "https://docs.rs/evenkeel-retry",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn policy(&self, settings: &Settings) -> Result<Policy, Unfit> {
        let mut policy = Ours::new(backoff(settings)?)
            .max_attempts(settings.max_attempts)
            .attempt_timeout(settings.attempt_timeout.unwrap_or(Duration::MAX));
        if let Some(longest) = settings.total_timeout {
            policy = policy.total_timeout(longest);
        }
        if let Some(longest) = settings.max_retry_after {
            policy = policy.max_retry_after(longest);
        }
        if let Some(seed) = settings.seed {
            policy = policy.seed(seed);
        }
        if let Some(wanted) = settings.budget {
            let budget = Budget::percent(wanted.percent).reserve(wanted.reserve);
            policy = policy.budget(budget.per_second(wanted.per_second));
        }
        let (stop_after, at_most_once) = (settings.stop_after, settings.at_most_once);
        // A policy is usually a `static`, and its calls borrow it.
        let policy: &'static Ours = Box::leak(Box::new(policy));
        Ok(Policy::new(move |operation| {
            let observed = operation.clone();
            let run = policy
                .run(move || operation.call())
                .classify(verdict)
                .observe(move |retry| observed.observed(retry.delay))
                .until(async move {
                    match stop_after {
                        Some(after) => tokio::time::sleep(after).await,
                        None => pending().await,
                    }
                });
            let run = if at_most_once { run.at_most_once() } else { run };
            async move { run.await.map_err(gave_up) }
        }))
    }
}

fn backoff(settings: &Settings) -> Result<Backoff, Unfit> {
    let backoff = match settings.growth {
        Growth::Fixed => Backoff::fixed(settings.initial),
        Growth::Exponential(2.0) => Backoff::exponential(settings.initial, settings.cap),
        _ => return Err(Unfit::NotExpressible("a ratio is two whole numbers, and at least 1")),
    };
    Ok(backoff.jitter(match settings.jitter {
        None => Jitter::None,
        Some(Wanted::Percent(percent)) => Jitter::Percent(u8::try_from(percent).unwrap_or(u8::MAX)),
        Some(_) => Jitter::Full,
    }))
}

fn verdict(error: &Refused) -> Verdict {
    match error.hint {
        Hint::Permanent => Verdict::Permanent,
        Hint::RetryAfter(wait) => Verdict::RetryAfter(wait),
        Hint::NotSent => Verdict::NotSent,
        _ => Verdict::Retry,
    }
}

fn gave_up(error: RetryError<Refused>) -> GaveUp {
    let told = GaveUp::new(error.last);
    match error.reason {
        Limit::Permanent => told.because(Reason::Permanent),
        Limit::Attempts => told.because(Reason::Attempts),
        Limit::Deadline => told.because(Reason::TotalTimeout),
        Limit::RetryAfter(_) => told.because(Reason::RetryAfter),
        Limit::Budget => told.because(Reason::Budget),
        Limit::AtMostOnce => told.because(Reason::AtMostOnce),
        Limit::Cancelled => told.because(Reason::Stopped),
        _ => told,
    }
}
