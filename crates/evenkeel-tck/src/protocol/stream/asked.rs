//! A wait in another process that one event answers: a push, a pop, a join, workers.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::super::{
    link::Handler,
    process::Session,
    wire::{Members, Object},
};

/// The event that answers, and its name.
pub(super) type Answered = (String, Object);

/// It begins with its first poll, and is cancelled when it is dropped.
pub(super) struct Asked {
    session: Arc<Session>,
    id: u64,
    events: Arc<AskedEvents>,
    has_started: bool,
    has_left: bool,
    has_ended: bool,
}

#[derive(Default)]
struct AskedEvents(Mutex<(Option<Answered>, Option<Waker>)>);

impl Asked {
    pub(super) fn new(session: &Arc<Session>, id: u64, message: Value) -> Self {
        let events = Arc::new(AskedEvents::default());
        session.link.handle(id, events.clone());
        session.link.send(message);
        Self { session: session.clone(), id, events, has_started: false, has_left: false, has_ended: false }
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Cancels it. Returns the answer, if there is one that nobody has taken.
    pub(super) fn leave(&mut self) -> Option<Answered> {
        if self.has_ended || std::mem::replace(&mut self.has_left, true) {
            return None;
        }
        let waker = lock(&self.events.0).1.take();
        drop(waker);
        let is_answered = lock(&self.events.0).0.is_some();
        if !is_answered {
            self.session.link.send_last(json!({"do": "cancel", "id": self.id}));
        }
        let answered = lock(&self.events.0).0.take();
        self.has_ended = answered.is_some();
        answered
    }
}

impl Future for Asked {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let link = &self.session.link;
        if link.is_broken() {
            link.unwind();
        }
        if !self.has_started {
            link.send_now(json!({"do": "start", "id": self.id}));
            self.has_started = true;
        }
        let waker = cx.waker().clone();
        let (answered, old) = {
            let mut state = lock(&self.events.0);
            match state.0.take() {
                Some(answered) => (Some(answered), state.1.take()),
                None => (None, state.1.replace(waker)),
            }
        };
        drop(old);
        match answered {
            Some(answered) => {
                self.has_ended = true;
                Poll::Ready(answered)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl AskedEvents {
    fn wake(&self) {
        let waker = lock(&self.0).1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Handler for AskedEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        lock(&self.0).0 = Some((name.to_owned(), event.clone()));
        self.wake();
        Ok(())
    }

    fn broken(&self) {
        self.wake();
    }
}
