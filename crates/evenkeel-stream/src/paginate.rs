//! Pages as a stream of their items.

mod cursors;
mod error;
mod offset;
mod page;
mod prefetch;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use evenkeel_task::BoxError;
use futures_core::Stream;
use tokio::task::coop::poll_proceed;

use cursors::CursorHistory;
pub use error::PageError;
pub use offset::{PaginateOffset, paginate_offset};
use page::{Fetch, Fetching, Page};
pub use prefetch::Prefetch;

/// Returns the items of a paginated source, one by one; `fetch` returns the page at a cursor, and the next cursor.
///
/// A cursor is the position that the source takes: an offset, a page number, a token. A page is its items and the next
/// cursor, `None` after the last one. An empty page with a next cursor does not end the stream: sources that filter
/// after they have read send such pages. If the first request has no cursor, use an `Option` as the cursor. To fetch a
/// page again when it fails, retry within `fetch`: it then has the same cursor.
///
/// An error of `fetch` is boxed into a [`PageError`], which says at which page it happened; `downcast` returns it. See
/// [`Paginate`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel_stream::PageError> {
/// use evenkeel_stream::paginate;
/// use futures::TryStreamExt as _;
/// use std::io;
///
/// #[derive(Clone)]
/// struct Client;
///
/// struct Answer {
///     users: Vec<u32>,
///     next_token: Option<String>,
/// }
///
/// impl Client {
///     async fn users(&self, token: Option<String>) -> io::Result<Answer> {
///         Ok(match token.as_deref() {
///             None => Answer { users: vec![1, 2], next_token: Some("two".into()) },
///             Some(_) => Answer { users: vec![3], next_token: None },
///         })
///     }
/// }
///
/// let client = Client;
/// let users = paginate(None, async move |token| -> io::Result<_> {
///     let answer = client.users(token).await?;
///     Ok((answer.users, answer.next_token.map(Some)))
/// });
/// assert_eq!(users.try_collect::<Vec<_>>().await?, [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
pub fn paginate<C, T, E, F, Fut>(first: C, fetch: F) -> Paginate<C, T>
where
    C: Clone + PartialEq + Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: FnOnce(C) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(Vec<T>, Option<C>), E>> + Send + 'static,
{
    let fetch = move |cursor| -> Fetching<C, T> {
        let fetch = fetch.clone();
        Box::pin(async move { fetch(cursor).await.map_err(Into::into) })
    };
    Paginate {
        fetch: Box::new(fetch),
        cursors: CursorHistory::new(first),
        fetching: None,
        page: Page::new(Vec::new(), None),
    }
}

/// The stream of [`paginate`].
///
/// - **Page after page, item after item, in order.** It is lazy: the next page is fetched when the last item of the
///   page before it was taken and another is wanted; see [`prefetch`](Self::prefetch).
/// - **An error at a page comes after all items of the pages before it**, and ends the stream.
/// - **It never runs in circles.** A cursor that leads back to its own page or to the first page ends the stream
///   with [`PageError::Loop`] at once; any other circle is found before three times as many pages were fetched as
///   there are, and until then its items are repeated. It remembers three cursors for any number of pages (Brent's
///   method), so an endless source needs no more memory than a short one.
/// - The fetch runs within the stream, in the task that polls it.
/// - After its end it returns `None` for ever.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing: the page and the fetch stay in the stream, and go on with the
/// next poll. Dropping the stream drops the fetch at its last await point.
///
/// # Why not just use `try_unfold`?
///
/// With `futures::stream::try_unfold` and `try_flatten` you write the end of the pages by hand, in lines that never
/// end when the server repeats a token; there is no prefetch, and the error does not know its page.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel_stream::PageError> {
/// use evenkeel_stream::{PageError, paginate};
/// use futures::TryStreamExt as _;
///
/// let pages = paginate(0, async |offset: usize| -> Result<_, PageError> {
///     let rows: Vec<usize> = (offset..7).take(3).collect();
///     let next = (rows.len() == 3).then_some(offset + 3);
///     Ok((rows, next))
/// });
/// assert_eq!(pages.try_collect::<Vec<_>>().await?, [0, 1, 2, 3, 4, 5, 6]);
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Paginate<C, T> {
    fetch: Fetch<C, T>,
    cursors: CursorHistory<C>,
    fetching: Option<Fetching<C, T>>,
    page: Page<T>,
}

impl<C, T> Paginate<C, T>
where
    C: Clone + PartialEq + Send + 'static,
    T: Send + 'static,
{
    /// Ends the stream at the first page without items, whatever its next cursor is.
    ///
    /// For sources whose cursor never changes, as the scroll of Elasticsearch, whose end is an empty page. The cursors are not
    /// compared then, so a source that never returns an empty page ends with [`max_pages`](Self::max_pages) alone.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), evenkeel_stream::PageError> {
    /// use evenkeel_stream::{PageError, paginate};
    /// use futures::TryStreamExt as _;
    /// use std::sync::{Arc, Mutex};
    ///
    /// // The server remembers the position; the id of the scroll is always the same.
    /// let scroll = Arc::new(Mutex::new((0..7).collect::<Vec<_>>()));
    /// let hits = paginate("the id", async move |id| -> Result<_, PageError> {
    ///     let mut left = scroll.lock().unwrap();
    ///     let hits: Vec<_> = { let n = left.len().min(3); left.drain(..n).collect() };
    ///     Ok((hits, Some(id)))
    /// });
    /// assert_eq!(hits.until_empty().try_collect::<Vec<_>>().await?.len(), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn until_empty(mut self) -> Self {
        assert!(self.cursors.is_fresh(), "the end must be chosen before the stream is polled");
        self.cursors.end.is_empty_page = true;
        self
    }

    /// Ends the stream, without an error, behind a page whose next cursor is the one that was sent.
    ///
    /// For sources that say the end in this way. Every other circle of cursors is still an error.
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    #[track_caller]
    pub fn until_same_cursor(mut self) -> Self {
        assert!(self.cursors.is_fresh(), "the end must be chosen before the stream is polled");
        self.cursors.end.is_same_cursor = true;
        self
    }

    /// Sets the maximum number of pages; if there are more, the stream ends with [`PageError::MaxPages`] behind the items
    /// of the last page that it fetched.
    ///
    /// # Panics
    ///
    /// If `pages` is zero, or if the stream was polled before.
    #[track_caller]
    pub fn max_pages(mut self, pages: u64) -> Self {
        assert!(pages > 0, "the number of pages must not be zero");
        assert!(self.cursors.is_fresh(), "the end must be chosen before the stream is polled");
        self.cursors.end.max_pages = pages;
        self
    }

    /// Fetches up to `pages` pages ahead, in a task.
    ///
    /// # Panics
    ///
    /// If `pages` is zero, or if the stream was polled before.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use evenkeel_stream::paginate;
    /// use futures::StreamExt as _;
    /// use std::{io, time::Duration};
    /// use tokio::time::{Instant, sleep};
    ///
    /// let second = Duration::from_secs(1);
    /// let pages = paginate(1, async move |page| -> io::Result<_> {
    ///     sleep(second).await;
    ///     Ok((vec![page], (page < 10).then_some(page + 1)))
    /// });
    /// let start = Instant::now();
    /// pages.prefetch(1).for_each(|_| sleep(second)).await;
    /// assert_eq!(start.elapsed(), 11 * second); // 20 without
    /// # }
    /// ```
    #[track_caller]
    pub fn prefetch(self, pages: usize) -> Prefetch<T> {
        assert!(self.cursors.is_fresh(), "prefetch must be chosen before the stream is polled");
        Prefetch::new(self.fetch, self.cursors, pages)
    }
}

impl<C: Clone + PartialEq, T> Stream for Paginate<C, T> {
    type Item = Result<T, PageError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.page.next() {
                return Poll::Ready(Some(item));
            }
            let fetching = match &mut this.fetching {
                Some(fetching) => fetching,
                none => {
                    let Some(cursor) = this.cursors.take_next() else { return Poll::Ready(None) };
                    none.insert((this.fetch)(cursor))
                }
            };
            // Empty pages that are there at once would keep the task in this loop.
            let coop = ready!(poll_proceed(cx));
            let fetched = ready!(fetching.as_mut().poll(cx));
            coop.made_progress();
            this.fetching = None;
            this.page = this.cursors.advance(fetched);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = self.page.len();
        let is_last = self.cursors.is_over() && self.fetching.is_none();
        (here, is_last.then_some(here))
    }
}

// Nothing in it is pinned in place.
impl<C, T> Unpin for Paginate<C, T> {}

impl<C, T> fmt::Debug for Paginate<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paginate")
            .field("pages", &self.cursors.pages)
            .field("is_fetching", &self.fetching.is_some())
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}
