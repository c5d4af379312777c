//! Sources whose script is here, and whose items another process asks for.
//!
//! Items that a source has at once are sent ahead, so that the other process finds them ready. When they are used up, it asks: then the
//! silence of the script begins, and after it the next steps are sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        link::{Handler, Link},
        wire::Object,
    },
    item::Items,
    slot::Slot,
};
use crate::{
    agenda::sleep,
    stream::{Give, Scripted, Source},
};

/// The maximum of steps that are sent ahead, whose line fits into a pipe.
const AHEAD: usize = 64;

struct SourceEvents {
    id: u64,
    link: Weak<Link>,
    items: Arc<Items>,
    this: Weak<SourceEvents>,
    state: Mutex<State>,
}

struct State {
    /// Until the other process lets go of it.
    source: Option<Scripted>,
    /// The steps that were sent, and are not handed out yet; an item has its number in the protocol.
    sent: VecDeque<(u64, Give)>,
    task: Option<Arc<Slot>>,
}

/// Plays a source for another process. Returns it as a message has it.
pub(super) fn play(link: &Arc<Link>, items: &Arc<Items>, source: Source) -> Value {
    let id = link.id();
    let source = source.into_scripted();
    debug_assert!(source.is_some(), "sources of rules have a script");
    let state = Mutex::new(State { source, sent: VecDeque::new(), task: None });
    let events = Arc::new_cyclic(|this: &Weak<SourceEvents>| SourceEvents {
        id,
        link: Arc::downgrade(link),
        items: items.clone(),
        this: this.clone(),
        state,
    });
    let give = events.ahead();
    link.handle(id, events);
    json!({"id": id, "give": give})
}

impl SourceEvents {
    /// The steps that it has at once, as a message has them.
    fn ahead(&self) -> Vec<Value> {
        let Some(link) = self.link.upgrade() else { return Vec::new() };
        let mut state = lock(&self.state);
        let State { source: Some(source), sent, .. } = &mut *state else { return Vec::new() };
        let mut give = Vec::new();
        while give.len() < AHEAD
            && let Some(step) = source.ready()
        {
            let id = link.id();
            give.push(match &step {
                Give::Item(script) => json!({"item": Items::describe(id, script)}),
                Give::Error(number) => json!({"error": number}),
                Give::Panic => json!({"panic": true}),
                Give::End => json!({"end": true}),
            });
            sent.push_back((id, step));
        }
        give
    }

    /// Sends the next steps after the silence before them.
    fn pull(&self) {
        let silence = lock(&self.state).source.as_ref().and_then(Scripted::silence);
        let (Some(silence), Some(this)) = (silence, self.this.upgrade()) else { return };
        if silence.is_zero() {
            return this.give();
        }
        let task = Slot::run(async move {
            sleep(silence).await;
            lock(&this.state).source.iter_mut().for_each(Scripted::speak);
            this.give();
        });
        let old = lock(&self.state).task.replace(task);
        old.iter().for_each(|old| old.cut());
    }

    fn give(&self) {
        let give = self.ahead();
        if let (false, Some(link)) = (give.is_empty(), self.link.upgrade()) {
            link.send(json!({"do": "give", "id": self.id, "give": give}));
        }
    }

    /// The other process has handed out the next step.
    fn given(&self) -> Result<(), String> {
        let item = {
            let mut state = lock(&self.state);
            let (id, step) = state.sent.pop_front().ok_or("it has handed out what it was not given")?;
            state.source.as_ref().and_then(|source| source.gave(&step)).map(|item| (id, item))
        };
        if let Some((id, item)) = item {
            self.items.put(id, item);
        }
        // One that is always ready is never used up.
        if lock(&self.state).sent.len() <= AHEAD / 2 {
            self.give();
        }
        Ok(())
    }

    fn let_go(&self) {
        let (source, task) = {
            let mut state = lock(&self.state);
            (state.source.take(), state.task.take())
        };
        task.iter().for_each(|task| task.cut());
        drop(source);
    }
}

impl Handler for SourceEvents {
    fn event(&self, name: &str, _: &Object) -> Result<(), String> {
        match name {
            "pull" => self.pull(),
            "given" => self.given()?,
            "asked again" => lock(&self.state).source.iter().for_each(Scripted::asked_again),
            "dropped" => self.let_go(),
            other => return Err(format!("a source has no event {other:?}")),
        }
        Ok(())
    }

    fn closed(&self) {
        self.let_go();
    }
}
