//! The cursors of a paginated source, and whether they run in a circle.

use evenkeel_task::BoxError;

use super::{error::PageError, page::Page};

/// The next cursor, and the three earlier ones with which it is compared.
///
/// Brent's cycle detection (R. P. Brent, "An improved Monte Carlo factorization algorithm", BIT 20, 1980): the new
/// cursor is compared with the one at the last position that is a power of two less one. For `m` pages before a circle
/// of `l` that is the smallest such position `p >= m` with `p + 1 >= l`, and `p + l < 3 * (m + l)` pages are fetched. The
/// comparisons with the first and with the latest cursor find the two usual mistakes of servers at once.
pub(super) struct CursorHistory<C> {
    next: Option<C>,
    first: C,
    latest: C,
    mark: C,
    pub(super) end: End,
    /// The number of pages that were fetched.
    pub(super) pages: u64,
}

/// The end of the pages, beside a page without a next cursor.
pub(super) struct End {
    pub(super) is_empty_page: bool,
    pub(super) is_same_cursor: bool,
    pub(super) max_pages: u64,
}

impl<C> CursorHistory<C> {
    /// Returns whether no page was fetched yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.pages == 0 && self.next.is_some()
    }

    /// Returns whether no page is left to fetch.
    pub(super) fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

impl<C: Clone + PartialEq> CursorHistory<C> {
    pub(super) fn new(first: C) -> Self {
        let end = End { is_empty_page: false, is_same_cursor: false, max_pages: u64::MAX };
        Self {
            next: Some(first.clone()),
            first: first.clone(),
            latest: first.clone(),
            mark: first,
            end,
            pages: 0,
        }
    }

    /// Takes the cursor of the next page.
    pub(super) fn take_next(&mut self) -> Option<C> {
        let cursor = self.next.take()?;
        self.latest = cursor.clone();
        Some(cursor)
    }

    /// Takes a result of the fetch, and advances to the next cursor unless it leads back; returns the page.
    pub(super) fn advance<T>(&mut self, fetched: Result<(Vec<T>, Option<C>), BoxError>) -> Page<T> {
        self.pages += 1;
        let page = self.pages;
        let (items, next) = match fetched {
            Ok(fetched) => fetched,
            Err(source) => return Page::new(Vec::new(), Some(PageError::Fetch { page, source })),
        };
        let Some(next) = next else { return Page::new(items, None) };
        if self.end.is_empty_page && items.is_empty() || self.end.is_same_cursor && next == self.latest {
            return Page::new(items, None);
        }
        // Where the end is an empty page, the cursors may be the same.
        if !self.end.is_empty_page && [&self.first, &self.latest, &self.mark].contains(&&next) {
            return Page::new(items, Some(PageError::Loop { page }));
        }
        if page >= self.end.max_pages {
            return Page::new(items, Some(PageError::MaxPages { page }));
        }
        if (page + 1).is_power_of_two() {
            self.mark = next.clone();
        }
        self.next = Some(next);
        Page::new(items, None)
    }
}
