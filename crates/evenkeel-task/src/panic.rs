//! Panics as values.

use std::{
    any::Any,
    error::Error,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use evenkeel_base::FirstPanic;
use pin_project_lite::pin_project;
use tokio::task::JoinError;

type Payload = Box<dyn Any + Send>;

/// A caught panic, with its payload.
///
/// Dropping it never panics, not even if the destructor of the payload does.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_task::catch_panic;
///
/// let panic = catch_panic(async { panic!("lost the {}", "plot") }).await.unwrap_err();
/// assert_eq!(panic.message(), Some("lost the plot"));
/// assert_eq!(panic.to_string(), "panicked: lost the plot");
/// # }
/// ```
pub struct Panic {
    // Boxed, as results are moved about more often than they are panics.
    inner: Box<Inner>,
}

struct Inner {
    message: Option<Box<str>>,
    // The lock makes it `Sync`, which errors have to be; it is never held.
    payload: Mutex<Payload>,
}

impl Panic {
    /// Returns the text of the panic, if it has one: `panic!` with a message, a failed assertion, an index out
    /// of bounds.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.inner.message.as_deref()
    }

    /// Returns the payload, as [`catch_unwind`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use evenkeel_task::catch_panic;
    /// let panic = catch_panic(async { std::panic::panic_any(42_u8) }).await.unwrap_err();
    /// assert_eq!(panic.message(), None);
    /// assert_eq!(*panic.into_payload().downcast::<u8>().unwrap(), 42);
    /// # }
    /// ```
    #[must_use]
    pub fn into_payload(mut self) -> Box<dyn Any + Send> {
        self.take_payload()
    }

    fn take_payload(&mut self) -> Payload {
        let payload = self.inner.payload.get_mut().unwrap_or_else(PoisonError::into_inner);
        mem::replace(payload, Box::new(()))
    }

    /// Goes on unwinding here with the same payload; the panic hook does not run again.
    ///
    /// # Panics
    ///
    /// Always: that is its job.
    pub fn resume(self) -> ! {
        resume_unwind(self.into_payload())
    }

    /// Runs `f` and turns a panic into a value.
    ///
    /// It is `catch_unwind` with this error: the caller judges the state that a panic leaves half changed.
    ///
    /// # Errors
    ///
    /// The panic of `f`.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_task::Panic;
    ///
    /// assert_eq!(Panic::catch(|| 7).unwrap(), 7);
    /// assert!(Panic::catch(|| u8::try_from(300).unwrap()).is_err());
    /// ```
    pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Self> {
        catch_unwind(AssertUnwindSafe(f)).map_err(Self::new)
    }

    /// Returns the panic that stands for a task that its runtime dropped.
    pub(crate) fn runtime_shutdown() -> Self {
        Self::new(Box::new("the runtime of the task was shut down before the task ended"))
    }

    pub(crate) fn new(payload: Payload) -> Self {
        let message = match payload.downcast_ref::<&'static str>() {
            Some(text) => Some(*text),
            None => payload.downcast_ref::<String>().map(String::as_str),
        };
        let message = message.map(Into::into);
        Self { inner: Box::new(Inner { message, payload: Mutex::new(payload) }) }
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        discard([self.take_payload()]);
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic").field("message", &self.inner.message).finish_non_exhaustive()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.message {
            Some(message) => write!(f, "panicked: {message}"),
            None => f.write_str("panicked"),
        }
    }
}

impl Error for Panic {}

/// Drops values one by one, and the panics of their destructors: a second panic beside one that is resumed would abort
/// the process.
pub(crate) fn discard<T>(values: impl IntoIterator<Item = T>) {
    FirstPanic::default().drop_each(values);
}

/// Converts the error of a task that panicked without [`catch_panic`]; the error of a task that was aborted is returned
/// as it is.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_task::Panic;
///
/// let panicked = tokio::spawn(async { panic!("boom") }).await.unwrap_err();
/// assert_eq!(Panic::try_from(panicked).unwrap().message(), Some("boom"));
/// # }
/// ```
impl TryFrom<JoinError> for Panic {
    type Error = JoinError;

    fn try_from(error: JoinError) -> Result<Self, JoinError> {
        error.try_into_panic().map(Self::new)
    }
}

/// Runs a future and turns its panic into a value.
///
/// The future is dropped as soon as it has ended, before its result is returned, and a panic of its destructor
/// counts as a panic of the future.
///
/// # Errors
///
/// The [`Panic`].
///
/// # Cancel safety
///
/// Dropping it drops the future within, at its last await point; a panic of that destructor is not caught.
///
/// # Panics
///
/// If polled again after it returned its result.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_task::catch_panic;
///
/// assert_eq!(catch_panic(async { 7 }).await.unwrap(), 7);
/// assert!(catch_panic(async { [0_u8; 3][usize::from(b'x')] }).await.is_err());
/// # }
/// ```
pub fn catch_panic<F: Future>(future: F) -> CatchPanic<F> {
    CatchPanic { future: Some(future) }
}

pin_project! {
    /// The future of [`catch_panic`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future within it; a panic of that destructor is not caught.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use evenkeel_task::{CatchPanic, catch_panic};
    /// use std::future::{Ready, ready};
    ///
    /// let caught: CatchPanic<Ready<u8>> = catch_panic(ready(7));
    /// assert_eq!(caught.await.unwrap(), 7);
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CatchPanic<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F> CatchPanic<F> {
    /// Drops the future, if it has not ended, and returns the panic of its destructor.
    pub(crate) fn cancel(self: Pin<&mut Self>) -> Result<(), Panic> {
        let mut future = self.project().future;
        Panic::catch(|| future.set(None))
    }
}

impl<F: Future> CatchPanic<F> {
    /// Polls the future and converts its output; a panic of either is the result.
    pub(crate) fn poll_and_convert<R>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        convert: impl FnOnce(F::Output) -> R,
    ) -> Poll<Result<R, Panic>> {
        let mut future = self.as_mut().project().future;
        assert!(future.is_some(), "polled after it gave its result");
        let mut output = None;
        let caught = Panic::catch(|| {
            output = match future.as_mut().as_pin_mut()?.poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => return None,
            };
            future.set(None);
            output.take().map(convert)
        });
        match caught {
            Ok(Some(result)) => Poll::Ready(Ok(result)),
            Ok(None) => Poll::Pending,
            Err(panic) => {
                // Of several panics the first one says most.
                drop(self.cancel());
                drop(Panic::catch(|| drop(output)));
                Poll::Ready(Err(panic))
            }
        }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_and_convert(cx, |output| output)
    }
}
