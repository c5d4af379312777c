//! deadpool's managed pool.

use std::time::Duration;

use deadpool::{
    Runtime,
    managed::{self, Metrics, PoolError, QueueMode, RecycleResult, TimeoutType},
};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{
        Backend, BackendError, Capability, Get, GetError, Lease, Object, Order, Pool, Settings, Snapshot,
    },
};

use super::{NO_SUCH_THING, RETAIN};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "deadpool",
    package: "deadpool",
    docs: "https://docs.rs/deadpool",
    adapter: &Deadpool,
    isolated: &[],
    fails: &[
        ("POOL-07", "a maximum of zero is taken: no get is ever served"),
        ("POOL-11", "a get runs its own creation, and waits for nothing else"),
        ("POOL-16", "each stage has a time-out of its own: 4 checks that hang take 4 times as long"),
        ("POOL-27", "a creation is a part of the get that began it, and is dropped with it"),
        ("POOL-29", "an object is dropped with the get that checks it"),
        ("POOL-36", "each caller makes its own attempt at once, and is told"),
        ("POOL-37", "each caller makes its own attempt at once, and is told"),
        ("POOL-70", "`resize` takes no permits away for objects that were not made yet"),
        ("POOL-72", "`resize` adds permits that a change to fewer has not taken away"),
        (
            "POOL-78",
            "`close` ends those that wait for a permit; a get that creates goes on, and returns its object",
        ),
        ("POOL-96", "`resize` takes no permits away for objects that are being created"),
        ("POOL-98", "a get that recycles goes on after the close, and returns its object"),
    ],
};

struct Deadpool;

impl Adapter<Settings> for Deadpool {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::AcquireTimeout
            | Capability::CreateTimeout
            | Capability::CheckTimeout
            | Capability::Check
            | Capability::OwnedLeases
            | Capability::Discard
            | Capability::Detach
            | Capability::Lifo
            | Capability::Fifo
            | Capability::Resize
            | Capability::Close
            | Capability::CountObjects
            | Capability::CountWaiters => return Ok(()),
            Capability::Deadline => "`timeout_get` takes time-outs of the stages",
            Capability::ValidateAfter => {
                "a manager can, by the clock of std, which virtual time does not move"
            }
            Capability::Broken | Capability::Reset => "`recycle` runs at the next get, not at the return",
            Capability::IdleTimeout | Capability::MaxLifetime => {
                "`retain`, called by hand, can, by the clock of std"
            }
            Capability::RetireAll => RETAIN,
            Capability::TryGet => "a get that does not wait creates",
            Capability::CloseWaits | Capability::CloseDeadline => "`close` does not wait",
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let manager = Connect { backend: settings.backend.clone(), checks: settings.checks };
        let built = managed::Pool::builder(manager)
            .max_size(settings.max)
            .wait_timeout(settings.acquire_timeout)
            .create_timeout(settings.create_timeout)
            .recycle_timeout(settings.check_timeout)
            .queue_mode(if settings.order == Some(Order::Lifo) { QueueMode::Lifo } else { QueueMode::Fifo })
            .runtime(Runtime::Tokio1)
            .build();
        match built {
            Ok(pool) => Ok(Box::new(Handle(pool))),
            Err(error) => Err(AdapterError::Refused(error.to_string())),
        }
    }
}

struct Connect {
    backend: Backend,
    checks: bool,
}

impl managed::Manager for Connect {
    type Type = Object;
    type Error = BackendError;

    async fn create(&self) -> Result<Object, BackendError> {
        self.backend.create().await
    }

    async fn recycle(&self, object: &mut Object, _: &Metrics) -> RecycleResult<BackendError> {
        if self.checks { Ok(object.check().await?) } else { Ok(()) }
    }
}

struct Handle(managed::Pool<Connect>);

struct Leased(managed::Object<Connect>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move {
            let error = match pool.get().await {
                Ok(object) => return Ok(Box::new(Leased(object)) as Box<dyn Lease>),
                Err(error) => error,
            };
            Err(match error {
                PoolError::Timeout(TimeoutType::Create) => GetError::CreateTimeout,
                PoolError::Timeout(_) => GetError::Timeout(None),
                PoolError::Closed => GetError::Closed,
                other => GetError::Create(other.to_string()),
            })
        })
    }

    fn resize(&self, max: usize) {
        self.0.resize(max);
    }

    fn close(&self, _: Option<Duration>) -> BoxFuture<'static, usize> {
        let pool = self.0.clone();
        Box::pin(async move {
            pool.close();
            0
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let status = self.0.status();
        Box::pin(async move {
            Snapshot { size: Some(status.size), idle: Some(status.available), waiting: Some(status.waiting) }
        })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {
        drop(managed::Object::take(self.0));
    }

    fn detach(self: Box<Self>) -> Object {
        managed::Object::take(self.0)
    }
}
