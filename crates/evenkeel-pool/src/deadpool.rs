//! Managers of the crate deadpool, unchanged.

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use ::deadpool::managed::{self, Metrics};
use tokio::time::Instant;

use crate::{BoxError, Manager};

/// Drives any [`deadpool::managed::Manager`], such as that of deadpool-postgres or of deadpool-sqlite.
///
/// `create` makes an object, `recycle` is the [check](Manager::check) before each reuse, and `detach` is called once
/// when the object leaves the pool, whatever the reason.
///
/// # Why not just use X?
///
/// `deadpool::managed::Pool` drives the same managers. There a caller that gives up ends the creation that it began,
/// and drops the healthy object whose `recycle` it awaited; a caller that began a creation does not see an object that
/// is returned earlier; and each step has a time limit of its own, none of them by default.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use deadpool::managed::{Manager, Metrics, RecycleResult};
/// use evenkeel_pool::{Deadpool, Pool};
/// use std::convert::Infallible;
///
/// struct Numbers;
///
/// impl Manager for Numbers {
///     type Type = u32;
///     type Error = Infallible;
///
///     async fn create(&self) -> Result<u32, Infallible> {
///         Ok(7)
///     }
///
///     async fn recycle(&self, number: &mut u32, _: &Metrics) -> RecycleResult<Infallible> {
///         *number += 1;
///         Ok(())
///     }
/// }
///
/// let pool = Pool::builder(Deadpool::new(Numbers)).max(4).build()?;
/// assert_eq!(**pool.get().await?, 7);
/// assert_eq!(**pool.get().await?, 8);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Deadpool<M> {
    manager: Arc<M>,
}

impl<M: managed::Manager> Deadpool<M> {
    /// Wraps a manager.
    #[must_use]
    pub fn new(manager: M) -> Self {
        Self { manager: Arc::new(manager) }
    }
}

impl<M> Manager for Deadpool<M>
where
    M: managed::Manager<Type: 'static, Error: Error + Sync + 'static> + 'static,
{
    type Object = Adopted<M>;
    type Error = M::Error;

    async fn create(&self) -> Result<Adopted<M>, M::Error> {
        let object = self.manager.create().await?;
        let metrics = Metrics { created: Instant::now().into_std(), ..Metrics::default() };
        Ok(Adopted { object: Some(object), metrics, manager: Arc::clone(&self.manager) })
    }

    async fn check(&self, adopted: &mut Adopted<M>) -> Result<(), BoxError> {
        let Adopted { object, metrics, .. } = adopted;
        self.manager.recycle(object.as_mut().expect(ADOPTED), metrics).await?;
        metrics.recycle_count += 1;
        metrics.recycled = Some(Instant::now().into_std());
        Ok(())
    }
}

/// An object of a deadpool manager. It dereferences to the object.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use deadpool::managed::{Manager, Metrics, RecycleResult};
/// # use std::convert::Infallible;
/// # struct Numbers;
/// # impl Manager for Numbers {
/// #     type Type = u32;
/// #     type Error = Infallible;
/// #     async fn create(&self) -> Result<u32, Infallible> { Ok(7) }
/// #     async fn recycle(&self, _: &mut u32, _: &Metrics) -> RecycleResult<Infallible> { Ok(()) }
/// # }
/// use evenkeel_pool::{Adopted, Deadpool, Lease, Pool};
///
/// let pool = Pool::builder(Deadpool::new(Numbers)).build()?;
/// drop(pool.get().await?);
/// let lease = pool.get().await?;
/// assert_eq!(Adopted::metrics(&lease).recycle_count, 1);
///
/// let ours: u32 = Adopted::into_inner(Lease::detach(lease));
/// assert_eq!(ours, 7);
/// # Ok(())
/// # }
/// ```
pub struct Adopted<M: managed::Manager> {
    // None once it was taken out.
    object: Option<M::Type>,
    metrics: Metrics,
    manager: Arc<M>,
}

const ADOPTED: &str = "it has its object until it is dropped";

impl<M: managed::Manager> Adopted<M> {
    /// Returns when the object was created and recycled, by tokio's clock.
    pub fn metrics(adopted: &Self) -> &Metrics {
        &adopted.metrics
    }

    /// Unwraps an object that was [detached](crate::Lease::detach) from its pool.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it has its object until it is dropped")]
    pub fn into_inner(mut adopted: Self) -> M::Type {
        adopted.release().expect(ADOPTED)
    }

    fn release(&mut self) -> Option<M::Type> {
        let mut object = self.object.take()?;
        self.manager.detach(&mut object);
        Some(object)
    }
}

impl<M: managed::Manager> Drop for Adopted<M> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<M: managed::Manager> Deref for Adopted<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        self.object.as_ref().expect(ADOPTED)
    }
}

impl<M: managed::Manager> DerefMut for Adopted<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        self.object.as_mut().expect(ADOPTED)
    }
}

impl<M: managed::Manager<Type: fmt::Debug>> fmt::Debug for Adopted<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adopted").field(&**self).finish()
    }
}
