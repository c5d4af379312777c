//! An API of pages that is here, and whose pages another process asks for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        link::{Handler, Link},
        wire::{Members, Object},
    },
    item::Items,
    slot::Slot,
};
use crate::stream::{Fetch, PageOf};

pub(super) struct FetchEvents {
    id: u64,
    link: Weak<Link>,
    items: Arc<Items>,
    fetch: Fetch,
    this: Weak<FetchEvents>,
    calls: Mutex<HashMap<u64, Arc<Slot>>>,
}

impl FetchEvents {
    /// Lets another process ask for pages. Returns the number of the API in the protocol.
    pub(super) fn add(link: &Arc<Link>, items: &Arc<Items>, fetch: Fetch) -> u64 {
        let id = link.id();
        let events = Arc::new_cyclic(|this: &Weak<Self>| Self {
            id,
            link: Arc::downgrade(link),
            items: items.clone(),
            fetch,
            this: this.clone(),
            calls: Mutex::default(),
        });
        link.handle(id, events);
        id
    }

    fn begin(&self, call: u64, cursor: u32) -> Result<(), String> {
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        if lock(&self.calls).contains_key(&call) {
            return Err(format!("call {call} begins twice"));
        }
        let slot = Slot::run(async move {
            let page = this.fetch.page(cursor).await;
            let ended = lock(&this.calls).remove(&call);
            drop(ended);
            if let Some(link) = this.link.upgrade() {
                link.send(this.page(call, page));
            }
        });
        // It begins later than this.
        lock(&self.calls).insert(call, slot);
        Ok(())
    }

    /// The message that ends a call.
    fn page(&self, call: u64, page: PageOf) -> Value {
        match page {
            Ok((items, next)) => {
                let items: Vec<_> = items.into_iter().filter_map(|item| self.items.put_new(item)).collect();
                json!({"do": "page", "id": self.id, "call": call, "items": items, "next": next})
            }
            Err(failure) => json!({"do": "page", "id": self.id, "call": call, "error": failure.task}),
        }
    }
}

impl Handler for FetchEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        match name {
            "fetch" => self.begin(event.number("call")?, event.small("cursor")?)?,
            "dropped" => {
                let call = lock(&self.calls).remove(&event.number("call")?);
                call.iter().for_each(|call| call.cut());
            }
            other => return Err(format!("an API has no event {other:?}")),
        }
        Ok(())
    }

    fn closed(&self) {
        let calls = std::mem::take(&mut *lock(&self.calls));
        calls.values().for_each(|call| call.cut());
    }
}
