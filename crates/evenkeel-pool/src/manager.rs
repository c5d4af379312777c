//! The trait that makes, checks and judges the objects of a pool.

use std::{error::Error, future::ready};

use crate::BoxError;

/// Makes the objects of a [`Pool`](crate::Pool), and says which of them are still good.
///
/// Only [`create`](Self::create) has to be written; where it is all there is, [`Pool::from_fn`](crate::Pool::from_fn) takes a
/// function instead. The pool calls these methods without holding a lock; a panic in
/// one of them costs the object at hand and nothing else.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evenkeel_pool::{BoxError, Manager, Pool};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
///
/// struct Echo;
///
/// impl Manager for Echo {
///     type Object = DuplexStream;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> std::io::Result<DuplexStream> {
///         let (ours, mut theirs) = duplex(64);
///         tokio::spawn(async move {
///             while let Ok(byte) = theirs.read_u8().await {
///                 theirs.write_u8(byte).await?;
///             }
///             std::io::Result::Ok(())
///         });
///         Ok(ours)
///     }
///
///     async fn check(&self, stream: &mut DuplexStream) -> Result<(), BoxError> {
///         stream.write_u8(1).await?;
///         if stream.read_u8().await? == 1 { Ok(()) } else { Err("out of step".into()) }
///     }
/// }
///
/// let pool = Pool::builder(Echo).build()?;
/// pool.get().await?.write_u8(7).await?; // leaves an answer unread
/// pool.get().await?; // so it fails its check, and another one is made
/// assert_eq!((pool.snapshot().created, pool.snapshot().discarded), (2, 1));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no manager of a pool",
    label = "no `Manager`",
    note = "a function or a closure that creates an object is enough for `Pool::from_fn`, as `Pool::from_fn(|| connect())`",
    note = "the parameter of `Pool` is its manager, and not its object: a pool of `from_fn` is a `Pool<FromFn<Object>>`"
)]
pub trait Manager: Send + Sync + 'static {
    /// An object of the pool.
    type Object: Send + 'static;

    /// The error of a creation; [`CreateError`](crate::CreateError) holds one of anyhow, or any other that is no [`Error`].
    type Error: Error + Send + Sync + 'static; // of anyhow, or a box: `CreateError`

    /// Makes an object.
    ///
    /// It runs in a task of the pool, so it ends even if the caller that needed the object has given up. It is
    /// dropped at [`create_timeout`](crate::Builder::create_timeout), and when the pool is closed or dropped.
    ///
    /// # Errors
    ///
    /// An error reaches the caller that has waited longest, as [`GetError::Create`](crate::GetError::Create), or
    /// [all waiters](Self::copy_error). An error that is [transient](Self::is_transient) reaches no caller before its
    /// time is up.
    fn create(&self) -> impl Future<Output = Result<Self::Object, Self::Error>> + Send;

    /// Makes sure that a returned object may be lent again: the place to ping it, and to reset its state.
    ///
    /// It runs before every reuse, never on a new object. A caller that gives up does not interrupt it; it is dropped,
    /// together with the object, at [`check_timeout`](crate::Builder::check_timeout), and when the pool is closed or
    /// dropped. The caller polls it once; a check that is pending then goes on in a task of the pool.
    ///
    /// # Errors
    ///
    /// The object is dropped, and the caller gets another one; the text of the error is in the next
    /// [`Timeout::last_failure`](crate::Timeout::last_failure).
    fn check(&self, _object: &mut Self::Object) -> impl Future<Output = Result<(), BoxError>> + Send {
        ready(Ok(()))
    }

    /// Cleans an object that was returned, for its next user.
    ///
    /// It begins when the [`Lease`](crate::Lease) is dropped, in the task that drops it: it must not block. If it is pending
    /// it goes on in a task of the pool, and the object is lent again only when it has ended; it still has to pass its
    /// [check](Self::check) then. It is dropped, together with the object, at [`check_timeout`](crate::Builder::check_timeout),
    /// when the pool is closed or dropped, and if it is pending where there is no tokio runtime.
    ///
    /// # Errors
    ///
    /// The object is dropped, as one that failed its check.
    fn reset(&self, _object: &mut Self::Object) -> impl Future<Output = Result<(), BoxError>> + Send {
        ready(Ok(()))
    }

    /// Returns whether a creation that failed with this error is worth another attempt.
    ///
    /// If it is, no wait ends by it: the pool creates again, after a [backoff](crate::Pool#backoff), as long as a caller
    /// waits, and a caller that runs out of time has the newest of these errors as the
    /// [`cause`](crate::Timeout::cause). By default no error is transient.
    fn is_transient(&self, _error: &Self::Error) -> bool {
        false
    }

    /// Copies an error that is not transient, if every caller would meet it, as with a wrong password.
    ///
    /// While there is no object that could still come back, each waiter then gets a copy at once. By default, and if this
    /// returns none, the error reaches one caller, and the others get their own attempts.
    fn copy_error(&self, _error: &Self::Error) -> Option<Self::Error> {
        None
    }

    /// Returns whether a returned object is beyond use, so that it is dropped at once.
    ///
    /// It runs whenever a [`Lease`](crate::Lease) is dropped, in the task that drops it: it must not block.
    /// `std::thread::panicking()` is true in it if that task panicked with the lease. If it panics itself, the object
    /// counts as broken, and the panic goes to the caller that has waited longest, if there is one.
    fn is_broken(&self, _object: &mut Self::Object) -> bool {
        false
    }
}
