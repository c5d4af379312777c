//! simple-pool, whose objects are there from the beginning.

use std::sync::Arc;

use evenkeel_tck::{
    Adapter, AdapterError,
    pool::{Capability, Get, Lease, Object, Pool, Settings},
};
use simple_pool::{ResourcePool, ResourcePoolGuard};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "simple-pool",
    package: "simple-pool",
    docs: "https://docs.rs/simple-pool",
    adapter: &SimplePool,
    isolated: &[],
    fails: &[
        (
            "POOL-10",
            "the wake takes a waiter off the list: a newcomer that finds the list empty takes the object",
        ),
        ("POOL-14", "it belongs to no runtime, and takes no part in tokio's budget"),
        ("POOL-95", "a waiter keeps the waker of its first poll"),
    ],
};

struct SimplePool;

impl Adapter<Settings> for SimplePool {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::OwnedLeases | Capability::Lifo => return Ok(()),
            Capability::Create => "its user puts the objects in",
            Capability::Discard => "`forget_resource` makes no room for another one",
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        if settings.max == 0 {
            return Err(AdapterError::NotExpressible("a maximum: it has as many objects as were put in"));
        }
        let pool = ResourcePool::with_capacity(settings.max);
        for _ in 0..settings.max {
            pool.append(settings.backend.object());
        }
        Ok(Box::new(Handle(Arc::new(pool))))
    }
}

struct Handle(Arc<ResourcePool<Object>>);

struct Leased(ResourcePoolGuard<Object>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move { Ok(Box::new(Leased(pool.get().await)) as Box<dyn Lease>) })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }
}
