#![doc = include_str!("../spec/RETRY.md")]

mod harness;
mod operation;
mod outcome;
mod policy;
mod record;
mod rules;
mod settings;

pub(crate) use self::operation::Remote;
pub use self::{
    operation::{Attempt, Hint, Operation, Refused},
    outcome::{Outcome, Reason},
    policy::Policy,
    settings::{Budget, Capability, Growth, Jitter, Settings},
};
use crate::Suite;

/// The rules for retry.
///
/// # Examples
/// An implementation with a fixed delay, which knows permanent errors:
/// ```
/// use evenkeel_tck::{
///     Adapter, AdapterError,
///     retry::{Capability, Growth, Hint, Operation, Policy, SUITE, Settings},
/// };
///
/// struct FixedDelay;
///
/// impl Adapter<Settings> for FixedDelay {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::TotalTimeout => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such setting"),
///         }
///     }
///
///     fn configure(&self, settings: &Settings) -> Result<Policy, AdapterError> {
///         let (delay, attempts) = (settings.initial, settings.max_attempts);
///         if settings.growth != Growth::Fixed {
///             return Err(AdapterError::NotExpressible("delays do not grow"));
///         }
///         if attempts == 0 {
///             return Err(AdapterError::Refused("zero attempts".to_owned()));
///         }
///         Ok(Policy::new(move |operation: Operation| async move {
///             let mut number = 1;
///             loop {
///                 match operation.call().await {
///                     Err(error) if number < attempts && error.hint != Hint::Permanent => {
///                         tokio::time::sleep(delay).await;
///                         number += 1;
///                     }
///                     outcome => break outcome,
///                 }
///             }
///         }))
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&FixedDelay);
/// assert!(check("RETRY-05").passed());
/// assert_eq!(check("RETRY-10").to_string(), "not expressible: delays do not grow");
/// assert_eq!(check("RETRY-25").to_string(), "unsupported: jitter: there is no such setting");
/// ```
pub static SUITE: Suite<Settings> =
    Suite { pattern: "RETRY", spec: include_str!("../spec/RETRY.md"), chapters: rules::CHAPTERS };
