//! The errors of a checkout.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{Holder, Panic, Snapshot};

/// Why [`Pool::get`](crate::Pool::get) returned no lease.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// use evenkeel_pool::GetError;
/// use std::time::Duration;
///
/// let pool = Pool::builder(Counters).max(1).acquire_timeout(Duration::from_secs(5)).build()?;
/// let lease = pool.get().await?;
/// match pool.get().await {
///     Err(GetError::Timeout(why)) => {
///         assert_eq!(why.waited, Duration::from_secs(5));
///         assert_eq!(why.snapshot.in_use, 1);
///         assert_eq!(why.holders, pool.holders());
///     }
///     other => unreachable!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError<E> {
    /// There was no object within [`acquire_timeout`](crate::Builder::acquire_timeout), for these reasons.
    Timeout(Box<Timeout>),
    /// The pool is closed.
    Closed,
    /// All objects are leased by tasks that wait for this pool, the caller among them, so none can come back. These hold
    /// them; only with [`detect_deadlocks`](crate::Builder::detect_deadlocks).
    Deadlock(Vec<Holder>),
    /// The manager failed to create an object.
    Create(E),
    /// A creation took longer than this [`create_timeout`](crate::Builder::create_timeout).
    CreateTimeout(Duration),
    /// A method of the manager, or the destructor of an object, panicked.
    Panic(Panic),
}

impl<E> fmt::Display for GetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Closed => f.write_str("the pool is closed"),
            Self::Deadlock(holders) => {
                f.write_str("deadlock: all objects are held by tasks that wait for one")?;
                write_holders(holders, f)
            }
            Self::Create(_) => f.write_str("could not create an object"),
            Self::CreateTimeout(limit) => write!(f, "creating an object took longer than {limit:?}"),
            Self::Panic(_) => f.write_str("the manager of the pool failed"),
        }
    }
}

impl<E: Error + 'static> Error for GetError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Create(error) => Some(error),
            Self::Panic(panic) => Some(panic),
            Self::Timeout(why) => why.source(),
            Self::Closed | Self::Deadlock(_) | Self::CreateTimeout(_) => None,
        }
    }
}

/// The report of a wait that ended without an object: who held the objects, and what failed last.
///
/// As text it is one line, without the [`source`](Error::source):
///
/// ```text
/// no object within 30s: 2 of 2 in use, 5 more waiting, 1 was ahead; held by src/report.rs:31:18 for 4112s, src/main.rs:12:24 for 2s
/// ```
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::{GetError, Pool};
/// let pool = Pool::builder(Counters).max(1).build()?;
/// let lease = pool.get().await?;
/// if let Err(GetError::Timeout(why)) = pool.get().await {
///     assert!(why.to_string().starts_with("no object within 30s: 1 of 1 in use; held by "));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Timeout {
    /// The time that the caller waited.
    pub waited: Duration,
    /// The number of callers that waited already when it came.
    pub ahead: usize,
    /// The numbers of the pool at the end of the wait, without this caller.
    pub snapshot: Snapshot,
    /// The three holders that had their objects for the longest time.
    pub holders: Vec<Holder>,
    /// The newest failure of a creation, or of a check, since the last object was created.
    pub last_failure: Option<String>,
    /// That failure as an error, which is the [`source`](Error::source): a [`GetError::Create`] if the manager says that
    /// it is [transient](crate::Manager::is_transient) or returns a [copy](crate::Manager::copy_error) of it. Any other
    /// error went to another caller, and this one has its text.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Error for Timeout {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waited, ahead, snapshot, holders, last_failure, cause } = self;
        write!(f, "no object within {waited:?}: {} of {} in use", snapshot.in_use, snapshot.max)?;
        for (count, what) in [
            (snapshot.idle, "idle"),
            (snapshot.checking, "being checked"),
            (snapshot.creating, "being created"),
            (snapshot.waiting, "more waiting"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match ahead {
            0 => {}
            1 => f.write_str(", 1 was ahead")?,
            _ => write!(f, ", {ahead} were ahead")?,
        }
        write_holders(holders, f)?;
        // The text of the source is not in that of the error.
        if let (Some(text), None) = (last_failure, cause) {
            write!(f, "; last failure: {text}")?;
        }
        Ok(())
    }
}

fn write_holders(holders: &[Holder], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (n, holder) in holders.iter().enumerate() {
        write!(f, "{}{holder}", if n == 0 { "; held by " } else { ", " })?;
    }
    Ok(())
}
