#![doc = include_str!("../spec/LIMIT.md")]

mod denied;
mod harness;
mod limiter;
mod model;
mod record;
mod rules;
mod settings;

pub use self::{
    denied::Denied,
    limiter::{Change, Limiter, Permit, Rate, Request, Settle},
    settings::{Capability, Limit, Settings},
};
use crate::Suite;

/// The rules for limits of rate and of concurrency.
///
/// # Examples
/// tokio's `Semaphore`, which limits what runs at once:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError, BoxFuture,
///     limit::{Capability, Denied, Limit, Limiter, Permit, Request, SUITE, Settings},
/// };
/// use std::sync::Arc;
/// use tokio::sync::Semaphore;
///
/// struct Tokio;
///
/// impl Adapter<Settings> for Tokio {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Concurrency | Capability::Wait | Capability::Weights => Ok(()),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn configure(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
///         match settings.limit {
///             Limit::Concurrency(limit) => Ok(Box::new(Slots(Arc::new(Semaphore::new(limit as usize))))),
///             _ => Err(AdapterError::NotExpressible("a rate")),
///         }
///     }
/// }
///
/// struct Slots(Arc<Semaphore>);
///
/// impl Limiter for Slots {
///     fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
///         let slots = self.0.clone();
///         Box::pin(async move { Ok(Permit::new(slots.acquire_many_owned(request.permits).await.unwrap())) })
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Tokio);
/// assert!(check("LIMIT-54").passed());
/// assert_eq!(check("LIMIT-01").to_string(), "unsupported: rate: there is no such thing");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "LIMIT", spec: include_str!("../spec/LIMIT.md"), chapters: rules::CHAPTERS };
