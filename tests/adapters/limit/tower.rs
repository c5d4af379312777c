//! tower: `RateLimit` behind `Buffer`, which is how it is shared, or under `LoadShed`, which refuses; and
//! `ConcurrencyLimit`, whose clones share it. All as in the documentation of `ServiceBuilder`.

use std::{
    convert::Infallible,
    future::{Pending, Ready, pending, ready},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Denied, Limit, Limiter, Permit, Request, Settings},
};
use tower::{
    Service, ServiceExt,
    buffer::Buffer,
    limit::{ConcurrencyLimit, RateLimit, rate::Rate},
    load_shed::LoadShed,
    service_fn,
    util::ServiceFn,
};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tower",
    package: "tower",
    docs: "https://docs.rs/tower/0.5.3/tower/struct.ServiceBuilder.html#method.rate_limit",
    adapter: &Tower,
    isolated: &[],
    fails: &[
        ("LIMIT-02", "a new window forgets what was granted at the end of the last one (`RateLimit::call`)"),
        ("LIMIT-04", "nothing is earned within a window (`RateLimit::poll_ready`)"),
    ],
};

/// More than wait in any rule.
const BUFFER: usize = 1000;

struct Tower;

impl Adapter<Settings> for Tower {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Rate | Capability::Concurrency | Capability::Try | Capability::Wait => Ok(()),
            Capability::Mixed => Err("a stack of services waits, or refuses"),
            Capability::Weights => Err("a request is one permit"),
            Capability::Burst => Err("the number of a rate is its burst"),
            Capability::RetryAfter => Err("`Overloaded` says no more"),
            Capability::MaxWaiters => Err("who finds the buffer full waits, too"),
            Capability::AllOf => Err("limits are asked one after the other"),
            Capability::Deadline => Err("`Timeout` waits before it refuses"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        match settings.limit {
            Limit::Bucket { rate, .. } => {
                let instant: Instant = service_fn(|()| ready(Ok(())));
                let limit = RateLimit::new(instant, Rate::new(rate.permits.into(), rate.per));
                Ok(if settings.waits {
                    Box::new(Waiting(Buffer::new(limit, BUFFER)))
                } else {
                    Box::new(Refusing(Mutex::new(LoadShed::new(limit))))
                })
            }
            Limit::Concurrency(limit) => {
                let endless: Endless = service_fn(|()| pending());
                Ok(Box::new(Slots(ConcurrencyLimit::new(endless, limit as usize))))
            }
            _ => Err(AdapterError::NotExpressible(NO_SUCH_THING)),
        }
    }
}

/// A service that has answered at once.
type Instant = ServiceFn<fn(()) -> Ready<Result<(), Infallible>>>;

/// A service that runs until its response is dropped.
type Endless = ServiceFn<fn(()) -> Pending<Result<(), Infallible>>>;

struct Waiting(Buffer<(), Ready<Result<(), Infallible>>>);

impl Limiter for Waiting {
    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let service = self.0.clone();
        Box::pin(async move { service.oneshot(()).await.map(Permit::new).map_err(|_| Denied::Closed) })
    }
}

/// It takes `&mut` to call a service.
struct Refusing(Mutex<LoadShed<RateLimit<Instant>>>);

impl Limiter for Refusing {
    fn try_acquire(&self, _: Request) -> Result<Permit, Denied> {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = service.poll_ready(cx) else { return Err(Denied::Busy(None)) };
        match pin!(service.call(())).poll(cx) {
            Poll::Ready(Ok(())) => Ok(Permit::new(())),
            _ => Err(Denied::Busy(None)),
        }
    }
}

struct Slots(ConcurrencyLimit<Endless>);

impl Limiter for Slots {
    fn acquire(&self, _: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            match service.ready().await {
                // The response holds the permit until it is dropped.
                Ok(service) => Ok(Permit::new(service.call(()))),
                Err(never) => match never {},
            }
        })
    }
}
