#![doc = include_str!("../spec/POOL.md")]

mod backend;
mod get_error;
mod handle;
mod harness;
mod record;
mod rules;
mod settings;
mod step;

pub use self::{
    backend::{Backend, Object},
    get_error::GetError,
    handle::{Get, Lease, Pool, Snapshot},
    settings::{Capability, Order, Settings},
    step::BackendError,
};
pub(crate) use self::{
    backend::{Creation, Destructor, Elsewhere, Remote},
    step::{ErrorKind, Failure, Kind, Step},
};
use crate::Suite;

/// The rules for pools of objects that are costly to make, such as connections.
///
/// # Examples
/// tokio's `Semaphore` and a `Vec` of objects that are there from the beginning:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError,
///     pool::{Capability, Get, GetError, Lease, Object, Pool, SUITE, Settings},
/// };
/// use std::sync::{Arc, Mutex};
/// use tokio::sync::{OwnedSemaphorePermit, Semaphore};
///
/// struct Tokio;
///
/// impl Adapter<Settings> for Tokio {
///     fn supports(&self, _: Capability) -> Result<(), &'static str> {
///         Err("there is no such thing")
///     }
///
///     fn configure(&self, settings: &Settings) -> Result<Box<dyn Pool>, AdapterError> {
///         let idle = (0..settings.max).map(|_| settings.backend.object()).collect();
///         Ok(Box::new(Objects(Arc::new(Semaphore::new(settings.max)), Arc::new(Mutex::new(idle)))))
///     }
/// }
///
/// type Idle = Arc<Mutex<Vec<Object>>>;
///
/// struct Objects(Arc<Semaphore>, Idle);
///
/// impl Pool for Objects {
///     fn get(&self) -> Get {
///         let (permits, idle) = (self.0.clone(), self.1.clone());
///         Box::pin(async move {
///             let permit = permits.acquire_owned().await.map_err(|_| GetError::Closed)?;
///             let object = idle.lock().unwrap().pop();
///             Ok(Box::new(Taken { object, idle, _permit: permit }) as Box<dyn Lease>)
///         })
///     }
/// }
///
/// struct Taken {
///     object: Option<Object>,
///     idle: Idle,
///     _permit: OwnedSemaphorePermit,
/// }
///
/// impl Lease for Taken {
///     fn object(&self) -> &Object {
///         self.object.as_ref().unwrap()
///     }
/// }
///
/// impl Drop for Taken {
///     fn drop(&mut self) {
///         self.idle.lock().unwrap().extend(self.object.take());
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Tokio);
/// assert!(check("POOL-01").passed());
/// assert_eq!(check("POOL-02").to_string(), "unsupported: create: there is no such thing");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "POOL", spec: include_str!("../spec/POOL.md"), chapters: rules::CHAPTERS };
