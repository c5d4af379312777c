//! A page that was fetched, and the function that fetches it.

use std::{fmt, pin::Pin, vec};

use evenkeel_task::BoxError;

use super::error::PageError;

// Boxed, which costs nothing beside a fetch: the stream has no types in its name that a user cannot write, it need not
// be pinned, and it has no bound like `E: Into<BoxError>`, which fails as "not general enough" within spawned tasks.
pub(super) type Fetch<C, T> = Box<dyn FnMut(C) -> Fetching<C, T> + Send>;
pub(super) type Fetching<C, T> = Pin<Box<dyn Future<Output = Result<(Vec<T>, Option<C>), BoxError>> + Send>>;

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

impl<T> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("items", &self.items.len()).field("error", &self.error).finish()
    }
}
