//! The numbers of a pool, the holders of its objects, and the report of its close.

use std::{fmt, panic::Location, time::Duration};

/// The numbers of a pool at one instant.
///
/// They add up: `size == idle + in_use + creating + checking <= max`, and
/// `created == idle + in_use + checking + discarded + detached`. After [`Pool::resize`](crate::Pool::resize) to fewer, `size`
/// is above `max` until the objects in use are returned.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// let pool = Pool::builder(Counters).max(4).build()?;
/// let lease = pool.get().await?;
/// let snapshot = pool.snapshot();
/// assert_eq!((snapshot.in_use, snapshot.idle, snapshot.size, snapshot.max), (1, 0, 1, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The maximum number of objects.
    pub max: usize,
    /// Objects, and creations under way.
    pub size: usize,
    /// Objects that nobody uses.
    pub idle: usize,
    /// Objects that are leased.
    pub in_use: usize,
    /// Creations under way.
    pub creating: usize,
    /// Objects whose check or reset goes on in the background, and idle ones that are being dropped.
    pub checking: usize,
    /// Callers that wait for an object.
    pub waiting: usize,
    /// Objects created so far.
    pub created: u64,
    /// Creations so far that returned no object: an error, a panic, too slow, or cut short by the end of the pool.
    pub create_failures: u64,
    /// Objects that the pool dropped so far: broken, rejected by a check, [discarded](crate::Lease::discard), or left
    /// over when it was closed.
    pub discarded: u64,
    /// Objects [detached](crate::Lease::detach) so far.
    pub detached: u64,
    /// Callers so far that got no object within [`acquire_timeout`](crate::Builder::acquire_timeout).
    pub timeouts: u64,
}

/// The holder of an object, and the time for which it has had it.
///
/// As text: `src/main.rs:12:30 for 2s`, or `report at src/main.rs:12:30 for 2s` with a label.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// use std::time::Duration;
///
/// let pool = Pool::builder(Counters).build()?;
/// let line = line!() + 1;
/// let lease = pool.get().await?;
/// tokio::time::sleep(Duration::from_secs(2)).await;
///
/// let holder = pool.holders()[0];
/// assert_eq!((holder.place.line(), holder.held_for), (line, Duration::from_secs(2)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The place at which [`Pool::get`](crate::Pool::get) or [`Pool::try_get`](crate::Pool::try_get) was called.
    pub place: &'static Location<'static>,
    /// The text that [`Lease::label`](crate::Lease::label) set.
    pub label: Option<&'static str>,
    /// The time since it got the object, by tokio's clock.
    ///
    /// Where checkouts without a wait follow each other within microseconds, up to 32 of them get the time of the next
    /// event of the pool: a wait, a creation, a call of [`holders`](crate::Pool::holders).
    pub held_for: Duration,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.label {
            write!(f, "{label} at ")?;
        }
        write!(f, "{} for {:?}", self.place, self.held_for)
    }
}

/// The report of [`Pool::close`](crate::Pool::close).
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// let pool = Pool::builder(Counters).build()?;
/// let closed = pool.close(std::time::Duration::from_secs(10)).await;
/// for holder in &closed.stragglers {
///     println!("still in use by {holder}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "stragglers may still use their objects"]
#[non_exhaustive]
pub struct Closed {
    /// The holders that still had an object at the deadline, the longest first.
    pub stragglers: Vec<Holder>,
}
