#![doc = include_str!("../spec/INSPECT.md")]

mod harness;
mod program;
mod rules;
mod settings;

pub use self::{
    program::{
        Inspectable, MessageWork, ProgramBody, Shared, SharedKind, Site, Spawned, StandStill, StandStillKind,
        StoreCall, Tasks, View, ViewedTask,
    },
    settings::{Capability, Settings},
};
use crate::Suite;

/// The rules for observers of programs, which tell why one stands still.
///
/// # Examples
/// An observer that lists what waits:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError, BoxFuture,
///     inspect::{
///         Capability, Inspectable, ProgramBody, SUITE, Settings, Shared, SharedKind, Site, Spawned, Tasks, View,
///         ViewedTask,
///     },
/// };
/// use std::sync::{Arc, Mutex};
/// use tokio::{sync::Semaphore, task::{AbortHandle, JoinHandle}, task_local};
///
/// task_local! { static NAME: String; }
///
/// struct List;
///
/// impl Adapter<Settings> for List {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Waits => Ok(()),
///             _ => Err("it lists waits, and nothing else"),
///         }
///     }
///
///     fn configure(&self, _: &Settings) -> Result<Arc<dyn Inspectable>, AdapterError> {
///         Ok(Arc::new(Program::default()))
///     }
/// }
///
/// #[derive(Clone, Default)]
/// struct Program {
///     waits: Arc<Mutex<Vec<ViewedTask>>>,
///     spawned: Arc<Mutex<Vec<AbortHandle>>>,
/// }
///
/// impl Inspectable for Program {
///     fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()> {
///         let program = self.clone();
///         Box::pin(async move {
///             body(Arc::new(program.clone())).await;
///             program.spawned.lock().unwrap().iter().for_each(AbortHandle::abort);
///             tokio::task::yield_now().await;
///         })
///     }
///
///     fn resource(&self, _: SharedKind, name: &'static str, units: usize) -> Arc<dyn Shared> {
///         Arc::new(Units { name, free: Arc::new(Semaphore::new(units)), waits: self.waits.clone() })
///     }
///
///     fn look(&self) -> View {
///         View { tasks: self.waits.lock().unwrap().clone(), ..View::default() }
///     }
/// }
///
/// impl Tasks for Program {
///     fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> Box<dyn Spawned> {
///         let task = tokio::spawn(NAME.scope(name, task));
///         self.spawned.lock().unwrap().push(task.abort_handle());
///         Box::new(Running(task))
///     }
/// }
///
/// struct Running(JoinHandle<()>);
///
/// impl Spawned for Running {
///     fn abort(&self) {
///         self.0.abort();
///     }
///
///     fn ended(self: Box<Self>) -> BoxFuture<'static, ()> {
///         Box::pin(async { drop(self.0.await) })
///     }
/// }
///
/// struct Units {
///     name: &'static str,
///     free: Arc<Semaphore>,
///     waits: Arc<Mutex<Vec<ViewedTask>>>,
/// }
///
/// impl Shared for Units {
///     fn hold(&self, _: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
///         let (free, waits, what) = (self.free.clone(), self.waits.clone(), self.name.to_owned());
///         Box::pin(async move {
///             let name = NAME.get();
///             waits.lock().unwrap().push(ViewedTask { name: name.clone(), waits: what });
///             let _unit = free.acquire().await;
///             waits.lock().unwrap().retain(|task| task.name != name);
///             inside.await;
///         })
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&List);
/// assert!(check("INSPECT-15").passed());
/// assert!(check("INSPECT-16").failed()); // its list keeps waits that were dropped
/// assert_eq!(check("INSPECT-01").to_string(), "unsupported: deadlocks: it lists waits, and nothing else");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "INSPECT", spec: include_str!("../spec/INSPECT.md"), chapters: rules::CHAPTERS };
