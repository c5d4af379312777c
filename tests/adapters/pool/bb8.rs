//! bb8.

use bb8::{ManageConnection, PooledConnection, QueueStrategy, RunError};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{
        Backend, BackendError, Capability, Get, GetError, Lease, Object, Order, Pool, Settings, Snapshot,
    },
};

use super::{CLOCK_OF_STD, LONG, NO_SUCH_THING};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "bb8",
    package: "bb8",
    docs: "https://docs.rs/bb8",
    adapter: &Bb8,
    isolated: &[],
    fails: &[
        ("POOL-10", "a return makes the object idle and wakes a waiter: a newcomer takes it first"),
        ("POOL-14", "a get that finds an object takes no part in tokio's budget"),
        ("POOL-22", "the error of a creation goes to the error sink, and the caller is told of a time-out"),
        ("POOL-30", "a creation that fails is tried again by default until the time-out, whatever its error"),
        ("POOL-34", "a creation that panics stays counted as pending"),
        ("POOL-35", "a creation runs as a task, and nobody looks at its panic"),
        ("POOL-37", "each creation is tried again by itself, all with the same pauses"),
        ("POOL-46", "an object whose check panicked is idle again, and its check panics for the next caller"),
        ("POOL-58", "a creation that is dropped with its runtime stays counted as pending"),
        ("POOL-84", "`pending_gets` counts a get that was dropped for ever"),
    ],
};

struct Bb8;

impl Adapter<Settings> for Bb8 {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::AcquireTimeout
            | Capability::Check
            | Capability::Broken
            | Capability::OwnedLeases
            | Capability::Lifo
            | Capability::Fifo
            | Capability::MinIdle
            | Capability::CountObjects
            | Capability::CountWaiters => return Ok(()),
            Capability::Discard => "only by `has_broken`",
            Capability::IdleTimeout | Capability::MaxLifetime => CLOCK_OF_STD,
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let Ok(max) = u32::try_from(settings.max) else {
            return Err(AdapterError::NotExpressible("more than 2^32 objects"));
        };
        let lifo = settings.order == Some(Order::Lifo);
        let pool = bb8::Pool::builder()
            .max_size(max)
            .min_idle(u32::try_from(settings.min_idle).ok())
            .connection_timeout(settings.acquire_timeout.unwrap_or(LONG))
            .test_on_check_out(settings.checks)
            .max_lifetime(None)
            .idle_timeout(None)
            .queue_strategy(if lifo { QueueStrategy::Lifo } else { QueueStrategy::Fifo })
            .build_unchecked(Connect(settings.backend.clone()));
        Ok(Box::new(Handle(pool)))
    }
}

struct Connect(Backend);

impl ManageConnection for Connect {
    type Connection = Object;
    type Error = BackendError;

    async fn connect(&self) -> Result<Object, BackendError> {
        self.0.create().await
    }

    async fn is_valid(&self, object: &mut Object) -> Result<(), BackendError> {
        object.check().await
    }

    fn has_broken(&self, object: &mut Object) -> bool {
        object.is_broken()
    }
}

struct Handle(bb8::Pool<Connect>);

struct Leased(PooledConnection<'static, Connect>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move {
            match pool.get_owned().await {
                Ok(connection) => Ok(Box::new(Leased(connection)) as Box<dyn Lease>),
                Err(RunError::TimedOut) => Err(GetError::Timeout(None)),
                Err(RunError::User(error)) => Err(GetError::Create(error.to_string())),
            }
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let state = self.0.state();
        Box::pin(async move {
            Snapshot {
                size: Some(state.connections as usize),
                idle: Some(state.idle_connections as usize),
                waiting: usize::try_from(state.statistics.pending_gets()).ok(),
            }
        })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }
}
