use std::fmt;

use super::{Limiter, Settings};
use crate::Unfit;

/// Puts an implementation of limits behind the form that the rules know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own futures. What the implementation does not have, the adapter withholds.
///
/// # Examples
/// tokio's `Semaphore`, which limits what runs at once:
/// ```
/// use evenkeel_tck::{Unfit, limit::{Adapter, Capability, Limit, Limiter, Permit, Request, SUITE, Settings, Turn}};
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
///     fn limiter(&self, settings: &Settings) -> Result<Box<dyn Limiter>, Unfit> {
///         match settings.limit {
///             Limit::Concurrency(limit) => Ok(Box::new(Slots(Arc::new(Semaphore::new(limit as usize))))),
///             _ => Err(Unfit::NotExpressible("a rate")),
///         }
///     }
/// }
///
/// struct Slots(Arc<Semaphore>);
///
/// impl Limiter for Slots {
///     fn acquire(&self, request: Request) -> Turn {
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
    /// Whether the implementation has this.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: Capability) -> Result<(), &'static str>;

    /// Configures the implementation; within a runtime.
    ///
    /// # Errors
    /// If the implementation has no words for these settings, or if it refuses them.
    fn limiter(&self, settings: &Settings) -> Result<Box<dyn Limiter>, Unfit>;
}

/// What an implementation of limits may have.
///
/// # Examples
/// As in [`Adapter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Permits that are earned at a rate.
    Rate,
    /// Permits that come back when work has ended.
    Concurrency,
    /// Requests that are refused if there is no permit.
    Try,
    /// Requests that wait for their turn.
    Wait,
    /// Both, for the same limiter.
    Mixed,
    /// Requests for several permits.
    Weights,
    /// A burst that is another number than that of the rate.
    Burst,
    /// A limiter that begins without permits.
    StartEmpty,
    /// A limit for any stretch of time as long as that of the rate.
    Sliding,
    /// A refusal says when to come back.
    RetryAfter,
    /// A refusal says whether there can ever be so many permits.
    NeverFits,
    /// Requests that wait until a time, and no longer.
    Deadline,
    /// A limit for how many wait.
    MaxWaiters,
    /// A rate that can be changed.
    SetRate,
    /// A burst that can be changed.
    SetBurst,
    /// A limit of concurrency that can be changed.
    SetLimit,
    /// Permits that were earned, and are given back.
    Refund,
    /// Permits for what is settled when its cost is known.
    Reserve,
    /// A time in which nothing is granted.
    Penalty,
    /// A limiter that can be closed.
    Close,
    /// A limit for each key.
    Keys,
    /// It tells for how many keys it keeps a state.
    CountKeys,
    /// A bound for these.
    MaxKeys,
    /// Permits of several limits, or none.
    AllOf,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Try => "try",
            Self::Wait => "wait",
            Self::Mixed => "mixed",
            Self::Weights => "weights",
            Self::Burst => "burst",
            Self::StartEmpty => "start empty",
            Self::Sliding => "sliding",
            Self::RetryAfter => "retry after",
            Self::NeverFits => "never fits",
            Self::Deadline => "deadline",
            Self::MaxWaiters => "max waiters",
            Self::SetRate => "set rate",
            Self::SetBurst => "set burst",
            Self::SetLimit => "set limit",
            Self::Refund => "refund",
            Self::Reserve => "reserve",
            Self::Penalty => "penalty",
            Self::Close => "close",
            Self::Keys => "keys",
            Self::CountKeys => "count keys",
            Self::MaxKeys => "max keys",
            Self::AllOf => "all of",
        })
    }
}
