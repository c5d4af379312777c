//! The handle of a pool.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    Closed, Holder, Manager, Snapshot,
    state::{Shared, State},
};

/// Objects that are costly to make, lent to one user at a time, first come first served.
///
/// A clone is another handle to the same pool. The pool keeps at most [`max`](crate::Builder::max) objects, and lends the
/// one that was used last. Every object that was used is [checked](Manager::check) before it is lent again.
///
/// Creations, and checks that are not ready at once, run on tasks that the pool owns. Their result goes to the caller that
/// has waited longest, so nothing is lost when the caller that began them gives up. When the last handle is dropped, the
/// tasks are aborted and the idle objects dropped, with any that a forgotten future was served; leases stay usable, and
/// their objects are dropped when they are returned.
///
/// # Backoff
///
/// While creations fail, they are paced, however many callers wait: after a failure the next creation begins after a
/// pause of 50 ms at first and 1 s in the end, of which up to a half is left out at random. Until one has succeeded, one
/// begins per pause; then as many begin at once as are needed. The first creations of a pool are not delayed.
///
/// # Runtimes
///
/// A task runs on the runtime of the caller that began it. A pool may be used from several runtimes: when one of them
/// ends, its tasks end, and callers elsewhere begin others.
///
/// # Why not just use X?
///
/// A [`Semaphore`](tokio::sync::Semaphore) and a `Vec` behind a lock serve for objects that cannot fail and are made
/// at once. A pool also counts creations, lets a creation outlive the caller that gave up, checks objects before it
/// lends them again, says who holds the objects when none is left, and can be closed.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_pool::{Manager, Pool};
/// use std::time::Duration;
///
/// struct Connect;
///
/// impl Manager for Connect {
///     type Object = String;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> std::io::Result<String> {
///         tokio::time::sleep(Duration::from_millis(50)).await;
///         Ok("a connection".into())
///     }
/// }
///
/// let pool = Pool::builder(Connect).max(16).build()?;
/// let lease = pool.get().await?;
/// assert_eq!(*lease, "a connection");
/// # Ok(())
/// # }
/// ```
pub struct Pool<M: Manager> {
    owner: Arc<Owner<M>>,
}

/// Closes the pool with the last handle: leases and tasks keep only the shared part alive.
struct Owner<M: Manager> {
    shared: Arc<Shared<M>>,
}

impl<M: Manager> Drop for Owner<M> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<M: Manager> Pool<M> {
    pub(crate) fn of(shared: Arc<Shared<M>>) -> Self {
        Self { owner: Arc::new(Owner { shared }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.owner.shared
    }

    /// Returns the numbers of the pool.
    #[doc(alias("status", "state", "size"))]
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared().read(State::snapshot)
    }

    /// Returns the holders of the objects that are in use, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let now = Instant::now();
        self.shared().look(|state| state.holders(now))
    }

    /// Closes the pool, and waits until all objects are back, at most for the time `within`.
    ///
    /// From its first poll on, every [`get`](Self::get) fails at once, also one that waits; idle objects are dropped;
    /// checks and creations are aborted, and an object that one of them still returns is dropped. Leases stay usable, and
    /// their objects are dropped when they are returned. It can be called again, to wait once more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future after its first poll only ends the wait: the pool stays closed.
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
    /// let lease = pool.get().await?;
    ///
    /// let closed = pool.close(Duration::from_secs(10)).await;
    /// assert_eq!(closed.stragglers[0].held_for, Duration::from_secs(10));
    ///
    /// drop(lease);
    /// assert!(pool.close(Duration::ZERO).await.stragglers.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self, within: Duration) -> Closed {
        let shared = self.shared();
        shared.close();
        // Leases that are late are listed below.
        let _ = timeout(within, shared.ended.draining()).await;
        Closed { stragglers: self.holders() }
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
