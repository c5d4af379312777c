//! Pages fetched ahead, by a task.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use evenkeel_task::Panic;
use futures_core::Stream;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, Receiver, Sender},
    },
    task::JoinSet,
};

use super::{
    cursors::CursorHistory,
    error::PageError,
    page::{Fetch, Page},
};

/// The stream of [`Paginate::prefetch`](crate::Paginate::prefetch): as [`Paginate`](crate::Paginate), with pages
/// fetched ahead by a task.
///
/// - **At most `pages` pages are ahead**, fetched or being fetched, of the page whose items the consumer takes.
///   They are fetched one after the other, as each page names the next cursor.
/// - It is lazy: the task starts, on the current runtime, when the stream is first polled.
/// - A panic of the fetch resumes at the consumer, after all items of the pages before. If the runtime on which the
///   fetch runs is shut down, [`PageError::Fetch`] says so in its place.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing. Dropping the stream aborts the fetch; its destructors run when
/// the runtime gets to the task, not before `drop` returns.
///
/// # Panics
///
/// With the panic of the fetch; if first polled outside a tokio runtime.
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
/// let countdown = paginate(3, async |n: u8| Ok::<_, io::Error>((vec![n], n.checked_sub(1))));
/// assert_eq!(countdown.prefetch(2).try_collect::<Vec<_>>().await?, [3, 2, 1, 0]);
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Prefetch<T> {
    // Some until it is spawned.
    fetch: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    task: JoinSet<()>,
    ahead: Receiver<Page<T>>,
    page: Page<T>,
    // The number of pages that were received.
    pages: u64,
}

impl<T: Send + 'static> Prefetch<T> {
    #[track_caller]
    pub(super) fn new<C>(fetch: Fetch<C, T>, cursors: CursorHistory<C>, pages: usize) -> Self
    where
        C: Clone + PartialEq + Send + 'static,
    {
        assert!(pages > 0, "the number of pages ahead must not be zero");
        let (fetched, ahead) = mpsc::channel(pages.min(Semaphore::MAX_PERMITS));
        let fetch = Box::pin(fetch_ahead(fetch, cursors, fetched));
        Self { fetch: Some(fetch), task: JoinSet::new(), ahead, page: Page::new(Vec::new(), None), pages: 0 }
    }
}

async fn fetch_ahead<C: Clone + PartialEq, T>(
    mut fetch: Fetch<C, T>,
    mut cursors: CursorHistory<C>,
    fetched: Sender<Page<T>>,
) {
    // The room is reserved before the fetch begins, so that a page being fetched counts.
    while let Some(cursor) = cursors.take_next() {
        let Ok(room) = fetched.reserve().await else { return };
        let page = fetch(cursor).await;
        room.send(cursors.advance(page));
    }
}

impl<T> Stream for Prefetch<T> {
    type Item = Result<T, PageError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(fetch) = this.fetch.take() {
            #[cfg(feature = "tracing")]
            let fetch = tracing::Instrument::in_current_span(fetch);
            this.task.spawn(fetch);
        }
        loop {
            if let Some(item) = this.page.next() {
                return Poll::Ready(Some(item));
            }
            if let Some(page) = ready!(this.ahead.poll_recv(cx)) {
                this.page = page;
                this.pages += 1;
                continue;
            }
            return match ready!(this.task.poll_join_next(cx)).transpose() {
                Ok(_) => Poll::Ready(None),
                Err(error) => match Panic::try_from(error) {
                    Ok(panic) => panic.resume(),
                    Err(_) => {
                        let source = "the runtime of the fetch was shut down".into();
                        Poll::Ready(Some(Err(PageError::Fetch { page: this.pages + 1, source })))
                    }
                },
            };
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.page.len(), None)
    }
}

// Nothing in it is pinned in place.
impl<T> Unpin for Prefetch<T> {}

impl<T> fmt::Debug for Prefetch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch")
            .field("ahead", &self.ahead.len())
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}
