//! An object in use.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use evenkeel_task::catch_panic;

use crate::seat::Seated;
use crate::{GetError, Manager, Panic};

/// An object of a [`Pool`](crate::Pool), for as long as this is held.
///
/// It dereferences to the object. Dropping it, also while unwinding or when a task is aborted, gives the object back,
/// or drops it if [`is_broken`](Manager::is_broken) says so; room is made only after the destructor of the object has
/// run. It is `'static` and outlives the pool: what is given back to a pool that was closed or dropped is dropped.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::{Manager, Pool};
/// # struct Buffers;
/// # impl Manager for Buffers {
/// #     type Object = Vec<u8>;
/// #     type Error = std::convert::Infallible;
/// #     async fn create(&self) -> Result<Vec<u8>, Self::Error> { Ok(Vec::new()) }
/// # }
/// let pool = Pool::builder(Buffers).build()?;
/// let mut lease = pool.get().await?;
/// lease.push(1);
/// drop(lease);
/// assert_eq!(*pool.get().await?, [1], "the same buffer again");
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a lease gives the object back"]
pub struct Lease<M: Manager> {
    // None once the object was taken out.
    seated: Option<Seated<M>>,
}

const HELD: &str = "a lease has its object until it is dropped";

impl<M: Manager> Lease<M> {
    pub(crate) fn new(seated: Seated<M>) -> Self {
        Self { seated: Some(seated) }
    }

    /// Takes the object out of the pool for good, which makes room for another one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Manager, Pool};
    /// # struct Buffers;
    /// # impl Manager for Buffers {
    /// #     type Object = Vec<u8>;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<Vec<u8>, Self::Error> { Ok(Vec::new()) }
    /// # }
    /// use evenkeel_pool::Lease;
    ///
    /// let pool = Pool::builder(Buffers).max(1).build()?;
    /// let ours: Vec<u8> = Lease::detach(pool.get().await?);
    /// let another = pool.get().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn detach(mut lease: Self) -> M::Object {
        lease.take().detach()
    }

    /// Drops the object instead of giving it back, as if it were [broken](Manager::is_broken).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use evenkeel_pool::{Manager, Pool};
    /// # struct Buffers;
    /// # impl Manager for Buffers {
    /// #     type Object = Vec<u8>;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<Vec<u8>, Self::Error> { Ok(Vec::new()) }
    /// # }
    /// use evenkeel_pool::Lease;
    ///
    /// let pool = Pool::builder(Buffers).build()?;
    /// Lease::discard(pool.get().await?);
    /// assert_eq!((pool.snapshot().size, pool.snapshot().discarded), (0, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(mut lease: Self) {
        drop(lease.take());
    }

    fn take(&mut self) -> Seated<M> {
        self.seated.take().expect(HELD)
    }
}

impl<M: Manager> Drop for Lease<M> {
    fn drop(&mut self) {
        let Some(mut seated) = self.seated.take() else { return };
        match is_broken(&mut seated) {
            Ok(false) => seated.put_back(),
            Ok(true) => drop(seated),
            Err(panic) => {
                let Seated { object, seat } = seated;
                drop(object);
                seat.fail(GetError::Panic(panic));
            }
        }
    }
}

fn is_broken<M: Manager>(seated: &mut Seated<M>) -> Result<bool, Panic> {
    let Seated { object, seat } = seated;
    let work = pin!(catch_panic(async { seat.shared().manager.is_broken(object) }));
    match work.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("nothing is awaited"),
    }
}

impl<M: Manager> Deref for Lease<M> {
    type Target = M::Object;

    fn deref(&self) -> &M::Object {
        &self.seated.as_ref().expect(HELD).object
    }
}

impl<M: Manager> DerefMut for Lease<M> {
    fn deref_mut(&mut self) -> &mut M::Object {
        &mut self.seated.as_mut().expect(HELD).object
    }
}

impl<M: Manager<Object: fmt::Debug>> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
