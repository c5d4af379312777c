//! leaky-bucket: a builder with `initial`, `max`, `refill` and `interval`, `try_acquire` and `acquire`, as in its
//! README.

use std::{sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Denied, Limit, Limiter, Permit, Request, Settings},
};
use leaky_bucket::RateLimiter;

use super::{NO_SUCH_THING, RATES_ONLY};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "leaky-bucket",
    package: "leaky-bucket",
    docs: "https://docs.rs/leaky-bucket/1.1.2/leaky_bucket/struct.Builder.html",
    adapter: &Leaky,
    isolated: &[],
    fails: &[
        (
            "LIMIT-03",
            "permits come at each interval since it was made, though it was full until then (`RateLimiter::calculate_drain`)",
        ),
        (
            "LIMIT-24",
            "of those who wait one wakes at each interval, and serves the others (`AcquireFut::poll`)",
        ),
        (
            "LIMIT-31",
            "who waits serves the others, and must be polled for it (as its example `block_forever` says)",
        ),
    ],
};

struct Leaky;

impl Adapter<Settings> for Leaky {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Rate
            | Capability::Try
            | Capability::Wait
            | Capability::Mixed
            | Capability::Weights
            | Capability::Burst
            | Capability::StartEmpty => Ok(()),
            Capability::Concurrency => Err(RATES_ONLY),
            Capability::RetryAfter | Capability::NeverFits => Err("`try_acquire` gives a `bool`"),
            Capability::SetRate | Capability::SetBurst => Err("what was built does not change"),
            Capability::Deadline => Err("wrap it in `tokio::time::timeout`"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Limit::Bucket { rate, burst } = settings.limit else {
            return Err(AdapterError::NotExpressible(RATES_ONLY));
        };
        // As few permits at a time as whole milliseconds allow.
        let millis = rate.per.as_millis() as u64;
        let times = divisor(u64::from(rate.permits), millis);
        let limiter = RateLimiter::builder()
            .initial(if settings.starts_empty { 0 } else { burst as usize })
            .max(burst as usize)
            .refill((u64::from(rate.permits) / times) as usize)
            .interval(Duration::from_millis(millis / times))
            .build();
        Ok(Box::new(Bucket(Arc::new(limiter))))
    }
}

/// The greatest that both have.
fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

struct Bucket(Arc<RateLimiter>);

impl Limiter for Bucket {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        if self.0.try_acquire(request.permits as usize) {
            return Ok(Permit::new(()));
        }
        Err(Denied::Busy(None))
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let turn = self.0.clone().acquire_owned(request.permits as usize);
        Box::pin(async move {
            turn.await;
            Ok(Permit::new(()))
        })
    }
}
