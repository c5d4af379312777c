//! The adapter trait of retry, and its capabilities.

use std::{fmt, pin::Pin, sync::Arc};

use super::{Operation, Outcome, Settings, outcome::GaveUp};
use crate::{
    AdapterError,
    subject::{capabilities, subject},
};

/// Puts an implementation of retry behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own future. The adapter withholds each capability that the implementation lacks.
///
/// # Examples
/// An implementation with a fixed delay, which knows permanent errors:
/// ```
/// use evenkeel_tck::{AdapterError, retry::{Adapter, Capability, Growth, Hint, Policy, SUITE, Settings}};
///
/// struct FixedDelay;
///
/// impl Adapter for FixedDelay {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::TotalTimeout => Err("wrap it in `tokio::time::timeout`"),
///             _ => Err("there is no such setting"),
///         }
///     }
///
///     fn policy(&self, settings: &Settings) -> Result<Policy, AdapterError> {
///         let (delay, attempts) = (settings.initial, settings.max_attempts);
///         if settings.growth != Growth::Fixed {
///             return Err(AdapterError::NotExpressible("delays do not grow"));
///         }
///         if attempts == 0 {
///             return Err(AdapterError::Refused("zero attempts".to_owned()));
///         }
///         Ok(Policy::new(move |operation| async move {
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
pub trait Adapter: Send + Sync {
    /// Returns whether the implementation has this capability.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation.
    ///
    /// # Errors
    /// If the implementation cannot express these settings, or rejects them.
    fn policy(&self, settings: &Settings) -> Result<Policy, AdapterError>;
}

capabilities! {
    /// A feature that an implementation of retry may have.
    ///
    /// # Examples
    /// As in [`Adapter`].
    pub enum Capability {
        /// Chance in the delays.
        Jitter = "jitter",
        /// Jitter that can be replayed.
        Seed = "seed",
        /// A limit for the time of all attempts and waits together.
        TotalTimeout = "total timeout",
        /// A limit for the time of one attempt.
        AttemptTimeout = "attempt timeout",
        /// A moment at which a call must have ended.
        Deadline = "deadline",
        /// A series of attempts that starts over after an attempt that lasted.
        ResetAfter = "reset after",
        /// Responses that count as failures.
        Responses = "responses",
        /// An error that says how long to wait.
        RetryAfter = "retry after",
        /// A limit for how long an error may ask to wait.
        MaxRetryAfter = "max retry after",
        /// A hook that is called before each wait.
        Observer = "observer",
        /// A share of all calls that may be retried.
        Budget = "budget",
        /// Operations that are repeated only if they were not sent.
        AtMostOnce = "at most once",
        /// A key for each call, by which the other side knows a repetition.
        IdempotencyKeys = "idempotency keys",
        /// Giving up on a signal.
        StopSignal = "stop signal",
        /// An error that says which limit was reached.
        Reason = "reason",
    }
}

subject!(Policy, policy);

pub(crate) type Call = Pin<Box<dyn Future<Output = Outcome>>>;

/// A configured implementation, which can be called many times.
#[derive(Clone)]
pub struct Policy(Arc<dyn Fn(Operation) -> Call + Send + Sync>);

impl Policy {
    /// A policy that calls operations with `call`, which returns the implementation's own future, not yet polled.
    ///
    /// # Examples
    /// An implementation that tries twice:
    /// ```
    /// use evenkeel_tck::retry::Policy;
    ///
    /// let twice = Policy::new(|operation| async move {
    ///     match operation.call().await {
    ///         Ok(value) => Ok(value),
    ///         Err(_) => operation.call().await,
    ///     }
    /// });
    /// ```
    pub fn new<F, Fut, E>(call: F) -> Self
    where
        F: Fn(Operation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<u32, E>> + 'static,
        E: Into<GaveUp> + 'static,
    {
        Self(Arc::new(move |operation| {
            let outcome = call(operation);
            Box::pin(async move { outcome.await.map_err(Into::into) })
        }))
    }

    pub(crate) fn call(&self, operation: Operation) -> Call {
        (self.0)(operation)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").finish_non_exhaustive()
    }
}
