//! A stream of the implementation, which is asked for one result after another.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Value, json};
use tokio::task::{AbortHandle, spawn_local};

use super::{ends::Shared, told};
use crate::{
    BoxFuture,
    probe_task::catch_panic,
    stream::{BatchStream, BoxStream, Item, MapResult, PageResult, ReportedFailure},
};

/// Taken out of its slot while it is polled, and dropped there.
pub(super) struct Output {
    id: u64,
    shared: Arc<Shared>,
    slot: Rc<RefCell<Option<Box<dyn Asked>>>>,
    /// Asks for the next result.
    task: Option<AbortHandle>,
}

/// A stream of any items.
trait Asked {
    /// Tells its next result.
    fn poll(&mut self, cx: &mut Context<'_>, tell: &dyn Fn(Value)) -> Poll<()>;

    /// Takes back the items of an unfinished batch.
    fn rest(self: Box<Self>) -> Option<Vec<Item>> {
        None
    }
}

struct Typed<T> {
    stream: BoxStream<T>,
    /// The event that tells a result.
    event: fn(T) -> Value,
}

impl<T> Asked for Typed<T> {
    fn poll(&mut self, cx: &mut Context<'_>, tell: &dyn Fn(Value)) -> Poll<()> {
        self.stream.poll_next(cx).map(|given| tell(given.map_or_else(over, self.event)))
    }
}

struct Batches(Pin<Box<dyn BatchStream>>);

impl Asked for Batches {
    fn poll(&mut self, cx: &mut Context<'_>, tell: &dyn Fn(Value)) -> Poll<()> {
        self.0.as_mut().poll_next(cx).map(|given| tell(given.map_or_else(over, batch)))
    }

    fn rest(self: Box<Self>) -> Option<Vec<Item>> {
        Some(self.0.rest())
    }
}

fn over() -> Value {
    json!({"event": "over"})
}

fn failure(failure: &ReportedFailure) -> Value {
    let mut event = told(failure);
    event["event"] = "failure".into();
    event
}

/// A panic of the implementation.
fn thrown(message: &str) -> Value {
    let mut event = failure(&ReportedFailure::panic(message));
    (event["thrown"], event["says"]) = (true.into(), message.into());
    event
}

pub(super) fn result(result: MapResult) -> Value {
    match result {
        Ok(number) => json!({"event": "value", "ok": number}),
        Err(error) => failure(&error),
    }
}

pub(super) fn page_item(result: PageResult) -> Value {
    match result {
        Ok(emitted) => item(emitted),
        Err(error) => failure(&error),
    }
}

pub(super) fn item(item: Item) -> Value {
    json!({"event": "value", "item": item.hand_over()})
}

pub(super) fn batch(items: Vec<Item>) -> Value {
    json!({"event": "value", "items": hand_over(items)})
}

/// The numbers of items that the suite has again.
pub(super) fn hand_over(items: Vec<Item>) -> Vec<Option<u64>> {
    items.into_iter().map(Item::hand_over).collect()
}

/// Runs a map into its consumer, and tells its end.
pub(super) async fn run(shared: &Shared, id: u64, map: BoxFuture<'static, Result<(), ReportedFailure>>) {
    let mut event = match catch_panic(map).await {
        Ok(Ok(())) => over(),
        Ok(Err(error)) => failure(&error),
        Err(message) => thrown(&message),
    };
    event["id"] = id.into();
    shared.note(event);
}

impl Output {
    pub(super) fn of<T: 'static>(
        shared: &Arc<Shared>,
        id: u64,
        stream: BoxStream<T>,
        event: fn(T) -> Value,
    ) -> Self {
        Self::new(shared, id, Box::new(Typed { stream, event }))
    }

    pub(super) fn of_batches(shared: &Arc<Shared>, id: u64, stream: Pin<Box<dyn BatchStream>>) -> Self {
        Self::new(shared, id, Box::new(Batches(stream)))
    }

    fn new(shared: &Arc<Shared>, id: u64, stream: Box<dyn Asked>) -> Self {
        let slot = Rc::new(RefCell::new(Some(stream)));
        Self { id, shared: shared.clone(), slot, task: None }
    }

    pub(super) fn next(&mut self) {
        let next = Next { id: self.id, shared: self.shared.clone(), slot: self.slot.clone() };
        self.task = Some(spawn_local(next).abort_handle());
    }

    pub(super) fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    pub(super) fn rest(&mut self, question: u64) -> Result<(), String> {
        self.cut();
        let stream = self.slot.take().ok_or("the stream is gone")?;
        let items = stream.rest().ok_or("its items cannot be taken back")?;
        self.shared.note(json!({"event": "items", "id": question, "items": hand_over(items)}));
        Ok(())
    }

    pub(super) fn cancel(mut self) {
        self.cut();
        let stream = self.slot.take();
        drop(stream);
        self.shared.note(json!({"event": "end", "id": self.id, "cancelled": true}));
    }
}

/// The wait for the next result.
struct Next {
    id: u64,
    shared: Arc<Shared>,
    slot: Rc<RefCell<Option<Box<dyn Asked>>>>,
}

impl Future for Next {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stream = self.slot.take();
        let Some(mut stream) = stream else { return Poll::Ready(()) };
        let tell = |mut event: Value| {
            event["id"] = self.id.into();
            self.shared.note(event);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| stream.poll(cx, &tell)));
        self.slot.replace(Some(stream));
        polled.unwrap_or_else(|payload| {
            tell(thrown(&crate::rule::panic_message(&*payload)));
            Poll::Ready(())
        })
    }
}
