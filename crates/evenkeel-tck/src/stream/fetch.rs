//! An API that returns pages: it follows the script of a rule, and records each fetch.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    Item,
    item::Script,
    record::{Event, Record},
};
use crate::probe_task::ReportedFailure;

/// The script of a page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Script>,
    /// The cursor of the next page.
    pub(crate) next: Option<u32>,
    pub(crate) takes: Duration,
    pub(crate) fails: bool,
}

/// An API that returns pages; the first one has the cursor 1.
///
/// # Examples
/// One page after the other:
/// ```
/// use evenkeel_tck::stream::{Fetch, Item, ReportedFailure};
///
/// async fn all(fetch: Fetch) -> Result<Vec<Item>, ReportedFailure> {
///     let (mut all, mut next) = (Vec::new(), Some(1));
///     while let Some(cursor) = next {
///         let (items, after) = fetch.page(cursor).await?;
///         all.extend(items);
///         next = after;
///     }
///     Ok(all)
/// }
/// # let _ = all;
/// ```
#[derive(Clone)]
pub struct Fetch {
    pages: Arc<[Page]>,
    record: Record,
}

struct InFlight<'a> {
    page: u32,
    record: &'a Record,
}

impl Fetch {
    pub(crate) fn new(pages: Vec<Page>, record: &Record) -> Self {
        Self { pages: pages.into(), record: record.clone() }
    }

    /// Fetches the page with this cursor: its items, and the cursor of the next page, if there is one.
    ///
    /// # Errors
    /// If that is how the fetch ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the fetch, and is noted.
    pub async fn page(&self, cursor: u32) -> Result<(Vec<Item>, Option<u32>), ReportedFailure> {
        self.record.note(Event::Asked(cursor));
        let _in_flight = InFlight { page: cursor, record: &self.record };
        let Some(page) = self.pages.get(cursor as usize - 1) else { return Ok((Vec::new(), None)) };
        if !page.takes.is_zero() {
            sleep(page.takes).await;
        }
        if page.fails {
            return Err(ReportedFailure::error(cursor));
        }
        let give = |script: &Script| {
            self.record.note(Event::Given(script.number));
            Item::new(script.clone(), &self.record)
        };
        Ok((page.items.iter().map(give).collect(), page.next))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.record.note(Event::Answered(self.page));
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
