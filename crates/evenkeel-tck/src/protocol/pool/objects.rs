//! The objects of a pool in another process: each step of its backend is told from there, and has its course and its end here.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, spawn_local};

use super::super::{
    link::{Handler, Link},
    wire::{Members, Object as Event},
};
use crate::pool::{Backend, Creation, ErrorKind, Failure, Kind, Object, Step};

/// The kinds of errors, with their names in the protocol.
pub(in crate::protocol) const KINDS: [(ErrorKind, &str); 3] =
    [(ErrorKind::Single, "single"), (ErrorKind::Transient, "transient"), (ErrorKind::Fatal, "fatal")];

/// Something that is woken by each event of its pool, so that it can be cut behind each.
pub(super) trait Wakes: Send + Sync {
    fn wake(&self);
}

pub(super) struct Objects {
    id: u64,
    link: Weak<Link>,
    backend: Backend,
    this: Weak<Self>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alive: HashMap<u32, Object>,
    gone: HashSet<u32>,
    running: HashMap<u64, Running>,
    /// The steps whose end was told, each with the object that it has made.
    ended: HashMap<u64, Option<u32>>,
    calls: Vec<Weak<dyn Wakes>>,
}

/// A step under way.
struct Running {
    kind: Kind,
    number: u32,
    step: Step,
    creation: Option<Creation>,
    task: Option<AbortHandle>,
}

impl Objects {
    pub(super) fn new(link: &Arc<Link>, backend: &Backend) -> Arc<Self> {
        let id = link.id();
        let objects = Arc::new_cyclic(|this| Self {
            id,
            link: Arc::downgrade(link),
            backend: backend.clone(),
            this: this.clone(),
            state: Mutex::default(),
        });
        link.handle(id, objects.clone());
        objects
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The call is woken by each event.
    pub(super) fn wakes(&self, call: Arc<dyn Wakes>) {
        let mut state = lock(&self.state);
        state.calls.retain(|call| call.strong_count() > 0);
        state.calls.push(Arc::downgrade(&call));
    }

    /// The object as its user has it.
    pub(super) fn lease(&self, number: u32) -> Object {
        Object::lease(number, &self.backend)
    }

    /// The object leaves the pool.
    pub(super) fn take(&self, number: u32) -> Option<Object> {
        lock(&self.state).alive.remove(&number)
    }

    /// The implementation lends this object.
    pub(super) fn lent(&self, number: u32) -> Result<(), String> {
        self.is_alive(number, "lent")
    }

    /// An implementation that goes on with an object which it has dropped is at fault.
    fn is_alive(&self, number: u32, does: &str) -> Result<(), String> {
        let (is_alive, is_gone) = {
            let state = lock(&self.state);
            (state.alive.contains_key(&number), state.gone.contains(&number))
        };
        if is_alive {
            return Ok(());
        }
        if !is_gone {
            return Err(format!("there is no object {number}"));
        }
        if let Some(link) = self.link.upgrade() {
            let (expected, got) =
                ("that what it has dropped is left alone", format!("object {number} is {does}"));
            link.fail(self.backend.record().failure(expected, got));
        }
        Ok(())
    }

    fn send(&self, message: Value) {
        if let Some(link) = self.link.upgrade() {
            link.send(message);
        }
    }

    /// A creation, a check or a reset begins.
    fn begin(&self, kind: Kind, event: &Event) -> Result<(), String> {
        let (id, number) = (event.number("step")?, event.small("object")?);
        let is_known = {
            let state = lock(&self.state);
            state.running.contains_key(&id) || state.ended.contains_key(&id)
        };
        if is_known {
            return Err(format!("step {id} begins twice"));
        }
        let creation = if kind == Kind::Create {
            Some(self.create(number)?)
        } else {
            self.is_alive(number, if kind == Kind::Check { "checked" } else { "reset" })?;
            self.backend.begins(kind, number);
            None
        };
        let step = self.backend.course(kind, number);
        let running = Running { kind, number, step, creation, task: None };
        lock(&self.state).running.insert(id, running);
        if step.after.is_some_and(|time| time.is_zero()) {
            self.end(id);
        } else if let Some(this) = self.this.upgrade() {
            let task = spawn_local(async move {
                step.wait().await;
                this.end(id);
            });
            if let Some(running) = lock(&self.state).running.get_mut(&id) {
                running.task = Some(task.abort_handle());
            }
        }
        Ok(())
    }

    fn create(&self, number: u32) -> Result<Creation, String> {
        let creation = self.backend.begin();
        if creation.number() == number {
            Ok(creation)
        } else {
            Err(format!("object {number} is created in place of {}", creation.number()))
        }
    }

    fn is_created(&self, creation: Creation) -> u32 {
        let number = creation.done();
        let object = Object::new(number, &self.backend);
        lock(&self.state).alive.insert(number, object);
        number
    }

    /// The step ends as its course says.
    fn end(&self, id: u64) {
        let running = lock(&self.state).running.remove(&id);
        let Some(Running { kind, number, step, creation, .. }) = running else { return };
        let end = step.end(kind, number);
        let object = match (&end, creation) {
            (Ok(()), Some(creation)) => Some(self.is_created(creation)),
            (Ok(()), None) => {
                self.backend.ends(kind, number);
                None
            }
            (Err(_), _) => None,
        };
        lock(&self.state).ended.insert(id, object);
        self.send(self.message(id, end));
    }

    fn message(&self, step: u64, end: Result<(), Failure>) -> Value {
        let (outcome, kind, says) = match end {
            Ok(()) => ("ok", None, None),
            Err(Failure::Panic(message)) => ("panic", None, Some(message)),
            Err(Failure::Error(error)) => {
                let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind).map(|(_, name)| *name);
                ("error", kind, Some(error.text))
            }
        };
        json!({
            "do": "ended", "backend": self.id, "step": step, "outcome": outcome, "kind": kind, "says": says,
        })
    }

    /// The implementation lets go of a step.
    fn let_go(&self, id: u64) -> Result<(), String> {
        let (running, ended) = {
            let mut state = lock(&self.state);
            (state.running.remove(&id), state.ended.remove(&id))
        };
        if let Some(running) = running {
            running.task.inspect(AbortHandle::abort);
            return Ok(());
        }
        // It has not seen that the step has ended: what was made is dropped.
        let made = ended.ok_or_else(|| format!("there is no step {id}, or it is let go twice"))?;
        if let Some(number) = made {
            self.free(number)?;
        }
        Ok(())
    }

    fn free(&self, number: u32) -> Result<(), String> {
        let object = {
            let mut state = lock(&self.state);
            state.gone.insert(number);
            state.alive.remove(&number)
        };
        object.map(drop).ok_or_else(|| format!("object {number} is not there, and is dropped"))
    }

    /// The rule is over: what takes its time ends now, and what hangs goes on to do so.
    pub(super) fn finish(&self) {
        let mut running: Vec<u64> = lock(&self.state).running.keys().copied().collect();
        running.sort_unstable();
        for id in running {
            let (task, ends) = match lock(&self.state).running.get_mut(&id) {
                Some(running) => (running.task.take(), running.step.after.is_some()),
                None => continue,
            };
            task.inspect(AbortHandle::abort);
            if ends {
                self.end(id);
            }
        }
    }
}

impl Handler for Objects {
    fn event(&self, name: &str, event: &Event) -> Result<(), String> {
        match name {
            "create" => self.begin(Kind::Create, event)?,
            "check" => self.begin(Kind::Check, event)?,
            "reset" => self.begin(Kind::Reset, event)?,
            "there" => {
                let creation = self.create(event.small("object")?)?;
                self.is_created(creation);
            }
            "dropped" => self.let_go(event.number("step")?)?,
            "free" => self.free(event.small("object")?)?,
            other => return Err(format!("a backend has no event {other:?}")),
        }
        let calls: Vec<_> = lock(&self.state).calls.iter().filter_map(Weak::upgrade).collect();
        calls.iter().for_each(|call| call.wake());
        Ok(())
    }
}
