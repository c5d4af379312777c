//! The adapter trait of limits, and their capabilities.

use super::{Limiter, Settings};
use crate::{
    AdapterError,
    subject::{capabilities, subject},
};

/// Puts an implementation of limits behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own futures. The adapter withholds each capability that the implementation lacks.
///
/// # Examples
/// tokio's `Semaphore`, which limits what runs at once:
/// ```
/// use evenkeel_tck::{AdapterError, limit::{Adapter, Capability, Limit, Limiter, Permit, Request, SUITE, Settings, AcquireFuture}};
/// use std::sync::Arc;
/// use tokio::sync::Semaphore;
///
/// struct Tokio;
///
/// impl Adapter for Tokio {
///     fn supports(&self, capability: Capability) -> Result<(), &'static str> {
///         match capability {
///             Capability::Concurrency | Capability::Wait | Capability::Weights => Ok(()),
///             _ => Err("there is no such thing"),
///         }
///     }
///
///     fn limiter(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError> {
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
///     fn acquire(&self, request: Request) -> AcquireFuture {
///         let slots = self.0.clone();
///         Box::pin(async move { Ok(Permit::new(slots.acquire_many_owned(request.permits).await.unwrap())) })
///     }
/// }
///
/// let check = |id| SUITE.rule(id).unwrap().check(&Tokio);
/// assert!(check("LIMIT-54").passed());
/// assert_eq!(check("LIMIT-01").to_string(), "unsupported: rate: there is no such thing");
/// ```
pub trait Adapter: Send + Sync {
    /// Returns whether the implementation has this capability.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation; within a runtime.
    ///
    /// # Errors
    /// If the implementation cannot express these settings, or rejects them.
    fn limiter(&self, settings: &Settings) -> Result<Box<dyn Limiter>, AdapterError>;
}

capabilities! {
    /// A feature that an implementation of limits may have.
    ///
    /// # Examples
    /// As in [`Adapter`].
    pub enum Capability {
        /// Permits that are earned at a rate.
        Rate = "rate",
        /// Permits that come back when work has ended.
        Concurrency = "concurrency",
        /// Requests that are refused if there is no permit.
        Try = "try",
        /// Requests that wait for their turn.
        Wait = "wait",
        /// Both, for the same limiter.
        Mixed = "mixed",
        /// Requests for several permits.
        Weights = "weights",
        /// A burst that is another number than that of the rate.
        Burst = "burst",
        /// A limiter that begins without permits.
        StartEmpty = "start empty",
        /// A limit for any stretch of time as long as that of the rate.
        Sliding = "sliding",
        /// A refusal says when to come back.
        RetryAfter = "retry after",
        /// A refusal says whether the request can ever be granted.
        NeverFits = "never fits",
        /// Requests that wait until a time, and no longer.
        Deadline = "deadline",
        /// A limit for how many wait.
        MaxWaiters = "max waiters",
        /// A rate that can be changed.
        SetRate = "set rate",
        /// A burst that can be changed.
        SetBurst = "set burst",
        /// A limit of concurrency that can be changed.
        SetLimit = "set limit",
        /// Permits that were earned, and are given back.
        Refund = "refund",
        /// Permits that are reserved, and settled when the cost is known.
        Reserve = "reserve",
        /// A time in which nothing is granted.
        Penalty = "penalty",
        /// A limiter that can be closed.
        Close = "close",
        /// A limit for each key.
        Keys = "keys",
        /// It tells for how many keys it keeps a state.
        CountKeys = "count keys",
        /// A maximum for the number of keys with a state.
        MaxKeys = "max keys",
        /// Permits of several limits, or none.
        AllOf = "all of",
    }
}

subject!(Box<dyn Limiter>, limiter);
