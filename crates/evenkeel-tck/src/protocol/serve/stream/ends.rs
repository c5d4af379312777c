//! The parts at the ends of an operator: what they do is decided by the suite.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    super::{
        super::wire::{Members, Object, object},
        Events,
    },
    told,
};
use crate::{
    BoxFuture,
    stream::{
        Item, PageOf, RemoteConsumer, RemoteFetch, RemoteItem, RemoteSource, ReportedFailure, Script, Source,
        panics,
    },
};

/// The events, and the questions to the suite that are not answered yet.
pub(super) struct Shared {
    events: Arc<Events>,
    asked: Mutex<HashMap<(u64, u64), oneshot::Sender<Object>>>,
    calls: AtomicU64,
}

impl Shared {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self { events, asked: Mutex::default(), calls: AtomicU64::new(1) }
    }

    pub(super) fn note(&self, event: Value) {
        self.events.note(event);
    }

    /// Notes an event that the suite answers.
    async fn ask(&self, id: u64, call: u64, event: Value) -> Object {
        let (answer, answered) = oneshot::channel();
        let old = lock(&self.asked).insert((id, call), answer);
        drop(old);
        self.note(event);
        match answered.await {
            Ok(answer) => answer,
            // The rule is over.
            Err(_) => pending().await,
        }
    }

    pub(super) fn reply(&self, id: u64, call: u64, answer: &Object) -> Result<(), String> {
        let asked = lock(&self.asked).remove(&(id, call));
        // Nobody waits for it where the implementation has let go meanwhile.
        drop(asked.ok_or_else(|| format!("{id} asks nothing"))?.send(answer.clone()));
        Ok(())
    }

    fn call(&self) -> u64 {
        self.calls.fetch_add(1, Relaxed)
    }
}

struct ItemOf {
    id: u64,
    number: u32,
    shared: Arc<Shared>,
}

/// An item, as a message has it.
pub(super) fn item(shared: &Arc<Shared>, described: &Object) -> Result<Item, String> {
    let number = described.small("number")?;
    let mut script = Script::new(number);
    script.key = described.small("key")?;
    script.weight = usize::try_from(described.number("weight")?).unwrap_or(usize::MAX);
    script.ends_batch = described.flag("ends_batch");
    script.panics_at_call = described.flag("panics_at_call");
    let item = ItemOf { id: described.number("id")?, number, shared: shared.clone() };
    Ok(Item::remote(script, Arc::new(item)))
}

fn items(shared: &Arc<Shared>, message: &Object) -> Result<Vec<Item>, String> {
    let items = message.get("items").and_then(Value::as_array).ok_or("no list `items`")?;
    items.iter().map(|described| item(shared, &object(described.clone()))).collect()
}

impl RemoteItem for ItemOf {
    fn id(&self) -> u64 {
        self.id
    }

    fn begins(&self) {
        self.shared.note(json!({"event": "begin", "id": self.id}));
    }

    fn work(&self) -> BoxFuture<'static, Result<u32, ReportedFailure>> {
        let (id, number, shared) = (self.id, self.number, self.shared.clone());
        Box::pin(async move {
            let answer = shared.ask(id, 0, json!({"event": "begin", "id": id})).await;
            shared.note(json!({"event": "ended", "id": id}));
            match answer.text("outcome") {
                Ok("ok") => Ok(number),
                Ok("panic") => panics(number),
                _ => Err(ReportedFailure::error(number)),
            }
        })
    }

    fn keyed(&self) -> Arc<dyn Send + Sync> {
        self.shared.note(json!({"event": "keyed", "id": self.id}));
        Arc::new(KeyOf { id: self.id, shared: self.shared.clone() })
    }

    fn dropped(&self) {
        self.shared.note(json!({"event": "dropped", "id": self.id}));
    }
}

struct KeyOf {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for KeyOf {
    fn drop(&mut self) {
        self.shared.note(json!({"event": "key dropped", "id": self.id}));
    }
}

/// The steps that the suite has given a source.
pub(super) struct Given(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    steps: VecDeque<Object>,
    waker: Option<Waker>,
    has_pulled: bool,
    has_ended: bool,
}

struct SourceOf {
    id: u64,
    shared: Arc<Shared>,
    state: Arc<Mutex<State>>,
}

pub(super) fn source(shared: &Arc<Shared>, id: u64) -> (Given, Source) {
    let state = Arc::new(Mutex::new(State::default()));
    let source = SourceOf { id, shared: shared.clone(), state: state.clone() };
    (Given(state), Source::remote(Box::new(source)))
}

impl Given {
    pub(super) fn give(&self, message: &Object) -> Result<(), String> {
        let steps = message.get("give").and_then(Value::as_array).ok_or("no list `give`")?;
        let waker = {
            let mut state = lock(&self.0);
            state.steps.extend(steps.iter().cloned().map(object));
            state.has_pulled = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl SourceOf {
    fn note(&self, event: &str) {
        self.shared.note(json!({"event": event, "id": self.id}));
    }
}

impl RemoteSource for SourceOf {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, ReportedFailure>>> {
        let waker = cx.waker().clone();
        let (step, pulls, old) = {
            let mut state = lock(&self.state);
            if state.has_ended {
                drop(state);
                self.note("asked again");
                return Poll::Ready(None);
            }
            match state.steps.pop_front() {
                Some(step) => {
                    state.has_ended = step.flag("end");
                    (Some(step), false, state.waker.take())
                }
                None => (None, !std::mem::replace(&mut state.has_pulled, true), state.waker.replace(waker)),
            }
        };
        drop(old);
        if pulls {
            self.note("pull");
        }
        let Some(step) = step else { return Poll::Pending };
        self.note("given");
        if step.flag("end") {
            return Poll::Ready(None);
        }
        if step.flag("panic") {
            panics(0);
        }
        if let Ok(number) = step.small("error") {
            return Poll::Ready(Some(Err(ReportedFailure::error(number))));
        }
        match item(&self.shared, &object(step.get("item").cloned().unwrap_or_default())) {
            Ok(item) => Poll::Ready(Some(Ok(item))),
            Err(what) => {
                self.shared.note(json!({"event": "broken", "says": what}));
                Poll::Pending
            }
        }
    }
}

impl Drop for SourceOf {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

/// The consumer of a map, with the id of that map.
pub(super) struct ConsumerOf {
    id: u64,
    shared: Arc<Shared>,
}

impl ConsumerOf {
    pub(super) fn new(shared: &Arc<Shared>, id: u64) -> Self {
        Self { id, shared: shared.clone() }
    }
}

impl RemoteConsumer for ConsumerOf {
    fn take(&self, result: Result<u32, ReportedFailure>) -> BoxFuture<'static, Result<(), ReportedFailure>> {
        let (id, shared) = (self.id, self.shared.clone());
        Box::pin(async move {
            let take = shared.call();
            let mut event = match &result {
                Ok(number) => json!({"ok": number}),
                Err(failure) => told(failure),
            };
            (event["event"], event["id"], event["take"]) = ("take".into(), id.into(), take.into());
            let stops = shared.ask(id, take, event).await.flag("stop");
            if stops { result.map(drop) } else { Ok(()) }
        })
    }
}

pub(super) struct FetchOf {
    id: u64,
    shared: Arc<Shared>,
}

struct InFlight {
    id: u64,
    call: u64,
    shared: Arc<Shared>,
    is_over: bool,
}

impl FetchOf {
    pub(super) fn new(shared: &Arc<Shared>, id: u64) -> Self {
        Self { id, shared: shared.clone() }
    }
}

impl RemoteFetch for FetchOf {
    fn page(&self, cursor: u32) -> BoxFuture<'static, PageOf> {
        let (id, shared) = (self.id, self.shared.clone());
        Box::pin(async move {
            let call = shared.call();
            let mut in_flight = InFlight { id, call, shared: shared.clone(), is_over: false };
            let event = json!({"event": "fetch", "id": id, "call": call, "cursor": cursor});
            let page = shared.ask(id, call, event).await;
            in_flight.is_over = true;
            if let Ok(number) = page.small("error") {
                return Err(ReportedFailure::error(number));
            }
            match (items(&shared, &page), page.optional_number("next")) {
                (Ok(items), Ok(next)) => Ok((items, next.and_then(|next| u32::try_from(next).ok()))),
                (Err(what), _) | (_, Err(what)) => {
                    shared.note(json!({"event": "broken", "says": what}));
                    pending().await
                }
            }
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.note(json!({"event": "dropped", "id": self.id, "call": self.call}));
        }
    }
}
