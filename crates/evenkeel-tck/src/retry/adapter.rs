use std::{fmt, pin::Pin, sync::Arc};

use super::{Operation, Outcome, Settings, outcome::GaveUp};
use crate::Unfit;

/// Puts an implementation of retry behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own future. What the implementation does not have, the adapter withholds.
///
/// # Examples
/// An implementation with a fixed delay, which knows permanent errors:
/// ```
/// use evenkeel_tck::{Unfit, retry::{Adapter, Capability, Growth, Hint, Policy, SUITE, Settings}};
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
///     fn policy(&self, settings: &Settings) -> Result<Policy, Unfit> {
///         let (delay, attempts) = (settings.initial, settings.max_attempts);
///         if settings.growth != Growth::Fixed {
///             return Err(Unfit::NotExpressible("delays do not grow"));
///         }
///         if attempts == 0 {
///             return Err(Unfit::Refused("zero attempts".to_owned()));
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
    /// Whether the implementation has this.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation.
    ///
    /// # Errors
    /// If the implementation has no words for these settings, or if it refuses them.
    fn policy(&self, settings: &Settings) -> Result<Policy, Unfit>;
}

/// What an implementation of retry may have.
///
/// # Examples
/// As in [`Adapter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Chance in the delays.
    Jitter,
    /// Jitter that can be replayed.
    Seed,
    /// A limit for the time of all attempts and waits together.
    TotalTimeout,
    /// A limit for the time of one attempt.
    AttemptTimeout,
    /// A moment at which a call must have ended.
    Deadline,
    /// A series of attempts that begins anew after one that lasted.
    ResetAfter,
    /// Responses that count as failures.
    Responses,
    /// An error that says how long to wait.
    RetryAfter,
    /// A limit for how long an error may ask to wait.
    MaxRetryAfter,
    /// A hook that is called before each wait.
    Observer,
    /// A share of all calls that may be retried.
    Budget,
    /// Operations that are repeated only if they were not sent.
    AtMostOnce,
    /// A key for each call, by which the other side knows a repetition.
    IdempotencyKeys,
    /// Giving up on a signal.
    StopSignal,
    /// An error that says which limit was reached.
    Reason,
}

pub(crate) type Call = Pin<Box<dyn Future<Output = Outcome>>>;

/// A configured implementation, which can be called many times.
#[derive(Clone)]
pub struct Policy(Arc<dyn Fn(Operation) -> Call + Send + Sync>);

impl Policy {
    /// A policy that calls an operation so; `call` is to give the implementation's own future, not yet polled.
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

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jitter => "jitter",
            Self::Seed => "seed",
            Self::TotalTimeout => "total timeout",
            Self::AttemptTimeout => "attempt timeout",
            Self::Deadline => "deadline",
            Self::ResetAfter => "reset after",
            Self::Responses => "responses",
            Self::RetryAfter => "retry after",
            Self::MaxRetryAfter => "max retry after",
            Self::Observer => "observer",
            Self::Budget => "budget",
            Self::AtMostOnce => "at most once",
            Self::IdempotencyKeys => "idempotency keys",
            Self::StopSignal => "stop signal",
            Self::Reason => "reason",
        })
    }
}
