//! The waits in a pool of another process: a get, a warm-up, a close.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        link::Handler,
        process::Session,
        wire::{Members, Object as Event},
    },
    objects::{Objects, Wakes},
};
use crate::pool::GetError;

/// An answer to what is waited for.
pub(super) trait Told: Clone + Send + 'static {
    fn read(name: &str, event: &Event) -> Result<Self, String>;

    /// The object that it has taken.
    fn object(&self) -> Option<u32> {
        None
    }
}

/// The answer to a get.
pub(super) type Got = Result<u32, GetError>;

/// The end of a warm-up.
#[derive(Clone)]
pub(super) struct Done;

/// The end of a close, and the number of leases that are out.
#[derive(Clone)]
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
    state: Mutex<State<T>>,
}

struct State<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

impl<T: Told> Wakes for Call<T> {
    fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
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
        lock(&self.state).answer = Some(answer);
        self.wake();
        Ok(())
    }

    fn broken(&self) {
        self.wake();
    }
}

/// The future of a call, not yet polled.
pub(super) struct Waiting<T: Told> {
    session: Arc<Session>,
    id: u64,
    call: Arc<Call<T>>,
    has_started: bool,
    has_ended: bool,
}

impl<T: Told> Waiting<T> {
    pub(super) fn new(session: &Arc<Session>, objects: &Arc<Objects>, pool: u64, mut message: Value) -> Self {
        let (link, id) = (&session.link, session.link.id());
        let state = Mutex::new(State { answer: None, waker: None });
        let call = Arc::new(Call { objects: objects.clone(), state });
        link.handle(id, call.clone());
        objects.wakes(call.clone());
        message["id"] = id.into();
        message["pool"] = pool.into();
        link.send(message);
        Self { session: session.clone(), id, call, has_started: false, has_ended: false }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl<T: Told> Future for Waiting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let link = &self.session.link;
        if link.is_broken() {
            link.unwind();
        }
        if !self.has_started {
            // It begins with its first poll, and not when the world is idle.
            let task = tokio::task::try_id().and_then(|task| task.to_string().parse::<u64>().ok());
            link.send_now(json!({"do": "start", "id": self.id, "task": task}));
            self.has_started = true;
        }
        let waker = cx.waker().clone();
        let (answer, old) = {
            let mut state = lock(&self.call.state);
            match state.answer.clone() {
                Some(answer) => (Some(answer), state.waker.take()),
                None => (None, state.waker.replace(waker)),
            }
        };
        drop(old);
        let Some(answer) = answer else { return Poll::Pending };
        self.has_ended = true;
        Poll::Ready(answer)
    }
}

impl<T: Told> Drop for Waiting<T> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (answer, waker) = {
            let mut state = lock(&self.call.state);
            (state.answer.clone(), state.waker.take())
        };
        drop(waker);
        // An object that it has got meanwhile is returned.
        let last = match answer {
            Some(answer) if answer.object().is_some() => "return",
            Some(_) => return,
            None => "cancel",
        };
        self.session.link.send(json!({"do": last, "id": self.id}));
    }
}
