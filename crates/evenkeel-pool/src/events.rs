//! Events of a pool, for its observer.

use std::{fmt, sync::Arc};

use crate::{Holder, Panic};

/// An event of a pool; [`Builder::observer`](crate::Builder::observer) hears of it.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// use evenkeel_pool::{DiscardReason, PoolEvent, Lease};
/// use std::sync::mpsc;
///
/// let (sender, events) = mpsc::channel();
/// let pool = Pool::builder(Counters)
///     .observer(move |event| {
///         let _ = sender.send(format!("{event:?}"));
///     })
///     .build()?;
/// Lease::discard(pool.get().await?);
/// let events: Vec<_> = events.try_iter().collect();
/// assert_eq!(events, ["Created", "Discarded { reason: Discarded }"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// An object was created.
    Created,
    /// A creation failed; the text of its error with all sources.
    CreateFailed {
        /// The error with all sources.
        error: &'a str,
    },
    /// An object left the pool, and is dropped.
    Discarded {
        /// The reason.
        reason: DiscardReason,
    },
    /// A lease has lasted for [`hold_warning`](crate::Builder::hold_warning). It is said once for each lease.
    HeldLong {
        /// The holder.
        holder: Holder,
    },
}

/// The reason for which a pool drops an object.
///
/// # Examples
///
/// See [`PoolEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscardReason {
    /// [`Manager::is_broken`](crate::Manager::is_broken) said so.
    Broken,
    /// Its check or its reset failed, or took too long.
    Unfit,
    /// [`Lease::discard`](crate::Lease::discard).
    Discarded,
    /// It was idle for [`idle_timeout`](crate::Builder::idle_timeout).
    Idle,
    /// It reached [`max_lifetime`](crate::Builder::max_lifetime).
    Expired,
    /// [`Pool::retire_all`](crate::Pool::retire_all) or [`Pool::resize`](crate::Pool::resize), or the pool is closed.
    Retired,
}

type Observe = dyn Fn(&PoolEvent<'_>) + Send + Sync;

/// The function that hears of the events.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Observe>);

impl Observer {
    pub(crate) fn new(observe: impl Fn(&PoolEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Tells of an event, without the lock. A panic of the observer ends nothing: the panic hook has reported it.
    pub(crate) fn hear(&self, event: &PoolEvent<'_>) {
        drop(Panic::catch(|| (self.0)(event)));
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
