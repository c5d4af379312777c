//! Changes of a pool while it is in use: filled, resized, retired.

use std::pin::pin;

use tokio::sync::mpsc;

use crate::{BuildError, Manager, Pool, checkout::create, state::State};

impl<M: Manager> Pool<M> {
    /// Creates objects until there are `n`, at most [`max`](crate::Builder::max), and waits for them; returns the number of
    /// objects that there are then.
    ///
    /// Objects in use count as well, and those that callers or the pool are creating already. At most
    /// [`max_creating`](crate::Builder::max_creating) are created at a time, and `n` in all. It ends with a creation that
    /// fails: fewer than `n` objects are a sign of that, and
    /// [`Snapshot::create_failures`](crate::Snapshot::create_failures) has grown. Nothing else depends on it: the pool
    /// creates objects when they are needed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait; the creations go on.
    ///
    /// # Panics
    ///
    /// If it has to create, outside of a tokio runtime with time enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// let pool = Pool::builder(Counters).max(16).build()?;
    /// assert_eq!(pool.warm(4).await, 4);
    /// assert_eq!(pool.snapshot().idle, 4);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn warm(&self, n: usize) -> impl Future<Output = usize> + Send {
        let (shared, place) = (self.shared(), std::panic::Location::caller());
        async move {
            // Objects may be gone as fast as they are made.
            let mut left = n;
            loop {
                let mut another_ended = pin!(shared.creation_ended.notified());
                another_ended.as_mut().enable();
                let (begun, mut all_ended) = mpsc::channel::<()>(1);
                let before = left;
                while left > 0
                    && let Some(slot) = shared.update(|state| state.create_below(n, place, shared))
                {
                    left -= 1;
                    let begun = begun.clone();
                    shared.spawn("a creation", async move {
                        create(slot).await;
                        drop(begun);
                    });
                }
                drop(begun);
                if left < before {
                    // No message is sent: it ends with the last creation.
                    let _ = all_ended.recv().await;
                } else if left > 0 && shared.read(|state| state.is_creating_below(n)) {
                    // One that a caller or the upkeep has begun.
                    another_ended.await;
                } else {
                    break;
                }
                // Another attempt would wait for its pause, and fail as well.
                if shared.read(State::is_failing) {
                    break;
                }
            }
            shared.read(State::objects)
        }
    }

    /// Changes the maximum number of objects.
    ///
    /// With more room waiters are served at once. With less, idle objects are dropped, and objects in use when they are
    /// returned, until there are no more than that; none is lent while there are more.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroMax`] if the number is zero; nothing changes then.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// let pool = Pool::builder(Counters).max(8).build()?;
    /// pool.warm(8).await;
    /// pool.resize(2)?;
    /// assert_eq!(pool.snapshot().size, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resize(&self, max: usize) -> Result<(), BuildError> {
        if max == 0 {
            return Err(BuildError::ZeroMax);
        }
        self.shared().drop_idle(|state| state.resize(max));
        Ok(())
    }

    /// Retires all objects that there are: after a failover, or when credentials have changed.
    ///
    /// Idle objects are dropped now, objects in use when they are returned, and those that are being checked or created
    /// when that has ended. Callers get new objects from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// let pool = Pool::builder(Counters).build()?;
    /// let mut lease = pool.get().await?;
    /// *lease = 7;
    /// pool.retire_all();
    /// drop(lease);
    /// assert_eq!(*pool.get().await?, 0, "a new one");
    /// # Ok(())
    /// # }
    /// ```
    pub fn retire_all(&self) {
        self.shared().drop_idle(State::retire_all);
    }
}
