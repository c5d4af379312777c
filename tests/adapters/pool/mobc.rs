//! mobc.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{Backend, BackendError, Capability, Get, GetError, Lease, Object, Pool, Settings, Snapshot},
};
use futures::FutureExt as _;
use mobc::{Connection, Manager, async_trait};

use super::{CLOCK_OF_STD, NO_SUCH_THING};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "mobc",
    package: "mobc",
    docs: "https://docs.rs/mobc",
    adapter: &Mobc,
    isolated: &[],
    fails: &[
        ("POOL-11", "a get runs its own creation, and waits for nothing else"),
        ("POOL-27", "a creation is a part of the get that began it, and is dropped with it"),
        ("POOL-29", "an object is dropped with the get that checks it"),
        ("POOL-36", "each caller makes its own attempt at once, and is told"),
        ("POOL-37", "each caller makes its own attempt at once, and is told"),
        ("POOL-57", "a lease spawns a task when it is dropped, which panics outside of a runtime"),
        ("POOL-70", "`set_max_open_conns` changes a number that no get looks at"),
        ("POOL-71", "`set_max_open_conns` changes a number that no return looks at"),
        ("POOL-73", "`set_max_open_conns` adds no permits"),
        ("POOL-96", "`set_max_open_conns` changes a number that no get looks at"),
    ],
};

struct Mobc;

impl Adapter<Settings> for Mobc {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::Check
            | Capability::Broken
            | Capability::OwnedLeases
            | Capability::Discard
            | Capability::Detach
            | Capability::Lifo
            | Capability::Resize
            | Capability::CountObjects => return Ok(()),
            Capability::AcquireTimeout | Capability::Deadline => {
                "its time-outs run on a thread of futures-timer, in real time"
            }
            Capability::ValidateAfter | Capability::IdleTimeout | Capability::MaxLifetime => CLOCK_OF_STD,
            Capability::CountWaiters => "it counts the waits so far",
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let max = settings.max as u64;
        let pool = mobc::Pool::builder()
            .max_open(max)
            .max_idle(max)
            .get_timeout(None)
            .test_on_check_out(settings.checks)
            .build(Connect(settings.backend.clone()));
        Ok(Box::new(Handle(pool)))
    }
}

struct Connect(Backend);

#[async_trait]
impl Manager for Connect {
    type Connection = Object;
    type Error = BackendError;

    async fn connect(&self) -> Result<Object, BackendError> {
        self.0.create().await
    }

    async fn check(&self, object: Object) -> Result<Object, BackendError> {
        object.check().await?;
        Ok(object)
    }

    fn validate(&self, object: &mut Object) -> bool {
        !object.is_broken()
    }
}

struct Handle(mobc::Pool<Connect>);

struct Leased(Connection<Connect>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move {
            match pool.get().await {
                Ok(connection) => Ok(Box::new(Leased(connection)) as Box<dyn Lease>),
                Err(mobc::Error::Inner(error)) => Err(GetError::Create(error.to_string())),
                Err(mobc::Error::PoolClosed) => Err(GetError::Closed),
                Err(_) => Err(GetError::Timeout(None)),
            }
        })
    }

    fn resize(&self, max: usize) {
        // It waits for a lock that nobody has.
        let _ = self.0.set_max_open_conns(max as u64).now_or_never();
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        Box::pin(async {
            let state = self.0.state().await;
            Snapshot {
                size: Some(state.connections as usize),
                idle: Some(state.idle as usize),
                waiting: None,
            }
        })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {
        drop(self.0.into_inner());
    }

    fn detach(self: Box<Self>) -> Object {
        self.0.into_inner()
    }
}
