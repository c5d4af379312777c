//! An object in use.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use crate::{
    DiscardReason, Manager,
    state::{SlottedObject, end_lease},
};

/// A borrowed object of a [`Pool`](crate::Pool), which returns itself when it is dropped.
///
/// It dereferences to the object. Dropping it, also while unwinding or when a task is aborted, returns the object to the
/// pool, or drops it if [`is_broken`](Manager::is_broken) says so; there is room for another object only after the
/// destructor of this one has run. A lease is `'static` and outlives the pool: an object that is returned to a pool that
/// was closed or dropped is dropped.
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
/// *lease += 1;
/// drop(lease);
/// assert_eq!(*pool.get().await?, 1, "the same counter again");
/// # Ok(())
/// # }
/// ```
#[doc(alias("PooledConnection", "Object"))]
#[must_use = "dropping a lease returns the object"]
pub struct Lease<M: Manager> {
    // None once the object was taken out.
    object: Option<SlottedObject<M>>,
}

const HELD: &str = "a lease has its object until it is dropped";

impl<M: Manager> Lease<M> {
    pub(crate) fn new(object: SlottedObject<M>) -> Self {
        Self { object: Some(object) }
    }

    /// Takes the object out of the pool for good, which makes room for another one.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// use evenkeel_pool::Lease;
    ///
    /// let pool = Pool::builder(Counters).max(1).build()?;
    /// let ours: u32 = Lease::detach(pool.get().await?);
    /// let another = pool.get().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn detach(mut lease: Self) -> M::Object {
        lease.take().detach()
    }

    /// Drops the object instead of returning it to the pool, as if it were [broken](Manager::is_broken).
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// use evenkeel_pool::Lease;
    ///
    /// let pool = Pool::builder(Counters).build()?;
    /// Lease::discard(pool.get().await?);
    /// assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (0, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(mut lease: Self) {
        lease.take().discard(DiscardReason::Discarded);
    }

    /// Says what the lease is for: the text stands in [`Holder::label`](crate::Holder::label), and in the time-outs of others.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::Pool;
    /// use evenkeel_pool::Lease;
    ///
    /// let pool = Pool::builder(Counters).build()?;
    /// let lease = pool.get().await?;
    /// Lease::label(&lease, "report");
    /// assert_eq!(pool.holders()[0].label, Some("report"));
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "a lease has its object until it is dropped")]
    pub fn label(lease: &Self, label: &'static str) {
        let slot = &lease.object.as_ref().expect(HELD).slot;
        slot.shared().look(|state| state.set_label(slot.key(), label));
    }

    /// Says in dumps that another task than the one that took the object has it now, one that waits for no other object.
    #[cfg(feature = "inspect")]
    #[doc(hidden)]
    pub fn give_away(lease: &Self) {
        let slot = &lease.object.as_ref().expect(HELD).slot;
        slot.shared().look(|state| state.give_away(slot.key()));
    }

    fn take(&mut self) -> SlottedObject<M> {
        self.object.take().expect(HELD)
    }
}

impl<M: Manager> Drop for Lease<M> {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            end_lease(object);
        }
    }
}

impl<M: Manager> Deref for Lease<M> {
    type Target = M::Object;

    fn deref(&self) -> &M::Object {
        &self.object.as_ref().expect(HELD).pooled.object
    }
}

impl<M: Manager> DerefMut for Lease<M> {
    fn deref_mut(&mut self) -> &mut M::Object {
        &mut self.object.as_mut().expect(HELD).pooled.object
    }
}

impl<M: Manager<Object: fmt::Debug>> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
