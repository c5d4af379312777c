//! An API that returns pages: it follows the script of a rule, and records each fetch.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Item,
    item::Script,
    record::{Event, Record},
    remote::{PageOf, RemoteFetch},
};
use crate::{agenda::sleep, probe_task::ReportedFailure};

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
pub struct Fetch(Inner);

#[derive(Clone)]
enum Inner {
    Scripted { pages: Arc<[Page]>, record: Record },
    Remote(Arc<dyn RemoteFetch>),
}

struct InFlight<'a> {
    page: u32,
    record: &'a Record,
}

impl Fetch {
    pub(crate) fn new(pages: Vec<Page>, record: &Record) -> Self {
        Self(Inner::Scripted { pages: pages.into(), record: record.clone() })
    }

    /// An API in another process.
    pub(crate) fn remote(remote: Arc<dyn RemoteFetch>) -> Self {
        Self(Inner::Remote(remote))
    }

    /// Fetches the page with this cursor: its items, and the cursor of the next page, if there is one.
    ///
    /// # Errors
    /// If that is how the fetch ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the fetch, and is noted.
    pub async fn page(&self, cursor: u32) -> Result<(Vec<Item>, Option<u32>), ReportedFailure> {
        match &self.0 {
            Inner::Scripted { pages, record } => scripted(pages, record, cursor).await,
            Inner::Remote(remote) => remote.page(cursor).await,
        }
    }
}

async fn scripted(pages: &[Page], record: &Record, cursor: u32) -> PageOf {
    record.note(Event::Asked(cursor));
    let _in_flight = InFlight { page: cursor, record };
    let Some(page) = pages.get(cursor as usize - 1) else { return Ok((Vec::new(), None)) };
    if !page.takes.is_zero() {
        sleep(page.takes).await;
    }
    if page.fails {
        return Err(ReportedFailure::error(cursor));
    }
    let give = |script: &Script| {
        record.note(Event::Given(script.number));
        Item::new(script.clone(), record)
    };
    Ok((page.items.iter().map(give).collect(), page.next))
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.record.note(Event::Answered(self.page));
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}
