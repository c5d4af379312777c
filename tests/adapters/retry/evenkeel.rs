//! Ours: `Policy::run`, `run_with` where attempts have keys, and the tower layer where responses are judged.

use std::{future::pending, time::Duration};

use evenkeel::retry::{
    Attempt, Backoff, Budget, GaveUp as Limit, Jitter, Policy as Ours, RetryError, Verdict, tower::RetryLayer,
};
use evenkeel_tck::{
    Adapter, AdapterError,
    retry::{
        Capability, Growth, Hint, Jitter as Wanted, Operation, Outcome, Policy, Reason, Refused, Settings,
    },
};
use tower::{Layer, ServiceExt, service_fn};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-retry",
    docs: "https://docs.rs/evenkeel-retry",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let mut policy = Ours::new(backoff(settings)?)
            .max_attempts(settings.max_attempts)
            .attempt_timeout(settings.attempt_timeout.unwrap_or(Duration::MAX));
        if let Some(longest) = settings.total_timeout {
            policy = policy.total_timeout(longest);
        }
        if let Some(healthy) = settings.reset_after {
            policy = policy.reset_after(healthy);
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
        let Settings { stop_after, at_most_once, deadline, .. } = *settings;
        // A policy is usually a `static`, and its calls borrow it.
        let policy: &'static Ours = Box::leak(Box::new(policy));
        let is_plain = stop_after.is_none() && !at_most_once && deadline.is_none();
        match (settings.responses, settings.idempotency_keys) {
            (false, false) => {}
            (true, false) if is_plain => return Ok(layered(policy)),
            (false, true) if is_plain => return Ok(keyed(policy)),
            _ => return Err(AdapterError::NotExpressible("this adapter asks for one of them at a time")),
        }
        Ok(Policy::new(move |operation: Operation| {
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
            let run = if let Some(at) = deadline { run.deadline(at) } else { run };
            async move { run.await.map_or_else(gave_up, Outcome::from) }
        }))
    }
}

fn keyed(policy: &'static Ours) -> Policy {
    Policy::new(move |operation: Operation| {
        let attempt = move |attempt: Attempt| {
            operation.keyed(attempt.key());
            operation.call()
        };
        let run = policy.run_with(attempt).classify(verdict);
        async move { run.await.map_or_else(gave_up, Outcome::from) }
    })
}

fn layered(policy: &'static Ours) -> Policy {
    Policy::new(move |operation: Operation| {
        let judged = operation.clone();
        let judge = move |response: &u32| judged.judge(*response).map_or(Verdict::Permanent, meant);
        let retry = RetryLayer::new(policy, |(): &()| Some(()), verdict).classify_response(judge);
        let service = retry.layer(service_fn(move |()| operation.call()));
        async move { service.oneshot(()).await.map_or_else(gave_up, Outcome::from) }
    })
}

fn backoff(settings: &Settings) -> Result<Backoff, AdapterError> {
    let backoff = match settings.growth {
        Growth::Fixed => Backoff::fixed(settings.initial),
        Growth::Exponential(2.0) => Backoff::exponential(settings.initial, settings.cap),
        _ => return Err(AdapterError::NotExpressible("a ratio is two whole numbers, and at least 1")),
    };
    Ok(backoff.jitter(match settings.jitter {
        None => Jitter::None,
        Some(Wanted::Percent(percent)) => Jitter::Percent(u8::try_from(percent).unwrap_or(u8::MAX)),
        Some(_) => Jitter::Full,
    }))
}

fn verdict(error: &Refused) -> Verdict {
    meant(error.hint)
}

fn meant(hint: Hint) -> Verdict {
    match hint {
        Hint::Permanent => Verdict::Permanent,
        Hint::RetryAfter(wait) => Verdict::RetryAfter(wait),
        Hint::NotSent => Verdict::NotSent,
        _ => Verdict::Retry,
    }
}

fn gave_up(error: RetryError<Refused>) -> Outcome {
    let told = Outcome::gave_up(error.last);
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
