//! Items whose work is here, and is called from another process.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::{spawn_local, yield_now},
};

use super::{
    super::{
        link::{Handler, Link},
        session::Session,
        wire::Object,
    },
    slot::Slot,
};
use crate::{
    BoxFuture,
    probe_task::{End, catch_panic},
    stream::{Item, KeyCount, Script},
};

/// The items of one operator that the other process has, or may have.
pub(super) struct Items {
    link: Weak<Link>,
    /// Whether it tells when it lets go of an item.
    tells_drops: bool,
    starts: Arc<Starts>,
    all: Mutex<HashMap<u64, Arc<ItemEvents>>>,
}

struct ItemEvents {
    id: u64,
    link: Weak<Link>,
    keys: Option<Weak<KeyCount>>,
    starts: Arc<Starts>,
    state: Mutex<State>,
}

/// Work that is called. It begins in this order, when the rule has taken what came before the call.
#[derive(Default)]
struct Starts(Mutex<VecDeque<Arc<Slot>>>);

impl Starts {
    fn add(self: &Arc<Self>, slot: Arc<Slot>) {
        let is_first = {
            let mut starts = lock(&self.0);
            starts.push_back(slot);
            starts.len() == 1
        };
        if is_first {
            let this = self.clone();
            drop(spawn_local(async move {
                yield_now().await;
                let starts = std::mem::take(&mut *lock(&this.0));
                starts.iter().for_each(Slot::start);
            }));
        }
    }
}

#[derive(Default)]
struct State {
    /// Until its work begins, or the consumer gets it.
    item: Option<Item>,
    /// Until its end, or until the other process lets go of it.
    work: Option<Arc<Slot>>,
    ends: Option<oneshot::Sender<()>>,
    /// The keys that the other process has.
    kept: Vec<Arc<KeyCount>>,
}

impl Items {
    pub(super) fn new(session: &Session) -> Arc<Self> {
        let (link, tells_drops) = (Arc::downgrade(&session.link), session.tells_drops);
        Arc::new(Self { link, tells_drops, starts: Arc::default(), all: Mutex::default() })
    }

    /// An item as a message has it.
    pub(super) fn describe(id: u64, script: &Script) -> Value {
        let Script { number, key, weight, .. } = script;
        let mut item = json!({"id": id, "number": number, "key": key, "weight": weight});
        for (name, is_so) in [("ends_batch", script.ends_batch), ("panics_at_call", script.panics_at_call)] {
            if is_so {
                item[name] = true.into();
            }
        }
        item
    }

    /// Lets the other process have an item.
    pub(super) fn put(&self, id: u64, item: Item) {
        let Some(link) = self.link.upgrade() else { return };
        let keys = item.script().keys.as_ref().map(Arc::downgrade);
        let state = Mutex::new(State { item: Some(item), ..State::default() });
        let events =
            Arc::new(ItemEvents { id, link: self.link.clone(), keys, starts: self.starts.clone(), state });
        link.handle(id, events.clone());
        let old = lock(&self.all).insert(id, events);
        drop(old);
    }

    /// As [`put`](Self::put), of an item that was described by this number.
    pub(super) fn put_new(&self, item: Item) -> Option<Value> {
        let id = self.link.upgrade()?.id();
        let described = Self::describe(id, item.script());
        self.put(id, item);
        Some(described)
    }

    /// The consumer gets an item.
    pub(super) fn take(&self, id: u64) -> Result<Item, String> {
        let item = lock(&self.all).get(&id).and_then(|events| lock(&events.state).item.take());
        item.ok_or_else(|| format!("item {id} is not there, or has begun"))
    }

    /// The other process has let go of all items that have not begun, where it does not tell of each.
    pub(super) fn let_go(&self) {
        if !self.tells_drops {
            let items: Vec<_> =
                lock(&self.all).values().map(|events| lock(&events.state).item.take()).collect();
            drop(items);
        }
    }

    pub(super) const fn tells_drops(&self) -> bool {
        self.tells_drops
    }
}

impl ItemEvents {
    fn begin(&self) -> Result<(), String> {
        let item = lock(&self.state).item.take();
        let item = item.ok_or_else(|| format!("item {} is not there to begin, or has begun", self.id))?;
        let (id, link) = (self.id, self.link.clone());
        let (ends, ended) = oneshot::channel();
        // It ends when the other process has received its result, and not before.
        let gate = move |end| -> BoxFuture<'static, ()> {
            let outcome = match end {
                End::Ok => "ok",
                End::Error => "error",
                End::Panic => "panic",
            };
            if let Some(link) = link.upgrade() {
                link.send(json!({"do": "result", "id": id, "outcome": outcome}));
            }
            Box::pin(async move { drop(ended.await) })
        };
        // The call may be what panics.
        let work = catch_unwind(AssertUnwindSafe(|| item.run_behind(Some(Box::new(gate)))));
        let Ok(work) = work else { return Ok(()) };
        let slot = Slot::new(async move { drop(catch_panic(Box::pin(work)).await) });
        let old = {
            let mut state = lock(&self.state);
            (state.work.replace(slot.clone()), state.ends.replace(ends))
        };
        drop(old);
        self.starts.add(slot);
        Ok(())
    }

    /// The other process has received the result.
    fn end(&self) -> Result<(), String> {
        let (work, ends) = {
            let mut state = lock(&self.state);
            (state.work.take(), state.ends.take())
        };
        drop(work);
        let _ = ends.ok_or_else(|| format!("item {} has not begun, or has ended", self.id))?.send(());
        Ok(())
    }

    fn let_go(&self) {
        let (item, work) = {
            let mut state = lock(&self.state);
            (state.item.take(), state.work.take())
        };
        work.iter().for_each(|work| work.cut());
        drop(item);
    }
}

impl Handler for ItemEvents {
    fn event(&self, name: &str, _: &Object) -> Result<(), String> {
        match name {
            "begin" => self.begin()?,
            "ended" => self.end()?,
            "dropped" => self.let_go(),
            "keyed" => lock(&self.state).kept.extend(self.keys.as_ref().and_then(Weak::upgrade)),
            "key dropped" => {
                let kept = lock(&self.state).kept.pop();
                drop(kept);
            }
            other => return Err(format!("an item has no event {other:?}")),
        }
        Ok(())
    }

    fn closed(&self) {
        self.let_go();
    }
}
