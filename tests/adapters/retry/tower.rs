//! tower: `Retry` over a service, with a policy of one's own as in the documentation of `Policy` and of `budget`.

use std::{
    future::ready,
    hash::{BuildHasher, DefaultHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    retry::{
        Budget as Wanted, Capability, Growth, Hint, Jitter, Operation, Outcome, Policy, Refused, Settings,
    },
};
use tower::{
    BoxError, ServiceExt,
    retry::{
        self, Retry,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    service_fn,
    timeout::Timeout,
    util::rng::HasherRng,
};

use super::NO_SUCH_SETTING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tower",
    package: "tower",
    docs: "https://docs.rs/tower/0.5.3/tower/retry/trait.Policy.html",
    adapter: &Tower,
    isolated: &[],
    fails: &[
        ("RETRY-16", "the factor stops at 2^32 - 1 (`ExponentialBackoff::base`)"),
        ("RETRY-20", "`ResponseFuture::poll` goes on while the service and the policy's future are ready"),
        ("RETRY-26", "jitter is cut to what is left below the maximum (`ExponentialBackoff::jitter`)"),
        (
            "RETRY-28",
            "calls draw from clones of one generator: `make_backoff` clones it, and `Retry` the policy for each request",
        ),
        (
            "RETRY-31",
            "seconds and nanoseconds are multiplied apart, and cut to integers (`ExponentialBackoff::jitter`)",
        ),
        (
            "RETRY-48",
            "a share is one in a whole number: 0.6 and 0.9 are 1 (`TpsBudget::new`; tower-rs/tower#857)",
        ),
        ("RETRY-49", "what was withdrawn cannot be given back (`Budget`)"),
        ("RETRY-52", "the sum is read, and then the withdrawal written (`TpsBudget::try_get`)"),
        (
            "RETRY-82",
            "the timer is polled after the service, and has no budget left then (`Timeout`'s `ResponseFuture::poll`)",
        ),
    ],
};

struct Tower;

impl Adapter<Settings> for Tower {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Jitter
            | Capability::Seed
            | Capability::AttemptTimeout
            | Capability::Budget
            | Capability::Responses => Ok(()),
            Capability::RetryAfter | Capability::Observer | Capability::ResetAfter => {
                Err("the policy is the user's own code")
            }
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let retries = settings.max_attempts.checked_sub(1);
        let retries = retries.ok_or(AdapterError::NotExpressible("the policy counts attempts itself"))?;
        let (backoff, budget) = (backoff(settings)?, settings.budget.map(budget));
        let limit = settings.attempt_timeout;
        Ok(Policy::new(move |operation: Operation| {
            let (backoff, budget) = (backoff.clone(), budget.clone());
            let policy = Attempts { retries, backoff, budget, operation: operation.clone() };
            let service = service_fn(move |()| operation.call());
            let call: BoxFuture<'static, Result<u32, BoxError>> = match limit {
                Some(limit) => Box::pin(Retry::new(policy, Timeout::new(service, limit)).oneshot(())),
                None => Box::pin(Retry::new(policy, service.map_err(BoxError::from)).oneshot(())),
            };
            // Any other error is the one of `Timeout`.
            async move {
                let gave_up = |error: BoxError| Outcome::gave_up(error.downcast_ref().copied());
                call.await.map_or_else(gave_up, Outcome::from)
            }
        }))
    }
}

#[derive(Clone)]
struct Attempts {
    retries: u32,
    backoff: Option<ExponentialBackoff<HasherRng<Seed>>>,
    budget: Option<Arc<TpsBudget>>,
    /// It knows which responses count as failures.
    operation: Operation,
}

impl retry::Policy<(), u32, BoxError> for Attempts {
    type Future = BoxFuture<'static, ()>;

    fn retry(&mut self, (): &mut (), result: &mut Result<u32, BoxError>) -> Option<Self::Future> {
        let hint = match result {
            Ok(response) => self.operation.judge(*response),
            Err(error) => Some(error.downcast_ref().map_or(Hint::Transient, |error: &Refused| error.hint)),
        };
        match hint {
            None => {
                self.budget.iter().for_each(|budget| budget.deposit());
                return None;
            }
            Some(Hint::Permanent) => return None,
            Some(_) => {}
        }
        self.retries = self.retries.checked_sub(1)?;
        if self.budget.as_ref().is_some_and(|budget| !budget.withdraw()) {
            return None;
        }
        Some(match &mut self.backoff {
            Some(backoff) => Box::pin(backoff.next_backoff()),
            None => Box::pin(ready(())),
        })
    }

    fn clone_request(&mut self, (): &()) -> Option<()> {
        Some(())
    }
}

/// No backoff where there is no delay: its longest must not be zero.
fn backoff(settings: &Settings) -> Result<Option<ExponentialBackoff<HasherRng<Seed>>>, AdapterError> {
    let longest = match settings.growth {
        Growth::Fixed if settings.initial.is_zero() => return Ok(None),
        Growth::Fixed => settings.initial,
        Growth::Exponential(2.0) => settings.cap,
        _ => return Err(AdapterError::NotExpressible("delays always double")),
    };
    let jitter = match settings.jitter {
        None => 0.0,
        Some(Jitter::Percent(percent)) => f64::from(percent) / 100.0,
        // The default of `ExponentialBackoffMaker`.
        Some(_) => 0.99,
    };
    let hasher = settings.seed.map_or_else(|| Seed::Random(RandomState::new()), Seed::Fixed);
    let maker =
        ExponentialBackoffMaker::new(settings.initial, longest, jitter, HasherRng::with_hasher(hasher));
    Ok(Some(maker.map_err(|error| AdapterError::Refused(error.to_string()))?.make_backoff()))
}

/// The reserve is what comes back in the time that deposits are kept.
fn budget(wanted: Wanted) -> Arc<TpsBudget> {
    let kept = if wanted.reserve.is_multiple_of(10) { 10 } else { 1 };
    let per_second = wanted.reserve / kept;
    Arc::new(TpsBudget::new(Duration::from_secs(kept.into()), per_second, wanted.percent as f32 / 100.0))
}

/// Where `HasherRng` takes its numbers from: by default a `RandomState`.
#[derive(Clone)]
enum Seed {
    Random(RandomState),
    Fixed(u64),
}

impl BuildHasher for Seed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        match self {
            Self::Random(state) => state.build_hasher(),
            Self::Fixed(seed) => {
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(*seed);
                hasher
            }
        }
    }
}
