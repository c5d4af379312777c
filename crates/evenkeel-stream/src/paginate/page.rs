//! A page that was fetched.

use std::{fmt, vec};

use super::PageError;

/// The rest of a page: its items, and the error that comes after them.
pub(super) struct Page<T> {
    items: vec::IntoIter<T>,
    error: Option<PageError>,
}

impl<T> Page<T> {
    pub(super) fn new(items: Vec<T>, error: Option<PageError>) -> Self {
        Self { items: items.into_iter(), error }
    }

    pub(super) fn next(&mut self) -> Option<Result<T, PageError>> {
        self.items.next().map(Ok).or_else(|| self.error.take().map(Err))
    }

    pub(super) fn len(&self) -> usize {
        self.items.len().saturating_add(usize::from(self.error.is_some()))
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::new(Vec::new(), None)
    }
}

impl<T> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("items", &self.items.len()).field("error", &self.error).finish()
    }
}
