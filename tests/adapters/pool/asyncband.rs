//! asyncband's bounded pool, the successor of fastpool.

use std::sync::Arc;

use asyncband::pool::{
    ManageObject, ObjectStatus, QueueStrategy,
    bounded::{self, PoolConfig},
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
    name: "asyncband",
    package: "asyncband",
    docs: "https://docs.rs/asyncband",
    adapter: &Asyncband,
    isolated: &[],
    fails: &[
        ("POOL-11", "a get runs its own creation, and waits for nothing else"),
        ("POOL-14", "it belongs to no runtime, and takes no part in tokio's budget"),
        ("POOL-27", "a creation is a part of the get that began it, and is dropped with it"),
        (
            "POOL-29",
            "an object whose check is dropped is detached by default; `RecycleCancelledStrategy::ReturnToPool` keeps it, and one whose check panics, too",
        ),
        ("POOL-36", "each caller makes its own attempt at once, and is told"),
        ("POOL-37", "each caller makes its own attempt at once, and is told"),
    ],
};

struct Asyncband;

impl Adapter<Settings> for Asyncband {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::Check
            | Capability::OwnedLeases
            | Capability::Discard
            | Capability::Detach
            | Capability::Lifo
            | Capability::Fifo
            | Capability::Warm
            | Capability::CountObjects => return Ok(()),
            Capability::ValidateAfter => {
                "a manager can, by the clock of std, which virtual time does not move"
            }
            Capability::Broken | Capability::Reset => {
                "`is_recyclable` runs at the next get, not at the return"
            }
            Capability::RetireAll => RETAIN,
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let lifo = settings.order == Some(Order::Lifo);
        let config = PoolConfig::new(settings.max).with_queue_strategy(if lifo {
            QueueStrategy::Lifo
        } else {
            QueueStrategy::Fifo
        });
        let manager = Connect { backend: settings.backend.clone(), checks: settings.checks };
        Ok(Box::new(Handle(bounded::Pool::new(config, manager))))
    }
}

struct Connect {
    backend: Backend,
    checks: bool,
}

impl ManageObject for Connect {
    type Object = Object;
    type Error = BackendError;

    async fn create(&self) -> Result<Object, BackendError> {
        self.backend.create().await
    }

    async fn is_recyclable(&self, object: &mut Object, _: &ObjectStatus) -> Result<(), BackendError> {
        if self.checks { object.check().await } else { Ok(()) }
    }
}

struct Handle(Arc<bounded::Pool<Connect>>);

struct Leased(bounded::Object<Connect>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move {
            match pool.get().await {
                Ok(object) => Ok(Box::new(Leased(object)) as Box<dyn Lease>),
                Err(error) => Err(GetError::Create(error.to_string())),
            }
        })
    }

    fn warm(&self, objects: usize) -> BoxFuture<'static, ()> {
        let pool = self.0.clone();
        // Its error is that of a creation.
        Box::pin(async move { drop(pool.replenish_to(objects).await) })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let status = self.0.status();
        Box::pin(async move {
            Snapshot { size: Some(status.current_size), idle: Some(status.idle_count), waiting: None }
        })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {
        drop(self.0.detach());
    }

    fn detach(self: Box<Self>) -> Object {
        self.0.detach()
    }
}
