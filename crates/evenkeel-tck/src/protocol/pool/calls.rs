//! The waits in a pool of another process: a get, a warm-up, a close.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Value, json};

use super::{
    super::{
        answer::{Answer, Wait},
        link::Handler,
        session::Session,
        wire::{Members, Object as Event},
    },
    objects::{Objects, Wakes},
};
use crate::pool::GetError;

/// An answer to what is waited for.
pub(super) trait Told: Sized + Send + 'static {
    fn read(name: &str, event: &Event) -> Result<Self, String>;

    /// The object that it has taken.
    fn object(&self) -> Option<u32> {
        None
    }
}

/// The answer to a get.
pub(super) type Got = Result<u32, GetError>;

/// The end of a warm-up.
pub(super) struct Done;

/// The end of a close, and the number of leases that are out.
pub(super) struct Closed(pub(super) usize);

pub(super) fn got_of(name: &str, event: &Event) -> Result<Got, String> {
    if name == "got" {
        return Ok(Ok(event.small("object")?));
    }
    if name != "denied" {
        return Err(format!("a get has no event {name:?}"));
    }
    let cause = || event.text("says").map(str::to_owned);
    Ok(Err(match event.text("reason")? {
        "timeout" => GetError::Timeout(if event.is_there("says") { Some(cause()?) } else { None }),
        "create timeout" => GetError::CreateTimeout,
        "create" => GetError::Create(cause()?),
        "panic" => GetError::Panic(cause()?),
        "closed" => GetError::Closed,
        "deadlock" => GetError::Deadlock,
        other => return Err(format!("there is no reason {other:?}")),
    }))
}

impl Told for Got {
    fn read(name: &str, event: &Event) -> Result<Self, String> {
        got_of(name, event)
    }

    fn object(&self) -> Option<u32> {
        self.as_ref().ok().copied()
    }
}

impl Told for Done {
    fn read(name: &str, _: &Event) -> Result<Self, String> {
        if name == "done" { Ok(Self) } else { Err(format!("a warm-up has no event {name:?}")) }
    }
}

impl Told for Closed {
    fn read(name: &str, event: &Event) -> Result<Self, String> {
        if name != "closed" {
            return Err(format!("a close has no event {name:?}"));
        }
        Ok(Self(usize::try_from(event.number("leases")?).unwrap_or(usize::MAX)))
    }
}

/// A call as its events see it: it outlives the future.
struct Call<T> {
    objects: Arc<Objects>,
    answer: Arc<Answer<T>>,
}

impl<T: Told> Wakes for Call<T> {
    fn wake(&self) {
        self.answer.wake();
    }
}

impl<T: Told> Handler for Call<T> {
    fn event(&self, name: &str, event: &Event) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        let answer = T::read(name, event)?;
        if let Some(number) = answer.object() {
            self.objects.lent(number)?;
        }
        self.answer.put(answer);
        self.answer.wake();
        Ok(())
    }

    fn broken(&self) {
        self.answer.wake();
    }
}

/// The future of a call, not yet polled.
pub(super) struct Waiting<T: Told>(Wait<T>);

impl<T: Told> Waiting<T> {
    pub(super) fn new(session: &Arc<Session>, objects: &Arc<Objects>, pool: u64, mut message: Value) -> Self {
        let (link, id, answer) = (&session.link, session.link.id(), Arc::new(Answer::default()));
        let call = Arc::new(Call { objects: objects.clone(), answer: answer.clone() });
        link.handle(id, call.clone());
        objects.wakes(call);
        message["id"] = id.into();
        message["pool"] = pool.into();
        link.send(message);
        Self(Wait::new(session.clone(), id, answer))
    }

    pub(super) const fn id(&self) -> u64 {
        self.0.id()
    }
}

impl<T: Told> Future for Waiting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.poll_by(cx, |id| {
            let task = tokio::task::try_id().and_then(|task| task.to_string().parse::<u64>().ok());
            json!({"do": "start", "id": id, "task": task})
        })
    }
}

impl<T: Told> Drop for Waiting<T> {
    fn drop(&mut self) {
        let answer = self.0.leave();
        if self.0.has_ended() {
            return;
        }
        // An object that it has got meanwhile is returned.
        let last = match answer {
            Some(answer) if answer.object().is_some() => "return",
            Some(_) => return,
            None => "cancel",
        };
        self.0.session().link.send(json!({"do": last, "id": self.0.id()}));
    }
}
