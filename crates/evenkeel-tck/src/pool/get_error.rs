//! The error of a get.

use std::fmt;

/// Why a caller got no object.
///
/// # Examples
/// ```
/// use evenkeel_tck::pool::GetError;
///
/// let error = GetError::Timeout(Some("the backend is down".to_owned()));
/// assert_eq!(error.to_string(), "no object in time: the backend is down");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// There was no object in time; with the text of the last failure, if it is told.
    Timeout(Option<String>),
    /// The creation took too long.
    CreateTimeout,
    /// The creation failed; the text of its error.
    Create(String),
    /// The creation or the check panicked.
    Panic(String),
    /// The pool is closed.
    Closed,
    /// All objects are held by tasks that wait for one.
    Deadlock,
}

impl GetError {
    /// The cause of which it tells.
    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Self::Timeout(cause) => cause.as_deref(),
            Self::Create(cause) | Self::Panic(cause) => Some(cause),
            Self::CreateTimeout | Self::Closed | Self::Deadlock => None,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "no object in time",
            Self::CreateTimeout => "the creation took too long",
            Self::Create(_) => "the creation failed",
            Self::Panic(_) => "a panic",
            Self::Closed => "the pool is closed",
            Self::Deadlock => "a deadlock",
        })?;
        self.cause().map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}
