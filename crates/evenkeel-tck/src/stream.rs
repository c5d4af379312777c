#![doc = include_str!("../spec/STREAM.md")]

mod consumer;
mod fetch;
mod harness;
mod item;
mod operator;
mod queue;
mod queue_harness;
mod record;
mod remote;
mod rules;
mod settings;
mod source;

pub use self::{
    consumer::Consumer,
    fetch::Fetch,
    item::{Item, Key},
    operator::Operator,
    queue::{Channel, Job, QueueConsumer, QueueProducer, Worked},
    settings::{Batch, Capability, Map, Pages, Queue, Settings},
    source::{Results, Source},
};
pub(crate) use self::{
    item::{KeyCount, Script, panics},
    operator::{BatchStream, BoxStream, Form, MapResult, MergeWithHandle, PageResult},
    remote::{PageOf, RemoteConsumer, RemoteFetch, RemoteItem, RemoteSource},
    source::{Give, Scripted},
};
use crate::Suite;
pub use crate::{
    probe_task::{FailureKind, ReportedFailure},
    task::FailureMode,
};

/// The rules for operators on streams: concurrent maps, batches, merges, queues, pages and generators.
///
/// # Examples
/// `buffered` of futures, which polls its items within the consumer's task:
/// ```
/// use evenkeel_tck::{Adapter, AdapterError, stream::{Capability, Item, Operator, SUITE, Settings}};
/// use futures::StreamExt as _;
///
/// struct Buffered;
///
/// impl Adapter<Settings> for Buffered {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Map | Capability::Ordered | Capability::Stream => Ok(()),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
///         let Settings::Map(map) = settings else {
///             return Err(AdapterError::NotExpressible("only a map"));
///         };
///         let limit = map.limit;
///         Ok(Operator::map(move |source| source.map(Item::run).buffered(limit)))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Buffered);
/// assert!(check("STREAM-01").passed());
/// // A consumer that waits for the lock of an item waits for ever.
/// assert!(check("STREAM-14").failed());
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "STREAM", spec: include_str!("../spec/STREAM.md"), chapters: rules::CHAPTERS };
