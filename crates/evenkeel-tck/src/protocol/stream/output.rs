//! Streams that run in another process.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use futures_core::Stream;
use serde_json::{Value, json};

use super::{
    super::{
        link::{Handler, Link},
        session::Session,
        wire::{Members, Object, object},
    },
    Remote,
    item::Items,
};
use crate::stream::{BatchStream, BoxStream, FailureKind, Item, MapResult, PageResult, ReportedFailure};

/// The answer of a stream that is asked.
pub(super) enum Given<T> {
    Value(T),
    Over,
    /// An exception of the stream, with its message.
    Thrown(String),
}

/// Reads the event that answers `next`.
pub(super) type Read<T> = fn(&Items, &str, &Object) -> Result<Given<T>, String>;

/// The result of a map.
pub(super) fn result(_: &Items, name: &str, event: &Object) -> Result<Given<MapResult>, String> {
    match name {
        "value" => Ok(Given::Value(Ok(event.small("ok")?))),
        _ => told(name, event, |failure| Given::Value(Err(failure))),
    }
}

pub(super) fn page_item(items: &Items, name: &str, event: &Object) -> Result<Given<PageResult>, String> {
    match name {
        "value" => Ok(Given::Value(Ok(items.take(event.number("item")?)?))),
        _ => told(name, event, |failure| Given::Value(Err(failure))),
    }
}

/// An item of a merge or of a generator.
pub(super) fn emitted(items: &Items, name: &str, event: &Object) -> Result<Given<Item>, String> {
    match name {
        "value" => Ok(Given::Value(items.take(event.number("item")?)?)),
        _ => told(name, event, |failure| Given::Thrown(message_of(event, &failure))),
    }
}

pub(super) fn batch(items: &Items, name: &str, event: &Object) -> Result<Given<Vec<Item>>, String> {
    match name {
        "value" => Ok(Given::Value(all(items, event)?)),
        _ => told(name, event, |failure| Given::Thrown(message_of(event, &failure))),
    }
}

/// The items that an event names.
pub(super) fn all(items: &Items, event: &Object) -> Result<Vec<Item>, String> {
    numbers(event, "items")?.into_iter().map(|id| items.take(id)).collect()
}

pub(super) fn numbers(event: &Object, name: &str) -> Result<Vec<u64>, String> {
    let list = event.get(name).and_then(Value::as_array).ok_or_else(|| format!("no list `{name}`"))?;
    list.iter().map(|id| id.as_u64().ok_or_else(|| format!("`{name}` has {id}"))).collect()
}

pub(super) fn told<T>(
    name: &str,
    event: &Object,
    is: impl FnOnce(ReportedFailure) -> Given<T>,
) -> Result<Given<T>, String> {
    match name {
        "over" => Ok(Given::Over),
        "failure" => {
            let failure = failure_of(event)?;
            let is_panic = event.flag("thrown") && failure.kind == FailureKind::Panic;
            Ok(if is_panic { Given::Thrown(message_of(event, &failure)) } else { is(failure) })
        }
        other => Err(format!("a stream has no event {other:?}")),
    }
}

pub(super) fn failure_of(event: &Object) -> Result<ReportedFailure, String> {
    let kind = match event.text("kind")? {
        "error" => FailureKind::Error,
        "panic" => FailureKind::Panic,
        other => return Err(format!("there is no failure {other:?}")),
    };
    let task = event.optional_number("of")?.and_then(|number| u32::try_from(number).ok());
    Ok(ReportedFailure { task, ..ReportedFailure::new(kind) })
}

/// The message of a panic that is read back as this failure.
fn message_of(event: &Object, failure: &ReportedFailure) -> String {
    match failure.task {
        Some(task) => format!("task {task} panicked"),
        None => event.text("says").unwrap_or("it panicked").to_owned(),
    }
}

/// A stream in another process. Dropping it drops that one.
pub(super) struct Output<T> {
    events: Arc<OutputEvents<T>>,
    session: Arc<Session>,
}

struct OutputEvents<T> {
    id: u64,
    items: Arc<Items>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    given: VecDeque<Given<T>>,
    /// The other process was asked for the next item, and has not answered.
    waits: bool,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Output<T> {
    pub(super) fn new(remote: &Remote, items: Arc<Items>, ends: Value, read: Read<T>) -> Self {
        let session = remote.session.clone();
        let id = session.link.id();
        let state = Mutex::new(State { given: VecDeque::new(), waits: false, waker: None });
        let events = Arc::new(OutputEvents { id, items, read, state });
        session.link.handle(id, events.clone());
        session.link.send(made(id, remote.operator, ends));
        Self { events, session }
    }

    pub(super) fn id(&self) -> u64 {
        self.events.id
    }

    pub(super) fn boxed(self) -> BoxStream<T> {
        let (events, session) = (self.events.clone(), self.session.clone());
        if !session.cuts {
            return BoxStream::new(self);
        }
        BoxStream::with_cut(self, move || events.cut(&session.link))
    }
}

/// The message that makes a stream with these ends.
pub(super) fn made(id: u64, operator: u64, ends: Value) -> Value {
    let mut message = object(ends);
    message.extend(object(json!({"do": "stream", "id": id, "operator": operator})));
    message.into()
}

impl<T> OutputEvents<T> {
    fn cut(&self, link: &Link) {
        let waited = std::mem::take(&mut lock(&self.state).waits);
        if waited {
            link.send_last(json!({"do": "cut", "id": self.id}));
        }
    }

    fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Send> Handler for OutputEvents<T> {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        if name == "end" && event.flag("cancelled") {
            return Ok(());
        }
        let given = (self.read)(&self.items, name, event)?;
        {
            let mut state = lock(&self.state);
            state.given.push_back(given);
            state.waits = false;
        }
        self.wake();
        Ok(())
    }

    fn broken(&self) {
        self.wake();
    }
}

impl<T: Send> Stream for Output<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (events, link) = (&self.events, &self.session.link);
        if link.is_broken() {
            link.unwind();
        }
        let asks = {
            let mut state = lock(&events.state);
            state.given.is_empty() && !std::mem::replace(&mut state.waits, true)
        };
        if asks {
            link.send_now(json!({"do": "next", "id": events.id}));
        }
        let waker = cx.waker().clone();
        let (given, old) = {
            let mut state = lock(&events.state);
            match state.given.pop_front() {
                Some(given) => (Some(given), state.waker.take()),
                None => (None, state.waker.replace(waker)),
            }
        };
        drop(old);
        match given {
            None => Poll::Pending,
            Some(Given::Value(value)) => Poll::Ready(Some(value)),
            Some(Given::Over) => Poll::Ready(None),
            Some(Given::Thrown(message)) => panic!("{message}"),
        }
    }
}

impl<T> Drop for Output<T> {
    fn drop(&mut self) {
        let waker = lock(&self.events.state).waker.take();
        drop(waker);
        self.session.link.send_last(json!({"do": "cancel", "id": self.events.id}));
        self.events.items.let_go();
    }
}

/// The unfinished batch can be taken back.
impl BatchStream for Output<Vec<Item>> {
    fn rest(self: Pin<Box<Self>>) -> Vec<Item> {
        let (link, events) = (&self.session.link, &self.events);
        let id = link.id();
        let (_, event) = link.ask(id, &json!({"do": "rest", "id": id, "of": events.id}));
        all(&events.items, &event).unwrap_or_else(|what| link.refuse(&what))
    }
}
