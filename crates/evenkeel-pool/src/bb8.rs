//! Managers of the crate bb8, unchanged.

use std::error::Error;

use ::bb8::ManageConnection;

use crate::{BoxError, Manager};

/// Drives any [`bb8::ManageConnection`], such as that of bb8-postgres or of bb8-redis.
///
/// `connect` makes an object, `is_valid` is the [check](Manager::check) before each reuse, and `has_broken` is asked
/// [at each return](Manager::is_broken).
///
/// # Why not just use X?
///
/// `bb8::Pool` drives the same managers. There a caller that waits can be overtaken by newcomers, for as long as there are
/// some, and a time-out does not say why.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bb8::ManageConnection;
/// use evenkeel_pool::{Bb8, Pool};
/// use std::convert::Infallible;
///
/// struct Numbers;
///
/// impl ManageConnection for Numbers {
///     type Connection = u32;
///     type Error = Infallible;
///
///     async fn connect(&self) -> Result<u32, Infallible> {
///         Ok(7)
///     }
///
///     async fn is_valid(&self, number: &mut u32) -> Result<(), Infallible> {
///         *number += 1;
///         Ok(())
///     }
///
///     fn has_broken(&self, _: &mut u32) -> bool {
///         false
///     }
/// }
///
/// let pool = Pool::builder(Bb8::new(Numbers)).max(4).build()?;
/// assert_eq!(*pool.get().await?, 7);
/// assert_eq!(*pool.get().await?, 8);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Bb8<M> {
    manager: M,
}

impl<M: ManageConnection> Bb8<M> {
    /// Wraps a manager.
    #[must_use]
    pub fn new(manager: M) -> Self {
        Self { manager }
    }
}

impl<M: ManageConnection<Error: Error + Sync>> Manager for Bb8<M> {
    type Object = M::Connection;
    type Error = M::Error;

    fn create(&self) -> impl Future<Output = Result<M::Connection, M::Error>> + Send {
        self.manager.connect()
    }

    async fn check(&self, connection: &mut M::Connection) -> Result<(), BoxError> {
        Ok(self.manager.is_valid(connection).await?)
    }

    fn is_broken(&self, connection: &mut M::Connection) -> bool {
        self.manager.has_broken(connection)
    }
}
