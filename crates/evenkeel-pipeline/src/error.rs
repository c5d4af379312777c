//! The errors of sources and sinks.

use std::{error::Error, fmt};

use evenkeel_task::BoxError;

/// The failure of a source, and whether it passes.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::SourceError;
///
/// let gone = SourceError::permanent("the consumer was deleted");
/// assert!(!gone.is_transient());
/// assert_eq!(gone.to_string(), "the consumer was deleted");
/// ```
#[derive(Debug)]
pub struct SourceError {
    error: BoxError,
    is_transient: bool,
}

impl SourceError {
    /// Creates an error that passes: the pipeline tells it and tries again, after pauses that grow.
    pub fn transient(error: impl Into<BoxError>) -> Self {
        Self { error: error.into(), is_transient: true }
    }

    /// Creates an error that trying again does not mend: the pipeline finishes the items in hand, and ends with it.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self { error: error.into(), is_transient: false }
    }

    /// Returns whether it passes.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// The failure of a batch: of all its items, or of some.
///
/// Every error converts to one of all items, so that `?` works in a sink. It is no [`Error`] itself, for that reason.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::SinkError;
///
/// let all = SinkError::from(std::fmt::Error);
/// assert!(all.has_failed(0));
/// let some = SinkError::some("a duplicate key", [3, 5]);
/// assert!(some.has_failed(5) && !some.has_failed(4));
/// assert_eq!(some.to_string(), "a duplicate key (2 items of the batch)");
/// ```
#[derive(Debug)]
pub struct SinkError {
    error: BoxError,
    /// In ascending order; `None` stands for all.
    failed: Option<Vec<usize>>,
}

impl SinkError {
    /// Creates the failure of all items of a batch.
    pub fn all(error: impl Into<BoxError>) -> Self {
        Self { error: error.into(), failed: None }
    }

    /// Creates the failure of the items with these indices in the batch; the others are done.
    pub fn some(error: impl Into<BoxError>, indices: impl IntoIterator<Item = usize>) -> Self {
        let mut failed: Vec<usize> = indices.into_iter().collect();
        failed.sort_unstable();
        failed.dedup();
        Self { error: error.into(), failed: Some(failed) }
    }

    /// Returns whether the item with this index has failed.
    #[must_use]
    pub fn has_failed(&self, index: usize) -> bool {
        self.failed.as_ref().is_none_or(|failed| failed.binary_search(&index).is_ok())
    }

    /// Returns whether all items of the batch have failed.
    pub(crate) const fn is_of_all(&self) -> bool {
        self.failed.is_none()
    }

    /// Returns the error, without the indices.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for SinkError {
    fn from(error: E) -> Self {
        Self::all(error)
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match self.failed.as_deref() {
            None => Ok(()),
            Some([_]) => f.write_str(" (1 item of the batch)"),
            Some(failed) => write!(f, " ({} items of the batch)", failed.len()),
        }
    }
}
