//! Operators on streams in another process: the settings as JSON. The parts at their ends are here, each in a file of its own.

mod asked;
mod fetch;
mod for_each;
mod item;
mod output;
mod queue;
mod slot;
mod source;

use std::sync::Arc;

use serde_json::{Value, json};

use self::{
    fetch::FetchEvents,
    for_each::ForEach,
    item::Items,
    output::{Output, Read, batch, emitted, page_item, result},
    queue::channel,
    source::play,
};
use super::{process::Process, session::Session, wire::from_time};
use crate::{
    Adapter, AdapterError,
    stream::{BatchStream, BoxStream, Capability, Fetch, Form, Operator, Settings, Source},
    task::FailureMode,
};

impl Adapter<Settings> for Process {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        self.claims("stream", &capability.to_string())
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let has = |capability| Adapter::<Settings>::supports(self, capability).is_ok();
        let session = self.session()?;
        let operator = session.configure("operator", settings_of(settings))?;
        let remote = Remote { session, operator };
        Ok(Operator(match settings {
            Settings::Map(_) if has(Capability::Stream) => {
                Form::Map(Box::new(move |source| remote.stream(vec![source], result)))
            }
            Settings::Map(_) => Form::MapInto(Box::new(move |(source, consumer)| {
                let (items, sources) = remote.sources(vec![source]);
                Box::pin(ForEach::new(&remote, items, sources, consumer))
            })),
            Settings::Batch(_) if has(Capability::BatchRest) => {
                Form::BatchWithRest(Box::new(move |source| {
                    let (items, sources) = remote.sources(vec![source]);
                    let output = Output::new(&remote, items, json!({"sources": sources}), batch);
                    Box::pin(output) as std::pin::Pin<Box<dyn BatchStream>>
                }))
            }
            Settings::Batch(_) => Form::Batch(Box::new(move |source| remote.stream(vec![source], batch))),
            Settings::Merge if has(Capability::AddSources) => {
                Form::MergeWithHandle(Box::new(move |sources| remote.merge(sources)))
            }
            Settings::Merge => Form::Merge(Box::new(move |sources| remote.stream(sources, emitted))),
            Settings::Generate => {
                Form::Generate(Box::new(move |source| remote.stream(vec![source], emitted)))
            }
            Settings::Pages(_) => Form::Pages(Box::new(move |fetch| remote.pages(fetch))),
            Settings::Queue(_) => {
                let ends = [Capability::EndWithProducers, Capability::EndWithConsumers].map(has);
                Form::Queue(Box::new(move |()| channel(&remote, ends)))
            }
        }))
    }
}

/// A configured operator in another process.
#[derive(Clone)]
struct Remote {
    session: Arc<Session>,
    operator: u64,
}

impl Remote {
    /// The items of sources, and the sources as a message has them.
    fn sources(&self, sources: Vec<Source>) -> (Arc<Items>, Vec<Value>) {
        let items = Items::new(&self.session);
        let sources = sources.into_iter().map(|source| play(&self.session.link, &items, source)).collect();
        (items, sources)
    }

    fn stream<T: Send + 'static>(&self, sources: Vec<Source>, read: Read<T>) -> BoxStream<T> {
        let (items, sources) = self.sources(sources);
        Output::new(self, items, json!({"sources": sources}), read).boxed()
    }

    fn merge(&self, sources: Vec<Source>) -> crate::stream::MergeWithHandle {
        let (items, sources) = self.sources(sources);
        let output = Output::new(self, items.clone(), json!({"sources": sources}), emitted);
        let handle = MergeHandle { id: output.id(), session: self.session.clone(), items };
        (output.boxed(), Box::new(move |source| handle.add(source)))
    }

    fn pages(&self, fetch: Fetch) -> BoxStream<crate::stream::PageResult> {
        let items = Items::new(&self.session);
        let fetch = FetchEvents::add(&self.session.link, &items, fetch);
        Output::new(self, items, json!({"fetch": fetch}), page_item).boxed()
    }
}

/// Adds sources to a merge.
struct MergeHandle {
    id: u64,
    session: Arc<Session>,
    items: Arc<Items>,
}

impl MergeHandle {
    fn add(&self, source: Source) {
        let link = &self.session.link;
        let source = play(link, &self.items, source);
        link.send_now(json!({"do": "add", "id": self.id, "source": source}));
    }
}

impl Drop for MergeHandle {
    fn drop(&mut self) {
        self.session.link.send_last(json!({"do": "drop", "id": self.id}));
    }
}

fn settings_of(settings: &Settings) -> Value {
    match settings {
        Settings::Map(map) => json!({
            "kind": "map", "limit": map.limit, "ordered": map.ordered, "keyed": map.keyed,
            "on_failure": match map.on_failure {
                FailureMode::Stop => "stop",
                FailureMode::GoOn => "go on",
                FailureMode::Usual => "usual",
            },
        }),
        Settings::Batch(batch) => json!({
            "kind": "batch", "items": batch.items, "within": batch.within.map(from_time), "weight": batch.weight,
            "until": batch.until,
        }),
        Settings::Merge => json!({"kind": "merge"}),
        Settings::Queue(queue) => {
            json!({"kind": "queue", "capacity": queue.capacity, "by_weight": queue.by_weight})
        }
        Settings::Pages(pages) => json!({"kind": "pages", "ahead": pages.ahead}),
        Settings::Generate => json!({"kind": "generate"}),
    }
}
