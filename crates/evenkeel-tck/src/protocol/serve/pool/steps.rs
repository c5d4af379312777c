//! The backend of a pool as its implementation sees it: each step is told to the suite, which tells of its end.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::json;

use super::super::{
    super::{
        pool::KINDS,
        wire::{Members, Object as Message},
    },
    Events,
};
use crate::{
    BoxFuture,
    pool::{BackendError, Destructor, ErrorKind, Failure, Kind, Remote},
};

pub(super) struct Steps(Arc<Inner>);

struct Inner {
    id: u64,
    events: Arc<Events>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: u32,
    steps: u64,
    running: HashMap<u64, Entry>,
    broken: HashSet<u32>,
    destructors: HashMap<u32, Destructor>,
}

/// A step: its end, or the waker of the future that waits for it.
#[derive(Default)]
struct Entry {
    end: Option<Result<(), Failure>>,
    waker: Option<Waker>,
}

impl Steps {
    pub(super) fn new(id: u64, events: Arc<Events>) -> Self {
        Self(Arc::new(Inner { id, events, state: Mutex::default() }))
    }

    /// The suite tells the end of a step. One that is let go meanwhile does not hear of it.
    pub(super) fn ended(&self, message: &Message) -> Result<(), String> {
        let id = message.number("step")?;
        let says = || Ok::<_, String>(message.text("says")?.to_owned());
        let end = match message.text("outcome")? {
            "ok" => Ok(()),
            "panic" => Err(Failure::Panic(says()?)),
            "error" => Err(Failure::Error(BackendError { text: says()?, kind: kind_of(message)? })),
            other => return Err(format!("there is no outcome {other:?}")),
        };
        let waker = {
            let mut state = lock(&self.0.state);
            state.running.get_mut(&id).and_then(|entry| {
                entry.end = Some(end);
                entry.waker.take()
            })
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    pub(super) fn breaks(&self, number: u32) {
        lock(&self.0.state).broken.insert(number);
    }

    pub(super) fn destroys(&self, number: u32, destructor: Destructor) {
        let old = lock(&self.0.state).destructors.insert(number, destructor);
        drop(old);
    }

    fn begin(&self, what: &str, number: u32) -> BoxFuture<'static, Result<(), Failure>> {
        let id = {
            let mut state = lock(&self.0.state);
            state.steps += 1;
            let id = state.steps;
            state.running.insert(id, Entry::default());
            id
        };
        self.0.events.note(json!({"event": what, "id": self.0.id, "step": id, "object": number}));
        Box::pin(Running { inner: self.0.clone(), id })
    }

    fn next_object(&self) -> u32 {
        let mut state = lock(&self.0.state);
        state.objects += 1;
        state.objects
    }
}

fn kind_of(message: &Message) -> Result<ErrorKind, String> {
    let name = message.text("kind")?;
    let known = KINDS.iter().find(|(_, known)| *known == name);
    Ok(known.ok_or_else(|| format!("there is no kind {name:?}"))?.0)
}

impl Remote for Steps {
    fn create(&self) -> (u32, BoxFuture<'static, Result<(), Failure>>) {
        let number = self.next_object();
        (number, self.begin("create", number))
    }

    fn step(&self, kind: Kind, number: u32) -> BoxFuture<'static, Result<(), Failure>> {
        self.begin(if kind == Kind::Check { "check" } else { "reset" }, number)
    }

    fn object(&self) -> u32 {
        let number = self.next_object();
        self.0.events.note(json!({"event": "there", "id": self.0.id, "object": number}));
        number
    }

    fn is_broken(&self, number: u32) -> bool {
        lock(&self.0.state).broken.contains(&number)
    }

    fn freed(&self, number: u32) -> Option<Destructor> {
        self.0.events.note(json!({"event": "free", "id": self.0.id, "object": number}));
        lock(&self.0.state).destructors.remove(&number)
    }
}

/// A step that runs until its end, or until the implementation lets go of it.
struct Running {
    inner: Arc<Inner>,
    id: u64,
}

impl Future for Running {
    type Output = Result<(), Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let (end, old) = {
            let mut state = lock(&self.inner.state);
            let entry = state.running.entry(self.id).or_default();
            match entry.end.take() {
                Some(end) => {
                    let old = state.running.remove(&self.id).and_then(|entry| entry.waker);
                    (Some(end), old)
                }
                None => (None, entry.waker.replace(waker)),
            }
        };
        drop(old);
        end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let entry = lock(&self.inner.state).running.remove(&self.id);
        if entry.is_some() {
            self.inner.events.note(json!({"event": "dropped", "id": self.inner.id, "step": self.id}));
        }
        drop(entry);
    }
}
