//! Queues for a suite in another process: their ends, and the items that were popped.

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    sync::Arc,
};

use serde_json::json;
use tokio::sync::Mutex;

use super::{
    super::{
        super::wire::{Members, Object, object},
        Scene, Work,
    },
    ends::item,
    output::hand_over,
    told,
};
use crate::{
    AdapterError,
    stream::{Channel, Item, Job, QueueConsumer, QueueProducer},
};

#[derive(Default)]
pub(super) struct Queues {
    producers: HashMap<u64, Arc<dyn QueueProducer>>,
    consumers: HashMap<u64, Consumer>,
    jobs: Rc<RefCell<HashMap<u64, Box<dyn Job>>>>,
}

/// A consumer, until it is gone; a pop borrows it.
type Consumer = Rc<Mutex<Option<Box<dyn QueueConsumer>>>>;

impl Queues {
    fn producer(&self, message: &Object) -> Result<Arc<dyn QueueProducer>, String> {
        let id = message.number("queue")?;
        self.producers.get(&id).cloned().ok_or_else(|| format!("there is no queue {id}"))
    }

    fn consumer(&self, id: u64) -> Result<&Consumer, String> {
        self.consumers.get(&id).ok_or_else(|| format!("there is no consumer {id}"))
    }

    /// Drops the end with this id. Workers may have taken the consumer.
    fn let_go(&mut self, id: u64) -> Result<(), String> {
        if let Some(producer) = self.producers.remove(&id) {
            drop(producer);
            return Ok(());
        }
        let consumer = self.consumer(id)?.try_lock().map(|mut consumer| consumer.take());
        drop(consumer.map_err(|_| format!("consumer {id} waits for an item"))?);
        self.consumers.remove(&id);
        Ok(())
    }

    /// Calls a consumer that no pop borrows.
    fn with<T>(&self, id: u64, call: impl FnOnce(&mut Box<dyn QueueConsumer>) -> T) -> Result<T, String> {
        let consumer = self.consumer(id)?.try_lock();
        let mut consumer = consumer.map_err(|_| format!("consumer {id} waits for an item"))?;
        consumer.as_mut().map(call).ok_or_else(|| format!("consumer {id} is gone"))
    }
}

impl Scene<'_> {
    /// A message about queues.
    pub(super) fn play_queue(&mut self, name: &str, message: &Object) -> Result<(), String> {
        match name {
            "queue" => self.queue(message),
            "consumer" => {
                let another =
                    self.streams.queues.with(message.number("of")?, |consumer| consumer.another())?;
                let id = message.number("id")?;
                self.streams.queues.consumers.insert(id, Rc::new(Mutex::new(Some(another))));
                Ok(())
            }
            "push" => self.push(message),
            "pop" => self.pop(message),
            "join" => self.join(message),
            "workers" => self.workers(message),
            "put back" => {
                let id = message.number("id")?;
                let job = self.streams.queues.jobs.borrow_mut().remove(&id);
                job.ok_or_else(|| format!("{id} has no item"))?.put_back();
                Ok(())
            }
            "drop" => {
                let id = message.number("id")?;
                match self.streams.handles.remove(&id) {
                    Some(handle) => drop(handle),
                    None => self.streams.queues.let_go(id)?,
                }
                Ok(())
            }
            "close" => self.streams.queues.with(message.number("consumer")?, |consumer| consumer.close()),
            "close now" => {
                let items =
                    self.streams.queues.with(message.number("consumer")?, |consumer| consumer.close_now())?;
                let id = message.number("id")?;
                self.events.note(json!({"event": "items", "id": id, "items": hand_over(items)}));
                Ok(())
            }
            other => Err(format!("there is no message {other:?}")),
        }
    }

    /// Finishes an item that was popped. Returns whether there is one.
    pub(in super::super) fn release_item(&mut self, message: &Object) -> Result<bool, String> {
        let job = self.streams.queues.jobs.borrow_mut().remove(&message.number("id")?);
        let Some(job) = job else { return Ok(false) };
        if message.flag("panicked") {
            let consumer = AssertUnwindSafe(|| {
                let _job = job;
                resume_unwind(Box::new("the consumer panicked"))
            });
            let _ = catch_unwind(consumer).map(|never: std::convert::Infallible| match never {});
        } else {
            drop(job);
        }
        Ok(true)
    }

    fn queue(&mut self, message: &Object) -> Result<(), String> {
        let (id, operator) = (message.number("id")?, message.number("operator")?);
        let operator =
            self.streams.operators.get(&operator).ok_or_else(|| format!("there is no {operator}"))?;
        let made = self.configured(id, || operator.channel().map_err(AdapterError::Verdict));
        let Some(Channel { producer, consumer }) = made else { return Ok(()) };
        let queues = &mut self.streams.queues;
        queues.producers.insert(id, producer.into());
        queues.consumers.insert(message.number("consumer")?, Rc::new(Mutex::new(Some(consumer))));
        Ok(())
    }

    fn push(&mut self, message: &Object) -> Result<(), String> {
        let (id, producer, events) =
            (message.number("id")?, self.streams.queues.producer(message)?, self.events.clone());
        let item = item(&self.streams.shared, &object(message.get("item").cloned().unwrap_or_default()))?;
        let push = async move {
            match producer.push(item).await {
                Ok(()) => events.note(json!({"event": "pushed", "id": id})),
                Err(back) => {
                    let back = back.and_then(Item::hand_over).is_some();
                    events.note(json!({"event": "rejected", "id": id, "back": back}));
                }
            }
        };
        self.work.insert(id, Work::new(push));
        Ok(())
    }

    fn pop(&mut self, message: &Object) -> Result<(), String> {
        let (id, events, jobs) =
            (message.number("id")?, self.events.clone(), self.streams.queues.jobs.clone());
        let consumer = self.streams.queues.consumer(message.number("consumer")?)?.clone();
        let pop = async move {
            let job = match &mut *consumer.lock().await {
                Some(consumer) => consumer.pop().await,
                None => None,
            };
            match job {
                Some(job) => {
                    events.note(json!({"event": "popped", "id": id, "item": job.item().id()}));
                    jobs.borrow_mut().insert(id, job);
                }
                None => events.note(json!({"event": "over", "id": id})),
            }
        };
        self.work.insert(id, Work::new(pop));
        Ok(())
    }

    fn join(&mut self, message: &Object) -> Result<(), String> {
        let (id, producer, events) =
            (message.number("id")?, self.streams.queues.producer(message)?, self.events.clone());
        let join = async move {
            events.note(match producer.join().await {
                Ok(()) => json!({"event": "joined", "id": id}),
                Err(()) => json!({"event": "rejected", "id": id}),
            });
        };
        self.work.insert(id, Work::new(join));
        Ok(())
    }

    fn workers(&mut self, message: &Object) -> Result<(), String> {
        let (id, events) = (message.number("id")?, self.events.clone());
        let number = usize::try_from(message.number("number")?).unwrap_or(usize::MAX);
        let close_after = message.optional_time("close_after")?;
        let consumer = self.streams.queues.consumer(message.number("consumer")?)?.clone();
        let workers = async move {
            let consumer = consumer.lock().await.take();
            let Some(consumer) = consumer else { return };
            let worked = consumer.workers(number, close_after).await;
            let failures: Vec<_> = worked.failures.iter().map(told).collect();
            let unstarted = hand_over(worked.unstarted);
            events.note(json!({"event": "worked", "id": id, "failures": failures, "unstarted": unstarted}));
        };
        self.work.insert(id, Work::new(workers));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::sync::Mutex;

    use super::Queues;

    #[test]
    fn a_drop_of_an_end_that_is_unknown_or_borrowed_is_refused() {
        let mut queues = Queues::default();
        assert_eq!(queues.let_go(7), Err("there is no consumer 7".to_owned()));
        let consumer = Rc::new(Mutex::new(None));
        queues.consumers.insert(7, consumer.clone());
        let pop = consumer.try_lock().expect("nobody has it");
        assert_eq!(queues.let_go(7), Err("consumer 7 waits for an item".to_owned()));
        drop(pop);
        assert_eq!(queues.let_go(7), Ok(()));
        assert_eq!(queues.let_go(7), Err("there is no consumer 7".to_owned()));
    }
}
