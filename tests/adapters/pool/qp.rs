//! qp.

use evenkeel_tck::{
    Adapter, AdapterError,
    pool::{Backend, BackendError, Capability, Get, GetError, Lease, Object, Pool, Settings},
};
use qp::{Pooled, async_trait, resource::Manage};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "qp",
    package: "qp",
    docs: "https://docs.rs/qp",
    adapter: &Qp,
    isolated: &["POOL-90"],
    fails: &[
        ("POOL-10", "a return gives the permit back and wakes a waiter: a newcomer takes it first"),
        ("POOL-11", "a get runs its own creation, and waits for nothing else"),
        ("POOL-14", "it belongs to no runtime, and takes no part in tokio's budget"),
        ("POOL-24", "a return wakes one waiter; where that was dropped, no other is woken"),
        ("POOL-25", "a return wakes one waiter; where that was dropped, no other is woken"),
        ("POOL-27", "a creation is a part of the get that began it, and is dropped with it"),
        ("POOL-29", "an object is dropped with the get that checks it"),
        ("POOL-36", "each caller makes its own attempt at once, and is told"),
        ("POOL-37", "each caller makes its own attempt at once, and is told"),
        (
            "POOL-90",
            "a waiter that was woken in vain, or between its look and its entry in the queue, is not woken again",
        ),
        ("POOL-95", "a waiter keeps the waker of its first poll"),
    ],
};

struct Qp;

impl Adapter<Settings> for Qp {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::Check
            | Capability::Discard
            | Capability::Detach
            | Capability::Fifo => return Ok(()),
            Capability::OwnedLeases => "its leases borrow the pool",
            Capability::Warm => "`reserve` must not be asked for more than the maximum",
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let manager = Connect(settings.backend.clone());
        // Its leases borrow it, and those of a rule do not: it lives for ever.
        let pool = Box::leak(Box::new(qp::Pool::new(manager, settings.max)));
        Ok(Box::new(Handle { pool, checks: settings.checks }))
    }
}

struct Connect(Backend);

#[async_trait]
impl Manage for Connect {
    type Output = Object;
    type Error = BackendError;

    async fn try_create(&self) -> Result<Object, BackendError> {
        self.0.create().await
    }

    async fn validate(&self, object: &Object) -> bool {
        object.check().await.is_ok()
    }
}

struct Handle {
    pool: &'static qp::Pool<Connect>,
    checks: bool,
}

struct Leased(Pooled<'static, Connect>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let Self { pool, checks } = *self;
        Box::pin(async move {
            let answer = if checks { pool.acquire().await } else { pool.acquire_unchecked().await };
            match answer {
                Ok(pooled) => Ok(Box::new(Leased(pooled)) as Box<dyn Lease>),
                Err(error) => Err(GetError::Create(error.to_string())),
            }
        })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {
        drop(Pooled::take(self.0));
    }

    fn detach(self: Box<Self>) -> Object {
        Pooled::take(self.0)
    }
}
