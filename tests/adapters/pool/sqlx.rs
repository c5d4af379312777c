//! sqlx's pool, over a database that has connections and nothing else.

mod database;

use std::{io, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{Capability, Get, GetError, Lease, Object, Pool, Settings, Snapshot},
};
use sqlx_core::{
    Error,
    pool::{self, PoolConnection, PoolOptions},
};

use self::database::{Nothing, Options};
use super::{CLOCK_OF_STD, LONG, NO_SUCH_THING};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "sqlx",
    package: "sqlx-core",
    docs: "https://docs.rs/sqlx/latest/sqlx/struct.Pool.html",
    adapter: &Sqlx,
    isolated: &[],
    fails: &[
        ("POOL-11", "a get runs its own creation, and waits for nothing else"),
        ("POOL-22", "`PoolTimedOut` has no source"),
        ("POOL-27", "a creation is a part of the get that began it, and is dropped with it"),
        ("POOL-29", "a connection is dropped with the get that pings it"),
        ("POOL-37", "each caller with a permit tries again by itself, all with the same pauses"),
        (
            "POOL-38",
            "each caller with a permit sleeps its own pause, while those behind it take the first connection",
        ),
        ("POOL-57", "a lease spawns a task when it is dropped, which panics outside of a runtime"),
        ("POOL-78", "a get that connects goes on after the close, and returns its connection"),
        ("POOL-98", "a get that pings goes on after the close, and returns its connection"),
    ],
};

struct Sqlx;

impl Adapter<Settings> for Sqlx {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        Err(match capability {
            Capability::Create
            | Capability::AcquireTimeout
            | Capability::Check
            | Capability::Broken
            | Capability::Reset
            | Capability::OwnedLeases
            | Capability::Discard
            | Capability::Detach
            | Capability::Fifo
            | Capability::TryGet
            | Capability::Close
            | Capability::CloseWaits
            | Capability::CountObjects => return Ok(()),
            Capability::ValidateAfter => {
                "`before_acquire` can, by the clock of std, which virtual time does not move"
            }
            Capability::MinIdle => "it keeps a number of connections, in use or idle",
            Capability::IdleTimeout | Capability::MaxLifetime => CLOCK_OF_STD,
            _ => NO_SUCH_THING,
        })
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let Ok(max) = u32::try_from(settings.max) else {
            return Err(AdapterError::NotExpressible("more than 2^32 objects"));
        };
        let resets = settings.resets;
        let options = PoolOptions::<Nothing>::new()
            .max_connections(max)
            .acquire_timeout(settings.acquire_timeout.unwrap_or(LONG))
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(settings.checks)
            .after_release(move |connection, _| {
                Box::pin(async move {
                    if resets {
                        connection
                            .object
                            .reset()
                            .await
                            .map_err(|error| Error::Configuration(error.into()))?;
                    }
                    Ok(!connection.object.is_broken())
                })
            });
        let connect = Options { backend: settings.backend.clone(), checks: settings.checks };
        Ok(Box::new(Handle(options.connect_lazy_with(connect))))
    }
}

struct Handle(pool::Pool<Nothing>);

struct Leased(PoolConnection<Nothing>);

impl Pool for Handle {
    fn get(&self) -> Get {
        let acquire = self.0.acquire();
        Box::pin(async move {
            match acquire.await {
                Ok(connection) => Ok(Box::new(Leased(connection)) as Box<dyn Lease>),
                Err(Error::PoolTimedOut) => Err(GetError::Timeout(None)),
                Err(Error::PoolClosed) => Err(GetError::Closed),
                Err(error) => Err(GetError::Create(error.to_string())),
            }
        })
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        Some(Box::new(Leased(self.0.try_acquire()?)))
    }

    fn close(&self, _: Option<Duration>) -> BoxFuture<'static, usize> {
        let pool = self.0.clone();
        Box::pin(async move {
            pool.close().await;
            0
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let (size, idle) = (self.0.size() as usize, self.0.num_idle());
        Box::pin(async move { Snapshot { size: Some(size), idle: Some(idle), waiting: None } })
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0.object
    }

    fn discard(mut self: Box<Self>) {
        self.0.close_on_drop();
    }

    fn detach(self: Box<Self>) -> Object {
        self.0.detach().object
    }
}

/// A connection that is refused while the server starts is what sqlx tries again.
fn error(error: evenkeel_tck::pool::BackendError) -> Error {
    if error.is_transient() {
        Error::Io(io::Error::new(io::ErrorKind::ConnectionRefused, error))
    } else {
        Error::Configuration(error.into())
    }
}
