//! Ours.

use std::time::Duration;

use evenkeel::pool::{self as ours, BoxError, Manager};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pool::{
        Backend, BackendError, Capability, Get, GetError, Lease, Object, Order, Pool, Settings, Snapshot,
    },
};
use tokio::time::Instant;

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-pool",
    docs: "https://docs.rs/evenkeel-pool",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let manager =
            Connect { backend: settings.backend.clone(), checks: settings.checks, resets: settings.resets };
        let mut builder = ours::Pool::builder(manager)
            .max(settings.max)
            .acquire_timeout(settings.acquire_timeout.unwrap_or(Duration::MAX))
            .create_timeout(settings.create_timeout.unwrap_or(Duration::MAX))
            .check_timeout(settings.check_timeout.unwrap_or(Duration::MAX))
            .validate_after(settings.validate_after.unwrap_or_default())
            .min_idle(settings.min_idle)
            .max_creating(settings.max_creating.unwrap_or(usize::MAX))
            .detect_deadlocks(settings.detects_deadlocks);
        if settings.order == Some(Order::Fifo) {
            builder = builder.order(ours::Order::Fifo);
        }
        if let Some(time) = settings.idle_timeout {
            builder = builder.idle_timeout(time);
        }
        if let Some(time) = settings.max_lifetime {
            builder = builder.max_lifetime(time);
        }
        match builder.build() {
            Ok(pool) => Ok(Box::new(Handle(pool))),
            Err(error) => Err(AdapterError::Refused(error.to_string())),
        }
    }
}

struct Connect {
    backend: Backend,
    checks: bool,
    resets: bool,
}

impl Manager for Connect {
    type Object = Object;
    type Error = BackendError;

    async fn create(&self) -> Result<Object, BackendError> {
        self.backend.create().await
    }

    async fn check(&self, object: &mut Object) -> Result<(), BoxError> {
        if self.checks { Ok(object.check().await?) } else { Ok(()) }
    }

    async fn reset(&self, object: &mut Object) -> Result<(), BoxError> {
        if self.resets { Ok(object.reset().await?) } else { Ok(()) }
    }

    fn is_transient(&self, error: &BackendError) -> bool {
        error.is_transient()
    }

    fn copy_error(&self, error: &BackendError) -> Option<BackendError> {
        error.is_fatal().then(|| error.clone())
    }

    fn is_broken(&self, object: &mut Object) -> bool {
        object.is_broken()
    }
}

struct Handle(ours::Pool<Connect>);

struct Leased(ours::Lease<Connect>);

type Answer = Result<ours::Lease<Connect>, ours::GetError<BackendError>>;

fn answer(answer: Answer) -> Result<Box<dyn Lease>, GetError> {
    let error = match answer {
        Ok(lease) => return Ok(Box::new(Leased(lease))),
        Err(error) => error,
    };
    Err(match error {
        ours::GetError::Closed => GetError::Closed,
        ours::GetError::Deadlock(_) => GetError::Deadlock,
        ours::GetError::Create(error) => GetError::Create(error.to_string()),
        ours::GetError::CreateTimeout(_) => GetError::CreateTimeout,
        ours::GetError::Panic(panic) => GetError::Panic(panic.to_string()),
        ours::GetError::Timeout(why) => GetError::Timeout(why.last_failure),
        other => GetError::Create(other.to_string()),
    })
}

impl Pool for Handle {
    fn get(&self) -> Get {
        let pool = self.0.clone();
        Box::pin(async move { answer(pool.get().await) })
    }

    fn get_by(&self, deadline: Instant) -> Get {
        let pool = self.0.clone();
        Box::pin(async move { answer(pool.get_by(deadline).await) })
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        Some(Box::new(Leased(self.0.try_get()?)))
    }

    fn warm(&self, objects: usize) -> BoxFuture<'static, ()> {
        let pool = self.0.clone();
        Box::pin(async move {
            pool.warm(objects).await;
        })
    }

    fn resize(&self, max: usize) {
        // A maximum of zero alone is refused.
        let _ = self.0.resize(max);
    }

    fn retire_all(&self) {
        self.0.retire_all();
    }

    fn close(&self, within: Option<Duration>) -> BoxFuture<'static, usize> {
        let pool = self.0.clone();
        Box::pin(async move { pool.close(within.unwrap_or(Duration::MAX)).await.stragglers.len() })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let ours::Snapshot { size, idle, waiting, .. } = self.0.snapshot();
        Box::pin(async move { Snapshot { size: Some(size), idle: Some(idle), waiting: Some(waiting) } })
    }

    fn holders(&self) -> Vec<Duration> {
        self.0.holders().into_iter().map(|holder| holder.held_for).collect()
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.0
    }

    fn discard(self: Box<Self>) {
        ours::Lease::discard(self.0);
    }

    fn detach(self: Box<Self>) -> Object {
        ours::Lease::detach(self.0)
    }
}
