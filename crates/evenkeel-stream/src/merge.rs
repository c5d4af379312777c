//! Several streams as one, each with its fair share.

mod ready;

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker, ready},
};

use evenkeel_base::{Slab, lock};
use futures_core::Stream;
use tokio::task::coop::poll_proceed;

use ready::{InputWaker, ReadyList};

/// Returns the items of several streams as they come, each stream with its fair share.
///
/// Streams of several types are boxed: `Pin<Box<dyn Stream<Item = T> + Send>>`. More can be added while it runs, by
/// [`Merge::add`] and [`Merge::handle`]. See [`Merge`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_stream::{generate, merge};
/// use futures::StreamExt as _;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// let every = |millis| {
///     generate(move |y| async move {
///         for _ in 0..3 {
///             sleep(Duration::from_millis(millis)).await;
///             y.yield_(millis).await;
///         }
///     })
/// };
/// let ticks: Vec<_> = merge([every(20), every(50)]).collect().await;
/// assert_eq!(ticks, [20, 20, 50, 20, 50, 50]);
/// # }
/// ```
pub fn merge<S: Stream>(streams: impl IntoIterator<Item = S>) -> Merge<S> {
    let mut merge = Merge {
        inputs: Slab::new(),
        live: 0,
        turns: VecDeque::new(),
        ready: Arc::default(),
        added: Arc::new(Mutex::new(Added { streams: Vec::new(), handles: 0, is_closed: false })),
        has_ended: false,
    };
    streams.into_iter().for_each(|stream| merge.add(stream));
    merge
}

/// The stream of [`merge`].
///
/// - **Fair**: streams that are always ready take turns, one item each, however many there are. A chain of merges of two
///   gives the last one an exponentially small share.
/// - **Cheap**: only streams that were woken are polled, each at most once in a call; so a call is bounded, and ten
///   thousand silent streams cost nothing.
/// - **It ends when every stream has ended, and no [`MergeHandle`] is left.** A stream is dropped at its own end. The order of
///   the items of one stream is kept. After its end it returns `None` for ever.
/// - A panic of a stream resumes at the consumer; that stream is dropped, and the others go on.
/// - `Unpin`, and `Send` if the streams are.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing. Dropping the merge drops its streams.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::merge;
/// use futures::{StreamExt as _, stream::repeat};
///
/// let letters: String = merge(['a', 'b', 'c'].map(repeat)).take(7).collect().await;
/// assert_eq!(letters, "abcabca");
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Merge<S> {
    // None while it is polled, and for ever if that panics.
    inputs: Slab<Option<Input<S>>>,
    live: usize,
    // The inputs to poll, in their order.
    turns: VecDeque<usize>,
    ready: Arc<ReadyList>,
    added: Arc<Mutex<Added<S>>>,
    has_ended: bool,
}

struct Input<S> {
    stream: Pin<Box<S>>,
    listing: Arc<InputWaker>,
    waker: Waker,
}

struct Added<S> {
    streams: Vec<S>,
    handles: usize,
    is_closed: bool,
}

impl<S: Stream> Merge<S> {
    /// Adds a stream; its turn comes after those that are ready.
    ///
    /// A merge that has ended drops it.
    pub fn add(&mut self, stream: S) {
        if self.has_ended {
            return;
        }
        let stream = Box::pin(stream);
        let key = self.inputs.insert(None);
        let listing = InputWaker::listed(self.ready.clone(), key);
        let waker = listing.clone().into();
        if let Some(input) = self.inputs.get_mut(key) {
            *input = Some(Input { stream, listing, waker });
        }
        self.live += 1;
        self.turns.push_back(key);
    }

    /// Returns a handle that adds streams from elsewhere; the merge does not end while there is one.
    #[must_use = "the merge does not end while there is a handle"]
    pub fn handle(&self) -> MergeHandle<S> {
        lock(&self.added).handles += 1;
        MergeHandle { added: self.added.clone(), ready: self.ready.clone() }
    }

    /// Returns the number of streams that have not ended.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.live + lock(&self.added).streams.len()
    }

    /// Polls the inputs whose turn it is, each at most once.
    fn poll_inputs(&mut self) -> Option<S::Item> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            let Some(mut input) = self.inputs.get_mut(key).and_then(Option::take) else {
                // An input that has ended, and was woken before.
                self.inputs.remove(key);
                continue;
            };
            input.listing.unlist();
            self.live -= 1;
            let polled = input.stream.as_mut().poll_next(&mut Context::from_waker(&input.waker));
            if let Poll::Ready(None) = polled {
                // Listed for ever, so that a waker that is kept gives no turn to the next input of this key. If it stands in a
                // list already, it keeps its key until then.
                if input.listing.list() {
                    self.inputs.remove(key);
                }
                continue;
            }
            if polled.is_ready() && input.listing.list() {
                self.turns.push_back(key);
            }
            if let Some(place) = self.inputs.get_mut(key) {
                *place = Some(input);
                self.live += 1;
            }
            if let Poll::Ready(item) = polled {
                return item;
            }
        }
        None
    }

    /// Ends the merge, if no stream is left and none can come.
    fn ends(&mut self) -> bool {
        let mut added = lock(&self.added);
        if self.live == 0 && added.handles == 0 && added.streams.is_empty() {
            added.is_closed = true;
            self.has_ended = true;
        }
        self.has_ended
    }
}

impl<S: Stream> Stream for Merge<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let coop = ready!(poll_proceed(cx));
        this.ready.take(&mut this.turns, cx.waker());
        let added = mem::take(&mut lock(&this.added).streams);
        added.into_iter().for_each(|stream| this.add(stream));
        let item = this.poll_inputs();
        if item.is_some() || this.ends() {
            coop.made_progress();
            return Poll::Ready(item);
        }
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let can_grow = {
            let added = lock(&self.added);
            added.handles > 0 || !added.streams.is_empty()
        };
        let hints = self.inputs.iter().flatten().map(|input| input.stream.size_hint());
        let (lower, upper) = hints.fold((0_usize, Some(0_usize)), |sum, hint| {
            let upper = sum.1.zip(hint.1).and_then(|(sum, upper)| sum.checked_add(upper));
            (sum.0.saturating_add(hint.0), upper)
        });
        (lower, upper.filter(|_| !can_grow))
    }
}

// The streams are boxed.
impl<S> Unpin for Merge<S> {}

impl<S> Drop for Merge<S> {
    fn drop(&mut self) {
        // Dropped behind the lock.
        let mut left = Vec::new();
        let mut added = lock(&self.added);
        added.is_closed = true;
        mem::swap(&mut added.streams, &mut left);
    }
}

impl<S> fmt::Debug for Merge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("inputs", &self.live).finish_non_exhaustive()
    }
}

/// Adds streams to a [`Merge`] while it runs; it can be cloned.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::merge;
/// use futures::{StreamExt as _, stream};
///
/// let mut numbers = merge([stream::iter([1, 2])]);
/// let handle = numbers.handle();
/// tokio::spawn(async move { handle.add(stream::iter([3, 4])).unwrap() });
/// let mut numbers: Vec<i32> = numbers.collect().await;
/// numbers.sort();
/// assert_eq!(numbers, [1, 2, 3, 4]);
/// # }
/// ```
pub struct MergeHandle<S> {
    added: Arc<Mutex<Added<S>>>,
    ready: Arc<ReadyList>,
}

impl<S> MergeHandle<S> {
    /// Adds a stream; its turn comes after those that are ready.
    ///
    /// # Errors
    ///
    /// The stream, if the merge was dropped.
    pub fn add(&self, stream: S) -> Result<(), S> {
        {
            let mut added = lock(&self.added);
            if added.is_closed {
                return Err(stream);
            }
            added.streams.push(stream);
        }
        self.ready.wake();
        Ok(())
    }
}

impl<S> Clone for MergeHandle<S> {
    fn clone(&self) -> Self {
        lock(&self.added).handles += 1;
        Self { added: self.added.clone(), ready: self.ready.clone() }
    }
}

impl<S> Drop for MergeHandle<S> {
    fn drop(&mut self) {
        let is_last = {
            let mut added = lock(&self.added);
            added.handles -= 1;
            added.handles == 0
        };
        if is_last {
            self.ready.wake();
        }
    }
}

impl<S> fmt::Debug for MergeHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeHandle").finish_non_exhaustive()
    }
}
