//! Limits in another process: the settings as JSON, requests and permits.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    link::Handler,
    process::{Process, Session},
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
        let (id, events) = (link.id(), Arc::new(RequestEvents::default()));
        link.handle(id, events.clone());
        link.send(json!({
            "do": name, "id": id, "limiter": self.id, "permits": request.permits, "key": request.key,
            "deadline": request.deadline.map(|at| from_time(link.time_of(at))),
        }));
        Waiting { session: self.session.clone(), id, events, has_started: false, has_ended: false }
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

#[derive(Default)]
struct RequestEvents(Mutex<RequestState>);

#[derive(Default)]
struct RequestState {
    answer: Option<Result<(), Denied>>,
    waker: Option<Waker>,
}

/// A request that waits for its turn.
struct Waiting {
    session: Arc<Session>,
    id: u64,
    events: Arc<RequestEvents>,
    has_started: bool,
    has_ended: bool,
}

impl Future for Waiting {
    type Output = Result<Held, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let link = &self.session.link;
        if link.is_broken() {
            link.unwind();
        }
        if !self.has_started {
            // It begins with its first poll, and not when the world is idle.
            link.send_now(json!({"do": "start", "id": self.id}));
            self.has_started = true;
        }
        let waker = cx.waker().clone();
        let (answer, old) = {
            let mut state = lock(&self.events.0);
            match state.answer {
                Some(answer) => (Some(answer), state.waker.take()),
                None => (None, state.waker.replace(waker)),
            }
        };
        drop(old);
        let Some(answer) = answer else { return Poll::Pending };
        self.has_ended = true;
        Poll::Ready(answer.map(|()| Held::new(&self.session, self.id)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (answer, waker) = {
            let mut state = lock(&self.events.0);
            (state.answer, state.waker.take())
        };
        drop(waker);
        // Permits that were granted meanwhile are given back.
        let last = if answer.is_some_and(|answer| answer.is_ok()) { "release" } else { "cancel" };
        self.session.link.send(json!({"do": last, "id": self.id}));
    }
}

impl RequestEvents {
    fn wake(&self) {
        let waker = lock(&self.0).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Handler for RequestEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        let answer = answer_of(name, event)?;
        lock(&self.0).answer = Some(answer);
        self.wake();
        Ok(())
    }

    fn broken(&self) {
        self.wake();
    }
}
