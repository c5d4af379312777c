//! Streams and queues for a suite in another process: the messages, and what they have made.
//!
//! `stream/ends.rs` has the items, sources, consumers and APIs, whose scripts are with the suite, `stream/output.rs` the streams,
//! and `stream/queue.rs` the queues.

mod ends;
mod output;
mod queue;

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use self::{
    ends::{ConsumerOf, FetchOf, Given, Shared},
    output::Output,
    queue::Queues,
};
use super::{
    super::wire::{Members, Object, object},
    Events, Scene, Work,
};
use crate::{
    stream::{
        Batch, Consumer, FailureKind, Fetch, Form, Map, Operator, Pages, Queue, ReportedFailure, Settings,
        Source,
    },
    task::FailureMode,
};

pub(super) struct Streams {
    shared: Arc<Shared>,
    operators: HashMap<u64, Operator>,
    outputs: HashMap<u64, Output>,
    /// The functions that add sources to a merge, by its id, until the suite drops them.
    handles: HashMap<u64, Box<dyn Fn(Source) + Send>>,
    sources: HashMap<u64, Given>,
    queues: Queues,
}

impl Streams {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self {
            shared: Arc::new(Shared::new(events)),
            operators: HashMap::new(),
            outputs: HashMap::new(),
            handles: HashMap::new(),
            sources: HashMap::new(),
            queues: Queues::default(),
        }
    }

    /// Drops a stream. Returns whether it is one.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let output = self.outputs.remove(&id);
        output.map(Output::cancel).is_some()
    }

    fn source(&mut self, described: &Object) -> Result<Source, String> {
        let id = described.number("id")?;
        let (given, source) = ends::source(&self.shared, id);
        given.give(described)?;
        self.sources.insert(id, given);
        Ok(source)
    }

    fn output(&mut self, id: u64) -> Result<&mut Output, String> {
        self.outputs.get_mut(&id).ok_or_else(|| format!("there is no stream {id}"))
    }
}

impl Scene<'_> {
    /// A message about streams.
    pub(super) fn play_stream(&mut self, name: &str, message: &Object) -> Result<(), String> {
        match name {
            "operator" => self.operator(message),
            "stream" => self.stream(message),
            "next" => self.streams.output(message.number("id")?).map(Output::next),
            "cut" => self.streams.output(message.number("id")?).map(Output::cut),
            "give" => {
                let id = message.number("id")?;
                let source =
                    self.streams.sources.get(&id).ok_or_else(|| format!("there is no source {id}"))?;
                source.give(message)
            }
            "result" => self.streams.shared.reply(message.number("id")?, 0, message),
            "page" => self.streams.shared.reply(message.number("id")?, message.number("call")?, message),
            "taken" => self.streams.shared.reply(message.number("id")?, message.number("take")?, message),
            "add" => {
                let described = object(message.get("source").cloned().unwrap_or_default());
                let source = self.streams.source(&described)?;
                let id = message.number("id")?;
                let handle =
                    self.streams.handles.get(&id).ok_or_else(|| format!("there is no merge {id}"))?;
                handle(source);
                Ok(())
            }
            "rest" => self.streams.output(message.number("of")?)?.rest(message.number("id")?),
            other => self.play_queue(other, message),
        }
    }

    fn operator(&mut self, message: &Object) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.stream.ok_or("nothing of streams")?);
        let settings = settings_of(message.get("settings").ok_or("no settings")?)?;
        if let Some(operator) = self.configured(id, || adapter.configure(&settings)) {
            self.streams.operators.insert(id, operator);
        }
        Ok(())
    }

    fn stream(&mut self, message: &Object) -> Result<(), String> {
        let (id, operator) = (message.number("id")?, message.number("operator")?);
        let described = message.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
        let sources = described.into_iter().map(|source| self.streams.source(&object(source)));
        let mut sources = sources.collect::<Result<Vec<_>, _>>()?;
        let Streams { shared, operators, outputs, handles, .. } = &mut self.streams;
        let Operator(form) = operators.get(&operator).ok_or_else(|| format!("there is no {operator}"))?;
        let mut source = || sources.pop().ok_or("no source");
        let output = match form {
            Form::Map(make) => Output::of(shared, id, make(source()?), output::result),
            Form::MapInto(make) => {
                let consumer = Consumer::remote(Arc::new(ConsumerOf::new(shared, id)));
                let (run, shared) = (make((source()?, consumer)), shared.clone());
                self.work.insert(id, Work::new(async move { output::run(&shared, id, run).await }));
                return Ok(());
            }
            Form::Batch(make) => Output::of(shared, id, make(source()?), output::batch),
            Form::BatchWithRest(make) => Output::of_batches(shared, id, make(source()?)),
            Form::Merge(make) => Output::of(shared, id, make(sources), output::item),
            Form::MergeWithHandle(make) => {
                let (stream, handle) = make(sources);
                handles.insert(id, handle);
                Output::of(shared, id, stream, output::item)
            }
            Form::Generate(make) => Output::of(shared, id, make(source()?), output::item),
            Form::Pages(make) => {
                let fetch = Fetch::remote(Arc::new(FetchOf::new(shared, message.number("fetch")?)));
                Output::of(shared, id, make(fetch), output::page_item)
            }
            Form::Queue(_) => return Err("a queue is no stream".to_owned()),
        };
        outputs.insert(id, output);
        Ok(())
    }
}

/// A failure, as an event tells it.
fn told(failure: &ReportedFailure) -> Value {
    let kind = if failure.kind == FailureKind::Panic { "panic" } else { "error" };
    json!({"kind": kind, "of": failure.task})
}

fn settings_of(settings: &Value) -> Result<Settings, String> {
    let count = |name: &str| -> Result<usize, String> {
        Ok(usize::try_from(settings.number(name)?).unwrap_or(usize::MAX))
    };
    Ok(match settings.text("kind")? {
        "map" => Settings::Map(Map {
            limit: count("limit")?,
            ordered: settings.flag("ordered"),
            on_failure: match settings.text("on_failure")? {
                "stop" => FailureMode::Stop,
                "go on" => FailureMode::GoOn,
                _ => FailureMode::Usual,
            },
            keyed: settings.flag("keyed"),
        }),
        "batch" => Settings::Batch(Batch {
            items: count("items")?,
            within: settings.optional_time("within")?,
            weight: if settings.is_there("weight") { Some(count("weight")?) } else { None },
            until: settings.flag("until"),
        }),
        "merge" => Settings::Merge,
        "queue" => {
            Settings::Queue(Queue { capacity: count("capacity")?, by_weight: settings.flag("by_weight") })
        }
        "pages" => Settings::Pages(Pages { ahead: count("ahead")? }),
        "generate" => Settings::Generate,
        other => return Err(format!("there is no operator {other:?}")),
    })
}
