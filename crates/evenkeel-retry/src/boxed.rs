//! Errors of any type in a box that is an [`Error`] itself.

use std::{convert::Infallible, error::Error, fmt, ops::Deref};

use crate::{HedgeError, RetryError};

/// The error of an attempt, of any type, as [`RetryError::boxed`] and [`HedgeError::boxed`] return it.
///
/// Unlike `Box<dyn Error>` it is an [`Error`] itself, with the text and the source of the boxed error.
///
/// # Examples
/// ```
/// use evenkeel_retry::{BoxedError, Policy, RetryError};
/// use std::{error::Error, io, time::Duration};
///
/// async fn parse(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(text.parse()?)
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::from_millis(10));
/// let gave_up = policy.run(|| parse("x")).await.map_err(RetryError::boxed).unwrap_err();
/// let last: BoxedError = gave_up.last.unwrap();
/// assert!(last.is::<std::num::ParseIntError>());
/// # }
/// ```
pub struct BoxedError(Box<dyn Error + Send + Sync>);

impl fmt::Debug for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for BoxedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Deref for BoxedError {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> RetryError<E> {
    /// Boxes the last error, so that `?` accepts it: an error of anyhow, a `Box<dyn Error>` and a string are no [`Error`]
    /// themselves, and so neither is a `RetryError` that holds one.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Policy, RetryError};
    /// # use std::{error::Error, time::Duration};
    /// # async fn fetch() -> Result<u32, Box<dyn Error + Send + Sync>> { Ok(42) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    /// # let policy = Policy::fixed(Duration::from_millis(10));
    /// let answer = policy.run(fetch).await.map_err(RetryError::boxed)?;
    /// # assert_eq!(answer, 42);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn boxed(self) -> RetryError<BoxedError> {
        let Self { reason, last, attempts, elapsed, total } = self;
        RetryError { reason, last: last.map(|error| BoxedError(error.into())), attempts, elapsed, total }
    }
}

impl<E: From<RetryError<Infallible>>> RetryError<E> {
    /// Returns the last error alone; without one, as the last attempt timed out, this error in its place.
    ///
    /// It is for errors that any [`Error`] converts into, such as those of anyhow and `Box<dyn Error>`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Policy, RetryError};
    /// # use std::{error::Error, time::Duration};
    /// # async fn parse(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> { Ok(text.parse()?) }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_millis(10));
    /// let error = policy.run(|| parse("x")).await.map_err(RetryError::into_last).unwrap_err();
    /// assert!(error.is::<std::num::ParseIntError>());
    /// # }
    /// ```
    #[must_use]
    pub fn into_last(self) -> E {
        let Self { reason, last, attempts, elapsed, total } = self;
        last.unwrap_or_else(|| RetryError { reason, last: None, attempts, elapsed, total }.into())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> HedgeError<E> {
    /// Boxes both errors, so that `?` accepts it: see [`RetryError::boxed`].
    #[must_use]
    pub fn boxed(self) -> HedgeError<BoxedError> {
        let boxed = |error: E| BoxedError(error.into());
        HedgeError { first: boxed(self.first), second: self.second.map(boxed) }
    }
}
