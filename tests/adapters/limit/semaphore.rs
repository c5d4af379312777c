//! tokio's `Semaphore`: `acquire_many_owned` and `try_acquire_many_owned`, as in its documentation.

use std::sync::Arc;

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Change, Denied, Limit, Limiter, Permit, Request, Settings},
};
use tokio::sync::{Semaphore, TryAcquireError};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "Semaphore",
    package: "tokio",
    docs: "https://docs.rs/tokio/1.54.1/tokio/sync/struct.Semaphore.html",
    adapter: &Tokio,
    isolated: &[],
    fails: &[("LIMIT-60", "it waits for permits that somebody may add (`Semaphore::acquire_many`)")],
};

struct Tokio;

/// The reason for which it has no rate.
const CONCURRENCY_ONLY: &str = "it limits what runs at once";

impl Adapter<Settings> for Tokio {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Concurrency
            | Capability::Try
            | Capability::Wait
            | Capability::Mixed
            | Capability::Weights
            | Capability::Close => Ok(()),
            Capability::Rate => Err(CONCURRENCY_ONLY),
            Capability::SetLimit => Err("`forget_permits` takes only those that are free"),
            Capability::Deadline => Err("wrap it in `tokio::time::timeout`"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Limit::Concurrency(limit) = settings.limit else {
            return Err(AdapterError::NotExpressible(CONCURRENCY_ONLY));
        };
        Ok(Box::new(Slots(Arc::new(Semaphore::new(limit as usize)))))
    }
}

struct Slots(Arc<Semaphore>);

impl Limiter for Slots {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let permit = self.0.clone().try_acquire_many_owned(request.permits);
        permit.map(Permit::new).map_err(|error| match error {
            TryAcquireError::Closed => Denied::Closed,
            TryAcquireError::NoPermits => Denied::Busy(None),
        })
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let turn = self.0.clone().acquire_many_owned(request.permits);
        Box::pin(async move { turn.await.map(Permit::new).map_err(|_| Denied::Closed) })
    }

    fn change(&self, change: Change) {
        match change {
            Change::Close => self.0.close(),
            _ => unreachable!("it has no words for {change:?}"),
        }
    }
}
