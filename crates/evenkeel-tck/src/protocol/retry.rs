//! Retry in another process: the settings as JSON, and calls whose attempts are here.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
};

use evenkeel_base::lock;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, spawn_local};

use super::{
    answer::{Answer, Wait},
    link::{Handler, Link},
    process::Process,
    session::Session,
    wire::{Members, Object, from_float, from_time, from_u64},
};
use crate::{
    Adapter, AdapterError,
    retry::{
        Attempt, Capability, Growth, Hint, Jitter, Operation, Outcome, Policy, Reason, Refused, Settings,
    },
};

/// The reasons, with their names in the protocol.
pub(super) const REASONS: [(Reason, &str); 7] = [
    (Reason::Permanent, "permanent"),
    (Reason::Attempts, "attempts"),
    (Reason::TotalTimeout, "total timeout"),
    (Reason::RetryAfter, "retry after"),
    (Reason::Budget, "budget"),
    (Reason::AtMostOnce, "at most once"),
    (Reason::Stopped, "stopped"),
];

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("retry", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
        let session = self.session()?;
        let policy = session.configure("policy", settings_of(settings, &session.link))?;
        Ok(Policy::new(move |operation| Call::new(&session, policy, operation)))
    }
}

fn settings_of(settings: &Settings, link: &Link) -> Value {
    json!({
        "max_attempts": settings.max_attempts,
        "initial": from_time(settings.initial),
        "factor": match settings.growth {
            Growth::Fixed => Value::Null,
            Growth::Exponential(factor) => from_float(factor),
        },
        "cap": from_time(settings.cap),
        "jitter": match settings.jitter {
            None => Value::Null,
            Some(Jitter::Usual) => "usual".into(),
            Some(Jitter::Percent(percent)) => percent.into(),
        },
        "seed": settings.seed.map(from_u64),
        "total_timeout": settings.total_timeout.map(from_time),
        "attempt_timeout": settings.attempt_timeout.map(from_time),
        "deadline": settings.deadline.map(|at| from_time(link.time_of(at))),
        "reset_after": settings.reset_after.map(from_time),
        "responses": settings.responses,
        "max_retry_after": settings.max_retry_after.map(from_time),
        "budget": settings.budget.map(|budget| json!({
            "percent": budget.percent, "reserve": budget.reserve, "per_second": budget.per_second,
        })),
        "at_most_once": settings.at_most_once,
        "idempotency_keys": settings.idempotency_keys,
        "stop_after": settings.stop_after.map(from_time),
    })
}

/// The message that ends an attempt.
fn result_of(id: u64, attempt: u32, result: Result<Option<Hint>, Hint>) -> Value {
    let (outcome, hint) = match result {
        Ok(None) => return json!({"do": "result", "id": id, "attempt": attempt, "outcome": "ok"}),
        Ok(Some(hint)) => ("response", hint),
        Err(hint) => ("error", hint),
    };
    let (hint, after) = match hint {
        Hint::Transient => ("transient", Value::Null),
        Hint::RetryAfter(after) => ("retry after", from_time(after)),
        Hint::NotSent => ("not sent", Value::Null),
        Hint::Permanent => ("permanent", Value::Null),
    };
    json!({"do": "result", "id": id, "attempt": attempt, "outcome": outcome, "hint": hint, "after": after})
}

/// The future of a call, which its events wake.
struct Call(Wait<Outcome>);

/// The call as its events see it: it outlives the future, since attempts may do so.
struct CallEvents {
    id: u64,
    link: Weak<Link>,
    operation: Operation,
    tells_drops: bool,
    this: Weak<CallEvents>,
    answer: Arc<Answer<Outcome>>,
    state: Mutex<CallState>,
}

#[derive(Default)]
struct CallState {
    attempts: HashMap<u32, Entry>,
    results: HashMap<u32, Result<u32, Refused>>,
}

/// An attempt that is called. It is taken out of its slot to be polled.
#[derive(Default)]
struct Entry {
    slot: Option<Attempt>,
    task: Option<AbortHandle>,
}

impl Call {
    fn new(session: &Arc<Session>, policy: u64, operation: Operation) -> Self {
        let (link, id, answer) = (&session.link, session.link.id(), Arc::new(Answer::default()));
        let events = Arc::new_cyclic(|this| CallEvents {
            id,
            link: Arc::downgrade(link),
            operation,
            tells_drops: session.tells_drops,
            this: this.clone(),
            answer: answer.clone(),
            state: Mutex::default(),
        });
        link.handle(id, events);
        link.send(json!({"do": "call", "id": id, "policy": policy}));
        Self(Wait::new(session.clone(), id, answer))
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.poll(cx)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = self.0.leave();
        if !self.0.has_ended() {
            self.0.session().link.send(json!({"do": "cancel", "id": self.0.id()}));
        }
    }
}

impl CallEvents {
    /// Calls the operation for the attempt with this number.
    fn call(&self, number: u32) -> Result<(), String> {
        let attempt = self.operation.call();
        if attempt.number() != number {
            return Err(format!("attempt {number} is called as the {}th", attempt.number()));
        }
        lock(&self.state).attempts.insert(number, Entry { slot: Some(attempt), task: None });
        Ok(())
    }

    /// Lets an attempt begin.
    fn begin(&self, number: u32) -> Result<(), String> {
        let is_called = lock(&self.state).attempts.contains_key(&number);
        if !is_called {
            self.call(number)?;
        }
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let task = spawn_local(Running { call: this, number }).abort_handle();
        if let Some(entry) = lock(&self.state).attempts.get_mut(&number) {
            entry.task = Some(task);
            entry.slot.iter_mut().for_each(Attempt::begin);
        }
        Ok(())
    }

    /// The implementation has let go of an attempt.
    fn let_go(&self, number: u32) -> Result<(), String> {
        let entry = lock(&self.state).attempts.remove(&number);
        let entry = entry.ok_or_else(|| format!("attempt {number} is not called, or is dropped twice"))?;
        if let Some(task) = entry.task {
            task.abort();
        }
        drop(entry.slot);
        Ok(())
    }

    fn end(&self, event: &Object) -> Result<(), String> {
        if event.flag("cancelled") {
            return Ok(());
        }
        let mut outcome = if event.is_there("ok") {
            let number = event.small("ok")?;
            let value = self.result(number).and_then(Result::ok);
            Outcome::from(value.ok_or_else(|| format!("attempt {number} has no value"))?)
        } else if event.is_there("error") {
            let number = event.small("error")?;
            let error = self.result(number).and_then(Result::err);
            Outcome::gave_up(Some(error.ok_or_else(|| format!("attempt {number} has no error"))?))
        } else {
            Outcome::gave_up(None)
        };
        if event.is_there("reason") {
            let name = event.text("reason")?;
            let known = REASONS.iter().find(|(_, known)| *known == name);
            outcome = outcome.because(known.ok_or_else(|| format!("there is no reason {name:?}"))?.0);
        }
        self.answer.put(outcome);
        Ok(())
    }

    fn result(&self, number: u32) -> Option<Result<u32, Refused>> {
        lock(&self.state).results.get(&number).copied()
    }
}

impl Handler for CallEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        match name {
            "called" => self.call(event.small("attempt")?)?,
            "attempt" => self.begin(event.small("attempt")?)?,
            "dropped" => self.let_go(event.small("attempt")?)?,
            "observed" => self.operation.observed(event.optional_time("delay")?),
            "keyed" => self.operation.keyed(event.text("key")?),
            "end" => self.end(event)?,
            other => return Err(format!("a call has no event {other:?}")),
        }
        // A call that is cut at each await is cut behind each event.
        self.answer.wake();
        Ok(())
    }

    fn broken(&self) {
        self.answer.wake();
    }
}

/// An attempt that runs until its end, or until the implementation lets go of it.
struct Running {
    call: Arc<CallEvents>,
    number: u32,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (call, number) = (&self.call, self.number);
        let slot = || lock(&call.state).attempts.get_mut(&number).and_then(|entry| entry.slot.take());
        let Some(mut attempt) = slot() else { return Poll::Ready(()) };
        let polled = Pin::new(&mut attempt).poll(cx);
        let Poll::Ready(result) = polled else {
            self.put_back(attempt);
            return Poll::Pending;
        };
        let hint = result.map(|value| call.operation.judge(value)).map_err(|error| error.hint);
        lock(&call.state).results.insert(number, result);
        if let Some(link) = call.link.upgrade() {
            link.send(result_of(call.id, number, hint));
        }
        // Otherwise its end is all that the implementation holds of it.
        if call.tells_drops {
            self.put_back(attempt);
        }
        Poll::Ready(())
    }
}

impl Running {
    /// Unless the implementation has let go of it meanwhile.
    fn put_back(&self, attempt: Attempt) {
        let mut attempt = Some(attempt);
        if let Some(entry) = lock(&self.call.state).attempts.get_mut(&self.number) {
            entry.slot = attempt.take();
        }
        drop(attempt);
    }
}
