//! The outputs that a task may have, and the boxed error.

use std::error::Error;

/// An error that can cross tasks, boxed: every [`Error`] type, `anyhow::Error`, `String` and `&str`
/// convert into it.
///
/// # Examples
///
/// ```
/// use evenkeel_task::BoxError;
///
/// fn port(text: &str) -> Result<u16, BoxError> {
///     let port = text.parse()?;
///     if port == 0 { Err("port 0 is taken") } else { Ok(port) }.map_err(Into::into)
/// }
/// assert_eq!(port("0").unwrap_err().to_string(), "port 0 is taken");
/// ```
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The outputs that a task may have: `()`, a [`Result`] whose error becomes a [`BoxError`], or none because it
/// never ends.
///
/// The value of an `Ok` is for the [handle](crate::Group::spawn_with_handle) of the task, and is dropped without one. The
/// trait is sealed; it is public so that bounds can name it.
///
/// An `async` block that uses `?` has to name its error type, as in any other place where Rust cannot see it:
/// end the block with `Ok::<_, BoxError>(())`.
///
/// # Examples
///
/// ```
/// use evenkeel_task::{BoxError, IntoResult};
///
/// fn failed(output: impl IntoResult) -> bool {
///     output.into_result().is_err()
/// }
/// assert!(!failed(()));
/// assert!(!failed(Ok::<_, BoxError>(7)));
/// assert!(failed("x".parse::<u8>()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a task returns `()` or a `Result` whose error converts into `BoxError`, not `{Self}`",
    label = "the output is `{Self}`",
    note = "a value that is needed is returned in `Ok`, from a task that `spawn_with_handle` spawns: its handle can be awaited",
    note = "a value that is not needed is dropped: `async {{ drop(work.await) }}`"
)]
pub trait IntoResult: sealed::Sealed {
    /// The value of a task that did not fail.
    type Value;

    /// Returns the value, and boxes the error.
    ///
    /// # Errors
    ///
    /// The task's own error.
    fn into_value(self) -> Result<Self::Value, BoxError>;

    /// Drops the value and boxes the error.
    ///
    /// # Errors
    ///
    /// The task's own error.
    fn into_result(self) -> Result<(), BoxError>
    where
        Self: Sized,
    {
        self.into_value().map(drop)
    }
}

impl IntoResult for () {
    type Value = ();

    fn into_value(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<T, E: Into<BoxError>> IntoResult for Result<T, E> {
    type Value = T;

    fn into_value(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

/// A task that never ends, such as a `loop` without a `break`.
impl IntoResult for Never {
    type Value = Self;

    fn into_value(self) -> Result<Self, BoxError> {
        self
    }
}

/// Rust 1.89 cannot write the type `!` in an `impl`, but can name it.
type Never = <fn() -> ! as sealed::Returns>::Output;

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Never {}
    impl<T, E> Sealed for Result<T, E> {}

    pub trait Returns {
        type Output;
    }
    impl<T> Returns for fn() -> T {
        type Output = T;
    }
}
