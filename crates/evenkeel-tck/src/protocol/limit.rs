//! Limits in another process: the settings as JSON, requests and permits.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Value, json};

use super::{
    answer::{Answer, Wait},
    link::Handler,
    process::Process,
    session::Session,
    wire::{Members, Object, from_time},
};
use crate::{
    Adapter, AdapterError, BoxFuture,
    limit::{Capability, Change, Denied, Limit, Limiter, Permit, Rate, Request, Settings, Settle},
};

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("limit", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let session = self.session()?;
        let id = session.configure("limiter", settings_of(settings))?;
        Ok(Box::new(Remote { session, id }))
    }
}

fn settings_of(settings: &Settings) -> Value {
    json!({
        "limit": limit_of(settings.limit),
        "also": settings.also.map(limit_of),
        "starts_empty": settings.starts_empty,
        "waits": settings.waits,
        "max_waiters": settings.max_waiters,
        "keyed": settings.keyed,
        "max_keys": settings.max_keys,
    })
}

fn limit_of(limit: Limit) -> Value {
    match limit {
        Limit::Bucket { rate: Rate { permits, per }, burst } => {
            json!({"kind": "bucket", "permits": permits, "per": from_time(per), "burst": burst})
        }
        Limit::Sliding(Rate { permits, per }) => {
            json!({"kind": "sliding", "permits": permits, "per": from_time(per)})
        }
        Limit::Concurrency(limit) => json!({"kind": "concurrency", "limit": limit}),
    }
}

/// The answer to a request, as its event says it.
fn answer_of(name: &str, event: &Object) -> Result<Result<(), Denied>, String> {
    if name == "granted" {
        return Ok(Ok(()));
    }
    if name != "denied" {
        return Err(format!("a request has no event {name:?}"));
    }
    Ok(Err(match event.text("reason")? {
        "busy" => Denied::Busy(event.optional_time("retry_after")?),
        "never fits" => Denied::NeverFits,
        "queue full" => Denied::QueueFull,
        "deadline" => Denied::Deadline,
        "closed" => Denied::Closed,
        other => return Err(format!("there is no reason {other:?}")),
    }))
}

/// A limiter in another process.
struct Remote {
    session: Arc<Session>,
    id: u64,
}

/// Granted permits; dropping them gives them back.
struct Held {
    session: Arc<Session>,
    id: u64,
    is_given_back: bool,
}

impl Held {
    fn new(session: &Arc<Session>, id: u64) -> Self {
        Self { session: session.clone(), id, is_given_back: false }
    }

    fn settle(mut self, used: u32) {
        self.session.link.send_now(json!({"do": "settle", "id": self.id, "used": used}));
        self.is_given_back = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.session.link.send(json!({"do": "release", "id": self.id}));
        }
    }
}

impl Remote {
    /// A request that waits, not yet polled.
    fn wait(&self, name: &str, request: Request) -> Waiting {
        let link = &self.session.link;
        let (id, answer) = (link.id(), Arc::new(Answer::default()));
        link.handle(id, Arc::new(RequestEvents(answer.clone())));
        link.send(json!({
            "do": name, "id": id, "limiter": self.id, "permits": request.permits, "key": request.key,
            "deadline": request.deadline.map(|at| from_time(link.time_of(at))),
        }));
        Waiting(Wait::new(self.session.clone(), id, answer))
    }
}

impl Limiter for Remote {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let link = &self.session.link;
        let id = link.id();
        let (name, event) = link.ask_without_wait(
            id,
            &json!({"do": "try", "id": id, "limiter": self.id, "permits": request.permits, "key": request.key}),
        );
        match answer_of(&name, &event) {
            Ok(answer) => answer.map(|()| Permit::new(Held::new(&self.session, id))),
            Err(what) => link.refuse(&what),
        }
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let waiting = self.wait("acquire", request);
        Box::pin(async move { waiting.await.map(Permit::new) })
    }

    fn reserve(&self, permits: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        let waiting = self.wait("reserve", Request::of(permits));
        Box::pin(async move {
            let held = waiting.await?;
            Ok(Box::new(move |used| held.settle(used)) as Settle<'_>)
        })
    }

    fn change(&self, change: Change) {
        let (what, value) = match change {
            Change::Rate(Rate { permits, per }) => {
                ("rate", json!({"permits": permits, "per": from_time(per)}))
            }
            Change::Burst(burst) => ("burst", burst.into()),
            Change::Limit(limit) => ("limit", limit.into()),
            Change::Refund(permits) => ("refund", permits.into()),
            Change::Penalty(time) => ("penalty", from_time(time)),
            Change::Close => ("close", true.into()),
        };
        self.session.link.send_now(json!({"do": "change", "limiter": self.id, what: value}));
    }

    fn keys(&self) -> usize {
        let link = &self.session.link;
        let id = link.id();
        let (_, event) = link.ask(id, &json!({"do": "keys", "id": id, "limiter": self.id}));
        match event.number("keys") {
            Ok(keys) => usize::try_from(keys).unwrap_or(usize::MAX),
            Err(what) => link.refuse(&what),
        }
    }
}

/// The events of a request, which have its answer.
struct RequestEvents(Arc<Answer<Result<(), Denied>>>);

impl Handler for RequestEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        self.0.put(answer_of(name, event)?);
        self.0.wake();
        Ok(())
    }

    fn broken(&self) {
        self.0.wake();
    }
}

/// A request that waits for its turn.
struct Waiting(Wait<Result<(), Denied>>);

impl Future for Waiting {
    type Output = Result<Held, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.0.poll(cx);
        answer.map_ok(|()| Held::new(self.0.session(), self.0.id()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let answer = self.0.leave();
        if self.0.has_ended() {
            return;
        }
        // Permits that were granted meanwhile are given back.
        let last = if answer.is_some_and(|answer| answer.is_ok()) { "release" } else { "cancel" };
        self.0.session().link.send(json!({"do": last, "id": self.0.id()}));
    }
}
