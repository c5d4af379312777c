//! ratelimit: a builder with a clock, `period`, `max_tokens` and `initial_available`, and `try_wait_n`, as in its
//! documentation.

use evenkeel_tck::{
    Adapter, AdapterError,
    limit::{Capability, Change, Denied, Limit, Limiter, Permit, Request, Settings},
};
use ratelimit::{Builder, Ratelimiter, TryWaitError};

use super::{NO_SUCH_THING, RATES_ONLY, clock::TokioClock};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "ratelimit",
    package: "ratelimit",
    docs: "https://docs.rs/ratelimit/2.0.0/ratelimit/struct.Ratelimiter.html",
    adapter: &Ratelimit,
    isolated: &[],
    fails: &[
        (
            "LIMIT-05",
            "what was earned is cut to millionths, and the time starts anew (`Ratelimiter::refill`)",
        ),
        ("LIMIT-13", "\"a rate of 0 means unlimited\""),
        ("LIMIT-16", "the wait is rounded down (`wait_ns_for_deficit`)"),
        (
            "LIMIT-37",
            "the next `try_wait` counts all time since the last one at the new rate (`Ratelimiter::refill`)",
        ),
        ("LIMIT-39", "a bucket that was full fills up by the time before the change, as LIMIT-37"),
    ],
};

struct Ratelimit;

impl Adapter<Settings> for Ratelimit {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Rate
            | Capability::Try
            | Capability::Weights
            | Capability::Burst
            | Capability::StartEmpty
            | Capability::RetryAfter
            | Capability::NeverFits
            | Capability::SetRate
            | Capability::SetBurst => Ok(()),
            Capability::Concurrency => Err(RATES_ONLY),
            Capability::Wait => Err("the caller sleeps"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Limit::Bucket { rate, burst } = settings.limit else {
            return Err(AdapterError::NotExpressible(RATES_ONLY));
        };
        let limiter = Builder::with_clock(rate.permits.into(), TokioClock::new())
            .period(rate.per)
            .max_tokens(burst.into())
            .initial_available(if settings.starts_empty { 0 } else { burst.into() })
            .build();
        Ok(Box::new(Bucket(limiter.map_err(|error| AdapterError::Refused(error.to_string()))?)))
    }
}

struct Bucket(Ratelimiter<TokioClock>);

impl Limiter for Bucket {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        self.0.try_wait_n(request.permits.into()).map(Permit::new).map_err(|error| match error {
            TryWaitError::Insufficient(wait) => Denied::Busy(Some(wait)),
            TryWaitError::ExceedsCapacity => Denied::NeverFits,
            _ => Denied::Busy(None),
        })
    }

    fn change(&self, change: Change) {
        match change {
            Change::Rate(rate) => self.0.set_rate_per(rate.permits.into(), rate.per),
            Change::Burst(burst) => self.0.set_max_tokens(burst.into()),
            _ => unreachable!("it has no words for {change:?}"),
        }
    }
}
