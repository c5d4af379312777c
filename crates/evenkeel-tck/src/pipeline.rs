#![doc = include_str!("../spec/PIPELINE.md")]

mod close;
mod harness;
mod queue;
mod real_time;
mod record;
mod rules;
mod settings;
mod work;

pub use self::{
    queue::{End, LowWater, Queue, Report, Snapshot, Worker},
    real_time::run_in_real_time,
    settings::{Capability, Settings, Shape},
    work::{BulkError, Item, Letter, Work, WorkError, WorkItem},
};
use crate::Suite;

/// The rules for workers over a server of messages that are acked.
///
/// # Examples
/// A loop over tokio's channel, which acks nothing and knows no second attempt:
/// ```
/// use std::sync::{Arc, Mutex, atomic::{AtomicUsize, Ordering::Relaxed}};
///
/// use evenkeel_tck::{
///     Adapter, AdapterError, BoxFuture,
///     pipeline::{Capability, End, Item, WorkItem, Queue, SUITE, Settings, Work, Worker},
/// };
/// use tokio::{sync::mpsc, task::JoinHandle};
///
/// struct Channel;
///
/// impl Adapter<Settings> for Channel {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Close => Ok(()),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn configure(&self, _: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
///         let (sender, receiver) = mpsc::unbounded_channel();
///         Ok(Box::new(Messages {
///             sender: Mutex::new(Some(sender)),
///             receiver: Mutex::new(Some(receiver)),
///             stored: Arc::default(),
///         }))
///     }
/// }
///
/// struct Messages {
///     sender: Mutex<Option<mpsc::UnboundedSender<Item>>>,
///     receiver: Mutex<Option<mpsc::UnboundedReceiver<Item>>>,
///     stored: Arc<AtomicUsize>,
/// }
///
/// impl Queue for Messages {
///     fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
///         self.stored.fetch_add(1, Relaxed);
///         self.sender.lock().unwrap().as_ref().unwrap().send(item).unwrap();
///         Box::pin(async {})
///     }
///
///     fn close(&self) {
///         self.sender.lock().unwrap().take();
///     }
///
///     fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
///         Box::pin(async move {
///             let receiver = self.receiver.lock().unwrap().take();
///             let mut receiver = receiver.ok_or(AdapterError::NotExpressible("a second worker"))?;
///             let stored = self.stored.clone();
///             let work_loop = async move {
///                 while let Some(item) = receiver.recv().await {
///                     let _ = work.run(WorkItem { id: item.number.to_string(), attempt: 1, item }).await;
///                     stored.fetch_sub(1, Relaxed);
///                 }
///             };
///             Ok(Box::new(Loop(tokio::spawn(work_loop))) as Box<dyn Worker>)
///         })
///     }
///
///     fn stored(&self) -> BoxFuture<'_, usize> {
///         Box::pin(async { self.stored.load(Relaxed) })
///     }
/// }
///
/// struct Loop(JoinHandle<()>);
///
/// impl Worker for Loop {
///     fn finish(mut self: Box<Self>) -> BoxFuture<'static, End> {
///         Box::pin(async move {
///             let end = (&mut self.0).await;
///             End { error: end.err().map(|error| error.to_string()), ..End::default() }
///         })
///     }
/// }
///
/// impl Drop for Loop {
///     fn drop(&mut self) {
///         self.0.abort();
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Channel);
/// assert!(check("PIPELINE-02").passed());
/// assert!(check("PIPELINE-03").failed());
/// assert_eq!(check("PIPELINE-24").to_string(), "unsupported: leases: there is no such thing");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "PIPELINE", spec: include_str!("../spec/PIPELINE.md"), chapters: rules::CHAPTERS };
