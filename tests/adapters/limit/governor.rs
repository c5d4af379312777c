//! governor: a quota, a clock of one's own as in the documentation of `clock`, `check_n`, `until_n_ready`, and keys.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Denied, Limit, Limiter, Permit, Rate, Request, Settings},
};
use governor::{
    InsufficientCapacity, NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};

use super::{NO_SUCH_THING, RATES_ONLY, clock::TokioClock};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "governor",
    package: "governor",
    docs: "https://docs.rs/governor/0.10.4/governor/struct.RateLimiter.html",
    adapter: &Governor,
    isolated: &[],
    fails: &[
        ("LIMIT-06", "the time for a permit is cut to whole nanoseconds (`Quota::per_second`)"),
        ("LIMIT-12", "that time is multiplied by the burst in 64 bits, and overflows (`Gcra::new`)"),
        ("LIMIT-19", "`until_ready` sleeps with futures-timer, in real time, whatever the clock"),
        ("LIMIT-49", "keys stay until `retain_recent` is called"),
    ],
};

struct Governor;

impl Adapter<Settings> for Governor {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Rate
            | Capability::Try
            | Capability::Wait
            | Capability::Mixed
            | Capability::Weights
            | Capability::Burst
            | Capability::RetryAfter
            | Capability::NeverFits
            | Capability::Keys
            | Capability::CountKeys => Ok(()),
            Capability::Concurrency => Err(RATES_ONLY),
            Capability::SetRate | Capability::SetBurst => Err("a quota does not change"),
            Capability::Deadline => Err("wrap it in `tokio::time::timeout`"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Limit::Bucket { rate, burst } = settings.limit else {
            return Err(AdapterError::NotExpressible(RATES_ONLY));
        };
        let (quota, clock) = (quota(rate)?.allow_burst(number(burst)?), TokioClock::new());
        Ok(if settings.keyed {
            Box::new(Keyed { limiter: Arc::new(RateLimiter::hashmap_with_clock(quota, clock)), clock })
        } else {
            Box::new(Direct { limiter: Arc::new(RateLimiter::direct_with_clock(quota, clock)), clock })
        })
    }
}

fn number(number: u32) -> Result<NonZeroU32, AdapterError> {
    NonZeroU32::new(number).ok_or(AdapterError::NotExpressible("numbers are `NonZeroU32`"))
}

/// The constructor that has the name of the time, if there is one.
fn quota(rate: Rate) -> Result<Quota, AdapterError> {
    let permits = number(rate.permits)?;
    Ok(match rate.per.as_millis() {
        1_000 => Quota::per_second(permits),
        60_000 => Quota::per_minute(permits),
        3_600_000 => Quota::per_hour(permits),
        _ => {
            let quota = Quota::with_period(rate.per / rate.permits);
            quota.ok_or_else(|| AdapterError::Refused("a period of zero".to_owned()))?
        }
    })
}

struct Direct {
    limiter: Arc<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>>,
    clock: TokioClock,
}

impl Limiter for Direct {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        answer(self.limiter.check_n(permits(request)), self.clock)
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let limiter = self.limiter.clone();
        Box::pin(async move { ready(limiter.until_n_ready(permits(request)).await) })
    }
}

struct Keyed {
    limiter: Arc<RateLimiter<u32, HashMapStateStore<u32>, TokioClock, NoOpMiddleware<Nanos>>>,
    clock: TokioClock,
}

impl Limiter for Keyed {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let key = request.key.unwrap_or_default();
        answer(self.limiter.check_key_n(&key, permits(request)), self.clock)
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let limiter = self.limiter.clone();
        Box::pin(async move {
            let key = request.key.unwrap_or_default();
            ready(limiter.until_key_n_ready(&key, permits(request)).await)
        })
    }

    fn keys(&self) -> usize {
        self.limiter.len()
    }
}

fn permits(request: Request) -> NonZeroU32 {
    NonZeroU32::new(request.permits).unwrap_or(NonZeroU32::MIN)
}

fn ready(turn: Result<(), InsufficientCapacity>) -> Result<Permit, Denied> {
    turn.map(Permit::new).map_err(|_| Denied::NeverFits)
}

type Checked = Result<Result<(), NotUntil<Nanos>>, InsufficientCapacity>;

fn answer(checked: Checked, clock: TokioClock) -> Result<Permit, Denied> {
    match checked {
        Ok(Ok(())) => Ok(Permit::new(())),
        Ok(Err(not_until)) => {
            let wait: Duration = not_until.wait_time_from(clock.now());
            Err(Denied::Busy(Some(wait)))
        }
        Err(_) => Err(Denied::NeverFits),
    }
}
