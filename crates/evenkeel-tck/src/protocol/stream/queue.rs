//! A queue in another process: pushes, pops, and the items that were popped, which are here.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        session::Session,
        wire::{Members, from_time, object},
    },
    Remote,
    asked::{Answered, Asked},
    item::Items,
    output::{all, failure_of},
};
use crate::{
    BoxFuture,
    stream::{Channel, Item, Job, QueueConsumer, QueueProducer, Worked},
};

/// The state that the ends of a queue share.
struct Shared {
    session: Arc<Session>,
    id: u64,
    items: Arc<Items>,
    pops: Mutex<Pops>,
}

/// An item that was popped for a wait that has left meanwhile goes to the next one: in this process it has not been taken yet.
#[derive(Default)]
struct Pops {
    untaken: VecDeque<Popped>,
    waiting: Vec<Waker>,
}

struct Popped {
    /// Of the pop.
    id: u64,
    item_id: u64,
    item: Item,
}

/// Makes a queue. A refusal is the panic of a constructor.
pub(super) fn channel(remote: &Remote, [ends_with_producers, ends_with_consumers]: [bool; 2]) -> Channel {
    let session = remote.session.clone();
    let link = &session.link;
    let (id, consumer) = (link.id(), link.id());
    let queue = json!({"do": "queue", "id": id, "operator": remote.operator, "consumer": consumer});
    let (name, event) = link.ask(id, &queue);
    assert!(name == "configured", "{}", event.text("says").unwrap_or("no reason"));
    let items = Items::new(&session);
    let shared = Arc::new(Shared { session, id, items, pops: Mutex::default() });
    let producer = Producer { shared: shared.clone(), tells_its_end: ends_with_producers };
    Channel::new(producer, Consumer { shared, id: consumer, tells_its_end: ends_with_consumers })
}

impl Shared {
    fn asked(&self, id: u64, message: Value) -> Asked {
        Asked::new(&self.session, id, message)
    }

    /// Keeps an item for the next wait.
    fn keep(&self, popped: Popped) {
        let waiting = {
            let mut pops = lock(&self.pops);
            pops.untaken.push_back(popped);
            std::mem::take(&mut pops.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn popped(&self, id: u64, (name, event): &Answered) -> Result<Option<Popped>, String> {
        match name.as_str() {
            "popped" => {
                let item_id = event.number("item")?;
                Ok(Some(Popped { id, item_id, item: self.items.take(item_id)? }))
            }
            "over" => Ok(None),
            other => Err(format!("a pop has no event {other:?}")),
        }
    }
}

/// All producers.
struct Producer {
    shared: Arc<Shared>,
    tells_its_end: bool,
}

impl QueueProducer for Producer {
    fn push(&self, item: Item) -> BoxFuture<'_, Result<(), Option<Item>>> {
        let shared = &self.shared;
        let link = &shared.session.link;
        let (id, item_id) = (link.id(), link.id());
        let described = Items::describe(item_id, item.script());
        shared.items.put(item_id, item);
        let push = json!({"do": "push", "id": id, "queue": shared.id, "item": described});
        let push = Push { asked: shared.asked(id, push), shared: shared.clone(), item_id };
        Box::pin(push.end())
    }

    fn join(&self) -> BoxFuture<'_, Result<(), ()>> {
        let id = self.shared.session.link.id();
        let asked = self.shared.asked(id, json!({"do": "join", "id": id, "queue": self.shared.id}));
        Box::pin(async move { if asked.await.0 == "joined" { Ok(()) } else { Err(()) } })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.tells_its_end {
            self.shared.session.link.send_last(json!({"do": "drop", "id": self.shared.id}));
        }
    }
}

struct Push {
    asked: Asked,
    shared: Arc<Shared>,
    item_id: u64,
}

impl Push {
    async fn end(mut self) -> Result<(), Option<Item>> {
        let (name, event) = (&mut self.asked).await;
        match name.as_str() {
            "pushed" => Ok(()),
            "rejected" if event.flag("back") => Err(self.shared.items.take(self.item_id).ok()),
            "rejected" => {
                if !self.shared.items.tells_drops() {
                    drop(self.shared.items.take(self.item_id));
                }
                Err(None)
            }
            other => self.shared.session.link.refuse(&format!("a push has no event {other:?}")),
        }
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let was_cancelled = self.asked.leave().is_none() && !self.asked.has_ended();
        if was_cancelled && !self.shared.items.tells_drops() {
            drop(self.shared.items.take(self.item_id));
        }
    }
}

struct Consumer {
    shared: Arc<Shared>,
    id: u64,
    tells_its_end: bool,
}

impl QueueConsumer for Consumer {
    fn pop(&mut self) -> BoxFuture<'_, Option<Box<dyn Job>>> {
        let shared = self.shared.clone();
        let id = shared.session.link.id();
        let asked = shared.asked(id, json!({"do": "pop", "id": id, "consumer": self.id}));
        Box::pin(Pop { id, asked, shared })
    }

    fn another(&self) -> Box<dyn QueueConsumer> {
        let link = &self.shared.session.link;
        let id = link.id();
        link.send_now(json!({"do": "consumer", "id": id, "of": self.id}));
        Box::new(Self { shared: self.shared.clone(), id, tells_its_end: self.tells_its_end })
    }

    fn close(&mut self) {
        self.shared.session.link.send_now(json!({"do": "close", "consumer": self.id}));
    }

    fn close_now(&mut self) -> Vec<Item> {
        let link = &self.shared.session.link;
        let id = link.id();
        let (_, event) = link.ask(id, &json!({"do": "close now", "id": id, "consumer": self.id}));
        all(&self.shared.items, &event).unwrap_or_else(|what| link.refuse(&what))
    }

    fn workers(self: Box<Self>, number: usize, close_after: Option<Duration>) -> BoxFuture<'static, Worked> {
        let id = self.shared.session.link.id();
        let close_after = close_after.map(from_time);
        let workers = json!({
            "do": "workers", "id": id, "consumer": self.id, "number": number, "close_after": close_after,
        });
        let asked = self.shared.asked(id, workers);
        Box::pin(async move {
            let answered = asked.await;
            self.worked(&answered).unwrap_or_else(|what| self.shared.session.link.refuse(&what))
        })
    }
}

impl Consumer {
    fn worked(&self, (name, event): &Answered) -> Result<Worked, String> {
        if name != "worked" {
            return Err(format!("workers have no event {name:?}"));
        }
        let failures = event.get("failures").and_then(Value::as_array).ok_or("no list `failures`")?;
        let failures = failures.iter().map(|failure| failure_of(&object(failure.clone())));
        let failures = failures.collect::<Result<Vec<_>, _>>()?;
        let ids = super::output::numbers(event, "unstarted")?;
        let unstarted =
            ids.into_iter().map(|id| self.shared.items.take(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(Worked::new(failures, unstarted))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.tells_its_end {
            self.shared.session.link.send_last(json!({"do": "drop", "id": self.id}));
        }
    }
}

/// The wait for an item.
struct Pop {
    id: u64,
    asked: Asked,
    shared: Arc<Shared>,
}

impl Pop {
    fn job(&self, popped: Popped) -> Box<dyn Job> {
        let Popped { id, item_id, item } = popped;
        Box::new(RemoteJob { shared: self.shared.clone(), id, item_id, item: Some(item) })
    }

    /// Leaves the queue. Returns what was popped meanwhile.
    fn leave(&mut self) -> Option<Popped> {
        self.asked.leave().and_then(|answered| self.shared.popped(self.id, &answered).ok().flatten())
    }
}

impl Future for Pop {
    type Output = Option<Box<dyn Job>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let untaken = lock(&self.shared.pops).untaken.pop_front();
        if let Some(popped) = untaken {
            if let Some(own) = self.leave() {
                self.shared.keep(own);
            }
            return Poll::Ready(Some(self.job(popped)));
        }
        let Poll::Ready(answered) = Pin::new(&mut self.asked).poll(cx) else {
            let waker = cx.waker().clone();
            let mut pops = lock(&self.shared.pops);
            let is_known = pops.waiting.iter().any(|known| known.will_wake(&waker));
            let unused = if is_known {
                Some(waker)
            } else {
                pops.waiting.push(waker);
                None
            };
            drop(pops);
            drop(unused);
            return Poll::Pending;
        };
        match self.shared.popped(self.id, &answered) {
            Ok(popped) => Poll::Ready(popped.map(|popped| self.job(popped))),
            Err(what) => self.shared.session.link.refuse(&what),
        }
    }
}

impl Drop for Pop {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut lock(&self.shared.pops).waiting);
        if let Some(popped) = self.leave() {
            self.shared.keep(popped);
        }
        // Other waits look again, and are kept anew.
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// An item that was popped.
struct RemoteJob {
    shared: Arc<Shared>,
    id: u64,
    item_id: u64,
    /// Until it is put back.
    item: Option<Item>,
}

impl Job for RemoteJob {
    fn item(&self) -> &Item {
        match &self.item {
            Some(item) => item,
            None => unreachable!("an item that was put back is not looked at"),
        }
    }

    fn put_back(mut self: Box<Self>) {
        if let Some(item) = self.item.take() {
            self.shared.items.put(self.item_id, item);
            self.shared.session.link.send_now(json!({"do": "put back", "id": self.id}));
        }
    }
}

impl Drop for RemoteJob {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            drop(item);
            let release = json!({"do": "release", "id": self.id, "panicked": thread::panicking()});
            self.shared.session.link.send_last(release);
        }
    }
}
