//! Pages at known offsets, which can be fetched side by side.

use std::{
    cmp::Ordering,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use evenkeel_task::{BoxError, Panic, catch_panic};
use futures_core::Stream;

use super::{error::PageError, page::Page};
use crate::{ParMap, StreamExt as _};

/// A page, its error, or a panic, which is the consumer's when its page is due.
type Fetched<T> = Result<Result<Vec<T>, BoxError>, Panic>;
/// The maximum number of pages that are fetched at a time.
const MAX_CONCURRENT: usize = 1000;

/// Starts the fetches, this many at a time.
type Start<T> = Box<dyn FnOnce(usize) -> ParMap<Offsets, Fetched<T>> + Send>;

/// Returns the items of a source whose pages are found by an offset; `fetch` returns the items from an offset on.
///
/// Pages have `page_size` items, so the offsets are its multiples; a source that counts pages takes the offset divided by
/// it. The end is the first page without items: a source that fails behind its end, with a status of 404 for example, needs
/// a `fetch` that returns no items then. See [`PaginateOffset`].
///
/// # Panics
///
/// If `page_size` is zero.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::paginate_offset;
/// use futures::TryStreamExt as _;
/// use std::{io, time::Duration};
/// use tokio::time::{Instant, sleep};
///
/// let start = Instant::now();
/// let rows = paginate_offset(100, async |offset: u64| -> io::Result<_> {
///     sleep(Duration::from_millis(200)).await;
///     Ok((offset..(offset + 100).min(950)).collect())
/// });
/// let rows: Vec<u64> = rows.concurrent(11).try_collect().await.unwrap();
/// assert_eq!(rows, (0..950).collect::<Vec<_>>());
/// assert_eq!(start.elapsed(), Duration::from_millis(200));
/// # }
/// ```
#[track_caller]
pub fn paginate_offset<T, E, F, Fut>(page_size: u64, fetch: F) -> PaginateOffset<T>
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: FnOnce(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
{
    assert!(page_size > 0, "the size of a page must not be zero");
    let offsets = Offsets { next: Some(0), page_size };
    let start = move |limit| {
        let fetch = async move |offset| {
            // Called within, so that a panic of `fetch` itself is caught, too.
            catch_panic(async move { fetch(offset).await.map_err(Into::into) }).await
        };
        offsets.par_map(limit, fetch).ordered()
    };
    PaginateOffset {
        start: Some(Box::new(start)),
        concurrent: 1,
        page_size,
        max_pages: u64::MAX,
        fetching: None,
        page: Page::new(Vec::new(), None),
        pages: 0,
        uneven: None,
    }
}

/// The stream of [`paginate_offset`].
///
/// - **Up to n pages are fetched at a time**, each in a task, and at most so many are fetched and not taken; one, unless
///   [`concurrent`](Self::concurrent) says more. Items come in the order of the offsets.
/// - **The end is the first empty page**; fetches behind it are aborted, and their errors and panics do not count. So the page behind
///   the last one is asked for, and with n at a time up to n of them.
/// - **A source that returns less or more than it was asked for is noticed**: a page that has fewer items than `page_size` and
///   is not the last one is [`PageError::Short`], where its missing items would be skipped, and one that has more is
///   [`PageError::Long`], where its last items would come twice.
/// - **An error at a page comes after all items of the pages before it**, and ends the stream. A panic of the fetch resumes at
///   the consumer, also after them.
/// - It is lazy. After its end it returns `None` for ever.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing. Dropping the stream aborts the fetches.
///
/// # Panics
///
/// With the panic of the fetch; if first polled outside a tokio runtime.
#[must_use = "streams do nothing unless polled"]
pub struct PaginateOffset<T> {
    // Some until the first poll.
    start: Option<Start<T>>,
    concurrent: usize,
    page_size: u64,
    max_pages: u64,
    // None before the first poll, and after the end.
    fetching: Option<ParMap<Offsets, Fetched<T>>>,
    page: Page<T>,
    pages: u64,
    // The error of the first page that had too few or too many items, if another page follows.
    uneven: Option<PageError>,
}

impl<T> PaginateOffset<T> {
    /// Sets the number of pages that are fetched at a time; more than 1000 count as 1000, since so many may be asked for
    /// behind the last page.
    ///
    /// # Panics
    ///
    /// If `pages` is zero, or if the stream was polled before.
    #[track_caller]
    pub fn concurrent(self, pages: usize) -> Self {
        assert!(pages > 0, "the number of pages at a time must not be zero");
        assert!(self.start.is_some(), "concurrent must be chosen before the stream is polled");
        Self { concurrent: pages.min(MAX_CONCURRENT), ..self }
    }

    /// Sets the maximum number of pages with items; if there are more, the stream ends with [`PageError::MaxPages`] behind
    /// the items of the last of them.
    ///
    /// # Panics
    ///
    /// If `pages` is zero, or if the stream was polled before.
    #[track_caller]
    pub fn max_pages(self, pages: u64) -> Self {
        assert!(pages > 0, "the number of pages must not be zero");
        assert!(self.start.is_some(), "max_pages must be chosen before the stream is polled");
        Self { max_pages: pages, ..self }
    }

    /// Takes the result of the next fetch; returns the page, or nothing at the end.
    fn advance(&mut self, fetched: Option<Fetched<T>>) -> Option<Page<T>> {
        let fetched = fetched.map(|fetched| {
            fetched.unwrap_or_else(|panic| {
                self.fetching = None;
                panic.resume()
            })
        });
        let error = match fetched {
            None => return None,
            Some(Ok(items)) if items.is_empty() => return None,
            Some(Ok(_)) if self.uneven.is_some() => self.uneven.take(),
            Some(Ok(_)) if self.pages == self.max_pages => Some(PageError::MaxPages { page: self.pages }),
            Some(Err(source)) => Some(PageError::Fetch { page: self.pages + 1, source }),
            Some(Ok(items)) => {
                self.pages += 1;
                let page = self.pages;
                self.uneven = match (items.len() as u64).cmp(&self.page_size) {
                    Ordering::Less => Some(PageError::Short { page }),
                    Ordering::Equal => None,
                    Ordering::Greater => Some(PageError::Long { page }),
                };
                return Some(Page::new(items, None));
            }
        };
        self.fetching = None;
        Some(Page::new(Vec::new(), error))
    }
}

impl<T> Stream for PaginateOffset<T> {
    type Item = Result<T, PageError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(start) = this.start.take() {
            this.fetching = Some(start(this.concurrent));
        }
        loop {
            if let Some(item) = this.page.next() {
                return Poll::Ready(Some(item));
            }
            let Some(fetching) = &mut this.fetching else { return Poll::Ready(None) };
            let fetched = ready!(Pin::new(fetching).poll_next(cx));
            match this.advance(fetched) {
                Some(page) => this.page = page,
                None => this.fetching = None,
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = self.page.len();
        let has_ended = self.start.is_none() && self.fetching.is_none();
        (here, has_ended.then_some(here))
    }
}

// Nothing in it is pinned in place.
impl<T> Unpin for PaginateOffset<T> {}

impl<T> fmt::Debug for PaginateOffset<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaginateOffset")
            .field("pages", &self.pages)
            .field("concurrent", &self.concurrent)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// The multiples of the page size.
struct Offsets {
    next: Option<u64>,
    page_size: u64,
}

impl Stream for Offsets {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u64>> {
        let offset = self.next;
        self.next = offset.and_then(|offset| offset.checked_add(self.page_size));
        Poll::Ready(offset)
    }
}
