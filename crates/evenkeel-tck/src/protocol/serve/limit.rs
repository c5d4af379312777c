//! Limits for a suite in another process: limiters, requests, and the permits that are held for it.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    super::wire::{Members, Object},
    Scene, Work, optional,
};
use crate::limit::{Change, Denied, Limit, Permit, Rate, Request, Settings};

/// The permits that are held, each by the id of its request.
#[derive(Clone, Default)]
pub(super) struct Permits(Rc<RefCell<HashMap<u64, Held>>>);

enum Held {
    Permit(Permit),
    /// Ends the wait of a reservation with the number of used permits.
    Reserved(oneshot::Sender<u32>),
}

impl Permits {
    fn hold(&self, id: u64, held: Held) {
        self.0.borrow_mut().insert(id, held);
    }

    /// Gives back what is held; a reservation is settled, or has used nothing.
    pub(super) fn give_back(&self, id: u64, used: Option<u32>) {
        let held = self.0.borrow_mut().remove(&id);
        match (held, used) {
            (Some(Held::Reserved(reserved)), Some(used)) => drop(reserved.send(used)),
            (Some(Held::Permit(permit)), _) => drop(permit),
            (Some(Held::Reserved(_)) | None, _) => {}
        }
    }
}

impl Scene<'_> {
    pub(super) fn limiter(&mut self, message: &Object) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.limit.ok_or("nothing of limit")?);
        let settings = settings_of(message.get("settings").ok_or("no settings")?)?;
        if let Some(limiter) = self.configured(id, || adapter.configure(&settings)) {
            self.limiters.insert(id, limiter.into());
        }
        Ok(())
    }

    fn limiter_of(&self, message: &Object) -> Result<Arc<dyn crate::limit::Limiter>, String> {
        let id = message.number("limiter")?;
        self.limiters.get(&id).cloned().ok_or_else(|| format!("there is no {id}"))
    }

    fn request_of(&self, message: &Object) -> Result<Request, String> {
        let key = if message.is_there("key") { Some(message.small("key")?) } else { None };
        let deadline = message.optional_time("deadline")?.map(|at| self.instant(at));
        Ok(Request { permits: message.small("permits")?, key, deadline })
    }

    pub(super) fn try_acquire(&mut self, message: &Object) -> Result<(), String> {
        let (id, limiter) = (message.number("id")?, self.limiter_of(message)?);
        let answer = limiter.try_acquire(self.request_of(message)?);
        self.events.note(answer_of(id, &answer));
        if let Ok(permit) = answer {
            self.permits.hold(id, Held::Permit(permit));
        }
        Ok(())
    }

    pub(super) fn request(&mut self, name: &str, message: &Object) -> Result<(), String> {
        let (id, limiter) = (message.number("id")?, self.limiter_of(message)?);
        let (events, permits, request) =
            (self.events.clone(), self.permits.clone(), self.request_of(message)?);
        let work = if name == "acquire" {
            let turn = limiter.acquire(request);
            Work::new(async move {
                let answer = turn.await;
                events.note(answer_of(id, &answer));
                if let Ok(permit) = answer {
                    permits.hold(id, Held::Permit(permit));
                }
            })
        } else {
            Work::new(async move {
                let answer = limiter.reserve(request.permits).await;
                events.note(answer_of(id, &answer));
                let Ok(settle) = answer else { return };
                let (reserved, used) = oneshot::channel();
                permits.hold(id, Held::Reserved(reserved));
                if let Ok(used) = used.await {
                    settle(used);
                }
            })
        };
        self.work.insert(id, work);
        Ok(())
    }

    pub(super) fn give_back(&mut self, message: &Object) -> Result<(), String> {
        let used = message.optional_number("used")?.and_then(|used| u32::try_from(used).ok());
        self.permits.give_back(message.number("id")?, used);
        Ok(())
    }

    pub(super) fn change(&mut self, message: &Object) -> Result<(), String> {
        let limiter = self.limiter_of(message)?;
        limiter.change(if message.is_there("rate") {
            Change::Rate(rate_of(&message["rate"])?)
        } else if message.is_there("burst") {
            Change::Burst(message.small("burst")?)
        } else if message.is_there("limit") {
            Change::Limit(message.small("limit")?)
        } else if message.is_there("refund") {
            Change::Refund(message.small("refund")?)
        } else if message.is_there("penalty") {
            Change::Penalty(message.time("penalty")?)
        } else if message.flag("close") {
            Change::Close
        } else {
            return Err("no such change".to_owned());
        });
        Ok(())
    }

    pub(super) fn keys(&mut self, message: &Object) -> Result<(), String> {
        let (id, keys) = (message.number("id")?, self.limiter_of(message)?.keys());
        self.events.note(json!({"event": "keys", "id": id, "keys": keys}));
        Ok(())
    }
}

fn answer_of<T>(id: u64, answer: &Result<T, Denied>) -> Value {
    let (reason, retry_after) = match answer {
        Ok(_) => return json!({"event": "granted", "id": id}),
        Err(Denied::Busy(retry_after)) => ("busy", *retry_after),
        Err(Denied::NeverFits) => ("never fits", None),
        Err(Denied::QueueFull) => ("queue full", None),
        Err(Denied::Deadline) => ("deadline", None),
        Err(Denied::Closed) => ("closed", None),
    };
    json!({"event": "denied", "id": id, "reason": reason, "retry_after": optional(retry_after)})
}

fn rate_of(value: &Value) -> Result<Rate, String> {
    Ok(Rate { permits: value.small("permits")?, per: value.time("per")? })
}

fn limit_of(value: &Value) -> Result<Limit, String> {
    Ok(match value.text("kind")? {
        "bucket" => Limit::Bucket { rate: rate_of(value)?, burst: value.small("burst")? },
        "sliding" => Limit::Sliding(rate_of(value)?),
        "concurrency" => Limit::Concurrency(value.small("limit")?),
        other => return Err(format!("there is no limit {other:?}")),
    })
}

fn settings_of(settings: &Value) -> Result<Settings, String> {
    let count = |name: &str| -> Result<Option<usize>, String> {
        Ok(settings.optional_number(name)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    };
    let also = settings.get("also").filter(|also| !also.is_null());
    Ok(Settings {
        limit: limit_of(settings.get("limit").ok_or("no limit")?)?,
        also: also.map(limit_of).transpose()?,
        starts_empty: settings.flag("starts_empty"),
        waits: settings.flag("waits"),
        max_waiters: count("max_waiters")?,
        keyed: settings.flag("keyed"),
        max_keys: count("max_keys")?,
    })
}
