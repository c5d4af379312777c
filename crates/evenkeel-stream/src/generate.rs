//! Streams written as async code that yields.

mod shared;
mod yielder;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use futures_core::Stream;
use tokio::task::coop::poll_proceed;

use shared::Shared;
pub use yielder::{Yield, Yielder};

/// Returns a stream of the items that an async function yields.
///
/// The function gets a [`Yielder`], and runs within the stream, in the task that polls it: it begins with the first poll,
/// goes on behind a yield when the next item is wanted, and is dropped with the stream. See [`Generate`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::generate;
/// use futures::StreamExt as _;
///
/// let fibonacci = generate(|y| async move {
///     let (mut a, mut b) = (0_u64, 1);
///     loop {
///         y.yield_(a).await;
///         (a, b) = (b, a + b);
///     }
/// });
/// assert_eq!(fibonacci.take(8).collect::<Vec<_>>().await, [0, 1, 1, 2, 3, 5, 8, 13]);
/// # }
/// ```
pub fn generate<T, F, Fut>(f: F) -> Generate<T>
where
    T: Send + 'static,
    F: FnOnce(Yielder<T>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Generate { generator: Generator::new(f) }
}

/// Returns a stream of the items that an async function yields, and of the error with which it ends.
///
/// As [`generate`], for a function that can use `?`. The error is the last item.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::try_generate;
/// use futures::StreamExt as _;
/// use std::num::ParseIntError;
///
/// let numbers = try_generate(async |y| -> Result<(), ParseIntError> {
///     for word in ["1", "2", "x", "4"] {
///         y.yield_(word.parse::<u8>()?).await;
///     }
///     Ok(())
/// });
/// let numbers: Vec<_> = numbers.collect().await;
/// assert_eq!(numbers[..2], [Ok(1), Ok(2)]);
/// assert!(numbers[2].is_err() && numbers.len() == 3);
/// # }
/// ```
pub fn try_generate<T, E, F, Fut>(f: F) -> TryGenerate<T, E>
where
    T: Send + 'static,
    E: 'static,
    F: FnOnce(Yielder<T>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
{
    TryGenerate { generator: Generator::new(f) }
}

/// The stream of [`generate`].
///
/// - **Lazy**: nothing runs before the first poll, and nothing ahead of the consumer. A yield returns when its item was
///   taken and the next one is wanted, so at most one item is waiting.
/// - **Safe**: no macro, and no hidden state of the thread. A yield may be joined with others, dropped half way, moved to
///   another function, or made in another task.
/// - **It ends with its function**; yields in other tasks return `false` then. After its end it returns `None` for ever.
///   A panic of the function resumes at the consumer, and ends the stream.
/// - `Unpin` and `Send`.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing: the function goes on with the next poll. Dropping the stream drops
/// the function at its last await point.
///
/// # Why not just use `async-stream` or `unfold`?
///
/// `async_stream::stream!` is a macro, in which formatting and completion stop, and which had holes in its soundness
/// when a yield left its block. `futures::stream::unfold` wants the loop turned inside out, with its state as a value.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{Generate, generate};
/// use futures::StreamExt as _;
///
/// fn countdown(from: u32) -> Generate<u32> {
///     generate(move |y| async move {
///         for n in (0..=from).rev() {
///             y.yield_(n).await;
///         }
///     })
/// }
/// assert_eq!(countdown(3).collect::<Vec<_>>().await, [3, 2, 1, 0]);
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Generate<T> {
    generator: Generator<T, ()>,
}

/// The stream of [`try_generate`]: as [`Generate`], with the error of the function as the last item.
///
/// # Cancel safety
///
/// Dropping the future of one `next()` loses nothing. Dropping the stream drops the function at its last await point.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_stream::{TryGenerate, try_generate};
/// use futures::TryStreamExt as _;
/// use std::io;
///
/// fn lines() -> TryGenerate<String, io::Error> {
///     try_generate(|y| async move {
///         y.yield_("first".into()).await;
///         Err(io::Error::other("the disk is gone"))
///     })
/// }
/// let mut lines = lines();
/// assert_eq!(lines.try_next().await.unwrap().unwrap(), "first");
/// assert!(lines.try_next().await.is_err());
/// assert!(lines.try_next().await.unwrap().is_none());
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct TryGenerate<T, E> {
    generator: Generator<T, Result<(), E>>,
}

/// The function of a generator, and what it shares with its yielder.
struct Generator<T, R> {
    // None after its end.
    function: Option<Pin<Box<dyn Future<Output = R> + Send>>>,
    shared: Arc<Shared<T>>,
    waker: Waker,
}

enum Step<T, R> {
    Yielded(T),
    Ended(R),
    /// It had ended before.
    Over,
}

impl<T, R> Generator<T, R> {
    fn new<F, Fut>(f: F) -> Self
    where
        T: Send + 'static,
        R: 'static,
        F: FnOnce(Yielder<T>) -> Fut + Send + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let shared = Arc::new(Shared::new());
        let yielder = Yielder::new(shared.clone());
        let function = Box::pin(async move { f(yielder).await });
        Self { function: Some(function), waker: shared.clone().into(), shared }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step<T, R>> {
        if self.function.is_none() {
            return Poll::Ready(Step::Over);
        }
        let coop = ready!(poll_proceed(cx));
        self.shared.begin_poll(cx.waker());
        // Closed when it is dropped: at the end of the function, and by a panic of it.
        let mut running = Running { function: self.function.take(), shared: Some(&self.shared) };
        if let Some(function) = &mut running.function
            && let Poll::Ready(result) = function.as_mut().poll(&mut Context::from_waker(&self.waker))
        {
            coop.made_progress();
            return Poll::Ready(Step::Ended(result));
        }
        running.shared = None;
        self.function = running.function.take();
        drop(running);
        let Some(item) = self.shared.end_poll(&self.waker) else { return Poll::Pending };
        coop.made_progress();
        Poll::Ready(Step::Yielded(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.function.is_none().then_some(0))
    }

    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("has_ended", &self.function.is_none()).finish_non_exhaustive()
    }
}

impl<T, R> Drop for Generator<T, R> {
    fn drop(&mut self) {
        drop(Running { function: self.function.take(), shared: Some(&self.shared) });
    }
}

/// A function that is dropped, and its stream closed behind it.
struct Running<'a, T, R> {
    function: Option<Pin<Box<dyn Future<Output = R> + Send>>>,
    shared: Option<&'a Shared<T>>,
}

impl<T, R> Drop for Running<'_, T, R> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            // First, as a destructor of the function may panic.
            shared.close();
        }
    }
}

impl<T> Stream for Generate<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(match ready!(self.generator.poll_step(cx)) {
            Step::Yielded(item) => Some(item),
            Step::Ended(()) | Step::Over => None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.generator.size_hint()
    }
}

impl<T, E> Stream for TryGenerate<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        Poll::Ready(match ready!(self.generator.poll_step(cx)) {
            Step::Yielded(item) => Some(Ok(item)),
            Step::Ended(result) => result.err().map(Err),
            Step::Over => None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.generator.size_hint()
    }
}

impl<T> fmt::Debug for Generate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.generator.fmt("Generate", f)
    }
}

impl<T, E> fmt::Debug for TryGenerate<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.generator.fmt("TryGenerate", f)
    }
}
