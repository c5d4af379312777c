//! A map in another process that hands its results to a consumer, which is here.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use evenkeel_base::lock;
use serde_json::{Value, json};

use super::{
    super::{
        answer::{Answer, Wait},
        link::{Handler, Link},
        wire::{Members, Object},
    },
    Remote,
    item::Items,
    output::{Given, failure_of, made, told},
    slot::Slot,
};
use crate::stream::{Consumer, ReportedFailure};

type End = Given<Result<(), ReportedFailure>>;

pub(super) struct ForEach {
    wait: Wait<End>,
    events: Arc<ForEachEvents>,
}

struct ForEachEvents {
    id: u64,
    link: Weak<Link>,
    this: Weak<ForEachEvents>,
    items: Arc<Items>,
    consumer: Consumer,
    answer: Arc<Answer<End>>,
    takes: Mutex<Vec<Arc<Slot>>>,
    /// The consumer was told of the failure that ends the map.
    is_told: AtomicBool,
}

impl ForEach {
    pub(super) fn new(remote: &Remote, items: Arc<Items>, sources: Vec<Value>, consumer: Consumer) -> Self {
        let session = remote.session.clone();
        let (id, answer) = (session.link.id(), Arc::new(Answer::default()));
        let events = Arc::new_cyclic(|this: &Weak<ForEachEvents>| ForEachEvents {
            id,
            link: Arc::downgrade(&session.link),
            this: this.clone(),
            items,
            consumer,
            answer: answer.clone(),
            takes: Mutex::default(),
            is_told: AtomicBool::new(false),
        });
        session.link.handle(id, events.clone());
        session.link.send(made(id, remote.operator, json!({"sources": sources})));
        Self { wait: Wait::new(session, id, answer), events }
    }
}

impl Future for ForEach {
    type Output = Result<(), ReportedFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.wait.poll(cx).map(|end| match end {
            Given::Value(end) => end,
            Given::Over => Ok(()),
            Given::Thrown(message) => panic!("{message}"),
        })
    }
}

impl Drop for ForEach {
    fn drop(&mut self) {
        drop(self.wait.leave());
        self.wait.session().link.send_last(json!({"do": "cancel", "id": self.wait.id()}));
        self.events.items.let_go();
        self.events.closed();
    }
}

impl ForEachEvents {
    /// The consumer takes a result.
    fn take(&self, event: &Object) -> Result<(), String> {
        let result = if event.is_there("ok") { Ok(event.small("ok")?) } else { Err(failure_of(event)?) };
        let number = event.number("take")?;
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let take = Slot::run(async move {
            let stop = this.consumer.take(result).await.is_err();
            if stop {
                this.is_told.store(true, Relaxed);
            }
            if let Some(link) = this.link.upgrade() {
                link.send(json!({"do": "taken", "id": this.id, "take": number, "stop": stop}));
            }
        });
        lock(&self.takes).push(take);
        Ok(())
    }

    /// The map has ended: a failure of its own goes on in the consumer.
    fn end(&self, end: End) {
        match (end, self.this.upgrade()) {
            (Given::Value(Err(failure)), Some(this)) if !self.is_told.load(Relaxed) => {
                let told = Slot::run(async move {
                    let end = this.consumer.take(Err(failure)).await;
                    this.answer.put(Given::Value(end));
                    this.answer.wake();
                });
                lock(&self.takes).push(told);
            }
            (end, _) => self.answer.put(end),
        }
    }
}

impl Handler for ForEachEvents {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        match name {
            "end" if event.flag("cancelled") => return Ok(()),
            "take" => self.take(event)?,
            _ => self.end(told(name, event, |failure| Given::Value(Err(failure)))?),
        }
        self.answer.wake();
        Ok(())
    }

    fn broken(&self) {
        self.answer.wake();
    }

    fn closed(&self) {
        let takes = std::mem::take(&mut *lock(&self.takes));
        takes.iter().for_each(|take| take.cut());
    }
}
