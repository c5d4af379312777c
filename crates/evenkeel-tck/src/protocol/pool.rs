//! Pools in another process: the settings as JSON, gets and leases. The objects are in `pool/objects.rs`, what is waited for
//! in `pool/calls.rs`.

mod calls;
mod objects;

use std::{future::ready, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

pub(super) use self::objects::KINDS;
use self::{
    calls::{Closed, Done, Waiting, got_of},
    objects::Objects,
};
use super::{
    process::Process,
    session::Session,
    wire::{Members, Object as Event, from_time},
};
use crate::{
    Adapter, AdapterError, BoxFuture,
    pool::{Capability, Destructor, Elsewhere, Get, Lease, Object, Order, Pool, Settings, Snapshot},
};

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("pool", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
        let session = self.session()?;
        session.link.must_not_spin();
        let objects = Objects::new(&session.link, &settings.backend);
        let id = session.configure("pool", settings_of(settings, objects.id()))?;
        let kept = Kept { session: session.clone(), pool: id, objects: objects.clone() };
        settings.backend.serves(Arc::new(kept));
        Ok(Box::new(Remote { session, id, objects }))
    }
}

fn settings_of(settings: &Settings, backend: u64) -> Value {
    json!({
        "backend": backend,
        "max": settings.max,
        "acquire_timeout": settings.acquire_timeout.map(from_time),
        "create_timeout": settings.create_timeout.map(from_time),
        "check_timeout": settings.check_timeout.map(from_time),
        "checks": settings.checks,
        "validate_after": settings.validate_after.map(from_time),
        "resets": settings.resets,
        "order": settings.order.map(|order| match order {
            Order::Lifo => "lifo",
            Order::Fifo => "fifo",
        }),
        "min_idle": settings.min_idle,
        "idle_timeout": settings.idle_timeout.map(from_time),
        "max_lifetime": settings.max_lifetime.map(from_time),
        "max_creating": settings.max_creating,
        "detects_deadlocks": settings.detects_deadlocks,
    })
}

/// Keeps the link open until the rule is over: a pool may be dropped before that.
struct Kept {
    session: Arc<Session>,
    pool: u64,
    objects: Arc<Objects>,
}

impl Elsewhere for Kept {
    fn breaks(&self, number: u32) {
        self.session.link.send(json!({"do": "break", "backend": self.objects.id(), "object": number}));
    }

    fn destroys(&self, number: u32, destructor: &Destructor) {
        let does = match destructor {
            Destructor::Panics => "panics",
            Destructor::Asks(_) => "asks",
        };
        self.session.link.send(json!({
            "do": "destructor", "backend": self.objects.id(), "object": number, "does": does, "pool": self.pool,
        }));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.objects.finish();
    }
}

/// A pool in another process.
struct Remote {
    session: Arc<Session>,
    id: u64,
    objects: Arc<Objects>,
}

impl Remote {
    fn wait<T: calls::Told>(&self, message: Value) -> Waiting<T> {
        Waiting::new(&self.session, &self.objects, self.id, message)
    }

    fn get_until(&self, deadline: Option<Instant>) -> Get {
        let deadline = deadline.map(|at| from_time(self.session.link.time_of(at)));
        let waiting: Waiting<calls::Got> = self.wait(json!({"do": "get", "deadline": deadline}));
        let (session, objects, id) = (self.session.clone(), self.objects.clone(), waiting.id());
        Box::pin(async move {
            let number = waiting.await?;
            Ok(Box::new(Leased::new(session, objects, id, number)) as Box<dyn Lease>)
        })
    }

    /// Asks something that is answered at once.
    fn ask(&self, what: &str) -> Event {
        let id = self.session.link.id();
        let (_, event) = self.session.link.ask(id, &json!({"do": what, "id": id, "pool": self.id}));
        event
    }

    /// The answer that cannot be read.
    fn refuse<T>(&self, read: Result<T, String>) -> T {
        read.unwrap_or_else(|what| self.session.link.refuse(&what))
    }
}

impl Pool for Remote {
    fn get(&self) -> Get {
        self.get_until(None)
    }

    fn get_by(&self, deadline: Instant) -> Get {
        self.get_until(Some(deadline))
    }

    fn try_get(&self) -> Option<Box<dyn Lease>> {
        let link = &self.session.link;
        let id = link.id();
        let (name, event) = link.ask_without_wait(id, &json!({"do": "take", "id": id, "pool": self.id}));
        if name == "none" {
            return None;
        }
        let number = self.refuse(got_of(&name, &event)).ok()?;
        let lease = Leased::new(self.session.clone(), self.objects.clone(), id, number);
        self.refuse(self.objects.lent(number));
        Some(Box::new(lease))
    }

    fn warm(&self, objects: usize) -> BoxFuture<'static, ()> {
        let waiting: Waiting<Done> = self.wait(json!({"do": "warm", "objects": objects}));
        Box::pin(async move {
            waiting.await;
        })
    }

    fn resize(&self, max: usize) {
        self.session.link.send_now(json!({"do": "resize", "pool": self.id, "max": max}));
    }

    fn retire_all(&self) {
        self.session.link.send_now(json!({"do": "retire", "pool": self.id}));
    }

    fn close(&self, within: Option<Duration>) -> BoxFuture<'static, usize> {
        let waiting: Waiting<Closed> =
            self.wait(json!({"do": "close_pool", "within": within.map(from_time)}));
        Box::pin(async move { waiting.await.0 })
    }

    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let event = self.ask("snapshot");
        let count = |name: &str| -> Result<Option<usize>, String> {
            Ok(event.optional_number(name)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
        };
        let [size, idle, waiting] = ["size", "idle", "waiting"].map(|name| self.refuse(count(name)));
        Box::pin(ready(Snapshot { size, idle, waiting }))
    }

    fn holders(&self) -> Vec<Duration> {
        let event = self.ask("holders");
        let held = event.get("held").and_then(Value::as_array).cloned().unwrap_or_default();
        held.iter().map(|time| self.refuse(json!({"held": time}).time("held"))).collect()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.session.link.send(json!({"do": "drop_pool", "pool": self.id}));
    }
}

/// An object in use. Dropping it returns the object.
struct Leased {
    session: Arc<Session>,
    objects: Arc<Objects>,
    id: u64,
    object: Object,
    is_over: bool,
}

impl Leased {
    fn new(session: Arc<Session>, objects: Arc<Objects>, id: u64, number: u32) -> Self {
        let object = objects.lease(number);
        Self { session, objects, id, object, is_over: false }
    }

    fn end(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_over, true) {
            let is_panic = std::thread::panicking();
            self.session.link.send(json!({"do": what, "id": self.id, "panics": is_panic}));
        }
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        &self.object
    }

    fn discard(mut self: Box<Self>) {
        self.end("discard");
    }

    fn detach(mut self: Box<Self>) -> Object {
        self.end("detach");
        let number = self.object.number();
        self.objects.take(number).unwrap_or_else(|| self.objects.lease(number))
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.end("return");
    }
}
