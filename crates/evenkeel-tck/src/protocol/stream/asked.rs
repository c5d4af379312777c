//! A wait in another process that one event answers: a push, a pop, a join, workers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Value, json};

use super::super::{
    answer::{Answer, Wait},
    link::Handler,
    session::Session,
    wire::{Members, Object},
};

/// The event that answers, and its name.
pub(super) type Answered = (String, Object);

/// It is cancelled when it is dropped.
pub(super) struct Asked {
    wait: Wait<Answered>,
    has_left: bool,
    has_ended: bool,
}

struct AskedEvents(Arc<Answer<Answered>>);

impl Asked {
    pub(super) fn new(session: &Arc<Session>, id: u64, message: Value) -> Self {
        let answer = Arc::new(Answer::default());
        session.link.handle(id, Arc::new(AskedEvents(answer.clone())));
        session.link.send(message);
        Self { wait: Wait::new(session.clone(), id, answer), has_left: false, has_ended: false }
    }

    /// The answer was returned, by the future or to who has left.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Cancels it. Returns the answer, if there is one that nobody has taken.
    pub(super) fn leave(&mut self) -> Option<Answered> {
        if self.has_ended || std::mem::replace(&mut self.has_left, true) {
            return None;
        }
        if !self.wait.is_answered() {
            self.wait.session().link.send_last(json!({"do": "cancel", "id": self.wait.id()}));
        }
        let answered = self.wait.leave();
        self.has_ended = answered.is_some();
        answered
    }
}

impl Future for Asked {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let answered = self.wait.poll(cx);
        self.has_ended |= answered.is_ready();
        answered
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl Handler for AskedEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        self.0.put((name.to_owned(), event.clone()));
        self.0.wake();
        Ok(())
    }

    fn broken(&self) {
        self.0.wake();
    }
}
