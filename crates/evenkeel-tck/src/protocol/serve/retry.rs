//! Retry for a suite in another process: calls whose operation is there.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        retry::REASONS,
        wire::{Members, Object, from_time, to_float},
    },
    Events, Scene, Work,
};
use crate::{
    BoxFuture,
    retry::{Budget, Growth, Hint, Jitter, Operation, Outcome, Refused, Remote, Settings},
};

/// The attempts of one call.
pub(super) struct Calls {
    id: u64,
    events: Arc<Events>,
    calls: AtomicU32,
    attempts: Mutex<HashMap<u32, Entry>>,
}

/// An attempt: its result, or the waker of the future that waits for it.
#[derive(Default)]
struct Entry {
    result: Option<Result<Option<Hint>, Hint>>,
    waker: Option<Waker>,
}

impl Calls {
    fn note(&self, name: &str, attempt: u32) {
        self.events.note(json!({"event": name, "id": self.id, "attempt": attempt}));
    }

    fn end(&self, attempt: u32, result: Result<Option<Hint>, Hint>) {
        let waker = {
            let mut attempts = lock(&self.attempts);
            let entry = attempts.entry(attempt).or_default();
            entry.result = Some(result);
            entry.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The operation of one call.
struct Called(Arc<Calls>);

impl Remote for Called {
    fn call(&self) -> (u32, BoxFuture<'static, Result<u32, Refused>>) {
        let number = self.0.calls.fetch_add(1, Relaxed) + 1;
        self.0.note("called", number);
        (number, Box::pin(Running { calls: self.0.clone(), number, has_begun: false }))
    }

    fn judge(&self, response: u32) -> Option<Hint> {
        lock(&self.0.attempts).get(&response).and_then(|entry| entry.result?.ok().flatten())
    }

    fn keyed(&self, key: String) {
        self.0.events.note(json!({"event": "keyed", "id": self.0.id, "key": key}));
    }

    fn observed(&self, delay: Option<Duration>) {
        self.0.events.note(json!({"event": "observed", "id": self.0.id, "delay": delay.map(from_time)}));
    }
}

struct Running {
    calls: Arc<Calls>,
    number: u32,
    has_begun: bool,
}

impl Future for Running {
    type Output = Result<u32, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        if !self.has_begun {
            self.has_begun = true;
            self.calls.note("attempt", number);
        }
        let waker = cx.waker().clone();
        let (result, old) = {
            let mut attempts = lock(&self.calls.attempts);
            let entry = attempts.entry(number).or_default();
            (entry.result, entry.waker.replace(waker))
        };
        drop(old);
        let Some(result) = result else { return Poll::Pending };
        Poll::Ready(result.map(|_| number).map_err(|hint| Refused { attempt: number, hint }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let waker = lock(&self.calls.attempts).get_mut(&self.number).and_then(|entry| entry.waker.take());
        drop(waker);
        self.calls.note("dropped", self.number);
    }
}

impl Scene<'_> {
    pub(super) fn policy(&mut self, message: &Object) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.retry.ok_or("nothing of retry")?);
        let settings = self.retry_settings(message.get("settings").ok_or("no settings")?)?;
        if let Some(policy) = self.configured(id, || adapter.configure(&settings)) {
            self.policies.insert(id, policy);
        }
        Ok(())
    }

    pub(super) fn call(&mut self, message: &Object) -> Result<(), String> {
        let (id, policy) = (message.number("id")?, message.number("policy")?);
        let policy = self.policies.get(&policy).ok_or_else(|| format!("there is no {policy}"))?;
        let events = self.events.clone();
        let calls = Arc::new(Calls {
            id,
            events: events.clone(),
            calls: AtomicU32::new(0),
            attempts: Mutex::default(),
        });
        let call = policy.call(Operation::remote(Arc::new(Called(calls.clone()))));
        self.operations.insert(id, calls);
        self.work.insert(id, Work::new(async move { events.note(end_of(id, call.await)) }));
        Ok(())
    }

    pub(super) fn result(&mut self, message: &Object) -> Result<(), String> {
        let (id, attempt) = (message.number("id")?, message.small("attempt")?);
        let calls = self.operations.get(&id).ok_or_else(|| format!("there is no {id}"))?;
        let result = match message.text("outcome")? {
            "ok" => Ok(None),
            "response" => Ok(Some(hint_of(message)?)),
            "error" => Err(hint_of(message)?),
            other => return Err(format!("there is no outcome {other:?}")),
        };
        calls.end(attempt, result);
        Ok(())
    }

    fn retry_settings(&self, settings: &Value) -> Result<Settings, String> {
        let jitter = match settings.get("jitter") {
            None | Some(Value::Null) => None,
            Some(Value::String(_)) => Some(Jitter::Usual),
            Some(_) => Some(Jitter::Percent(settings.small("jitter")?)),
        };
        let growth = match settings.get("factor") {
            None | Some(Value::Null) => Growth::Fixed,
            Some(factor) => Growth::Exponential(to_float(factor).ok_or("no factor")?),
        };
        let budget = match settings.get("budget") {
            None | Some(Value::Null) => None,
            Some(budget) => Some(Budget {
                percent: budget.small("percent")?,
                reserve: budget.small("reserve")?,
                per_second: budget.small("per_second")?,
            }),
        };
        Ok(Settings {
            max_attempts: settings.small("max_attempts")?,
            initial: settings.time("initial")?,
            growth,
            cap: settings.time("cap")?,
            jitter,
            seed: settings.optional_number("seed")?,
            total_timeout: settings.optional_time("total_timeout")?,
            attempt_timeout: settings.optional_time("attempt_timeout")?,
            deadline: settings.optional_time("deadline")?.map(|at| self.instant(at)),
            reset_after: settings.optional_time("reset_after")?,
            responses: settings.flag("responses"),
            max_retry_after: settings.optional_time("max_retry_after")?,
            budget,
            at_most_once: settings.flag("at_most_once"),
            idempotency_keys: settings.flag("idempotency_keys"),
            stop_after: settings.optional_time("stop_after")?,
        })
    }
}

fn hint_of(message: &Object) -> Result<Hint, String> {
    Ok(match message.text("hint")? {
        "transient" => Hint::Transient,
        "retry after" => Hint::RetryAfter(message.time("after")?),
        "not sent" => Hint::NotSent,
        "permanent" => Hint::Permanent,
        other => return Err(format!("there is no hint {other:?}")),
    })
}

/// The event that ends a call.
fn end_of(id: u64, outcome: Outcome) -> Value {
    let told = outcome.reason.and_then(|reason| REASONS.iter().find(|(known, _)| *known == reason));
    let reason = told.map(|(_, name)| *name);
    match outcome.result {
        Ok(value) => json!({"event": "end", "id": id, "ok": value, "reason": reason}),
        Err(error) => {
            let error = error.map(|error| error.attempt);
            json!({"event": "end", "id": id, "error": error, "reason": reason})
        }
    }
}
