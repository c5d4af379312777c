//! Things that are released whatever happens.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::group::current::Orphan;
use crate::panic::discard;
use crate::shield::within;
use crate::{BoxError, Cause, IntoResult, catch_panic, shield};

/// How long a release may take.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);

/// Acquires a thing, runs `body` with it, and releases it: after a value, an error, a panic, and when the caller
/// is dropped.
///
/// The body gets the thing [lent](Lent); when the body has ended, or was dropped, `release` gets it back. A
/// release has 30 s from then on, and goes on as a task when the caller is dropped: the group around
/// it waits for that task, and takes its failure, as for a [`shield`](crate::shield). So in a group, or as a
/// loser of [`first_ok`](crate::first_ok), what was acquired is released when that returns.
///
/// # Errors
///
/// [`UsingError`] if one of the three fails, with both errors if the body and the release do.
///
/// # Cancel safety
///
/// Dropped while it acquires, `acquire` is dropped, and what that leaves is its own affair. Dropped later, the
/// body is dropped and the release runs, or goes on. A runtime that shuts down does not finish it.
///
/// # Panics
///
/// A panic of the body goes on after the release; a failure of the release is dropped then. When polled
/// outside of a tokio runtime.
///
/// # Why not just use `Drop`?
///
/// Use it where releasing takes no `await`. A destructor cannot wait: it can neither end a transaction nor
/// delete a remote file, and a task that it spawns for that belongs to nobody.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::BoxError> {
/// use evenkeel_task::using;
/// use std::io;
///
/// struct Lock(&'static str);
///
/// impl Lock {
///     async fn take(name: &'static str) -> io::Result<Self> {
///         Ok(Self(name))
///     }
///     async fn free(self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let length = using(Lock::take("reports"), Lock::free, async |lock| {
///     let name: &str = lock.0;
///     Ok(name.len())
/// })
/// .await?;
/// assert_eq!(length, 7);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn using<T, E, R, Release, Body>(
    acquire: impl Future<Output = Result<T, E>>,
    release: impl FnOnce(T) -> Release + Send + 'static,
    body: impl FnOnce(Lent<T>) -> Body,
) -> impl Future<Output = Result<R, UsingError>>
where
    T: Send + 'static,
    E: Into<BoxError>,
    Release: Future<Output: IntoResult> + Send + 'static,
    Body: Future<Output = Result<R, BoxError>>,
{
    let place = Location::caller();
    async move {
        let runtime = Handle::current();
        let thing = acquire.await.map_err(|error| UsingError::new(Step::Acquire, Cause::of(error.into())))?;
        let (back, returned) = oneshot::channel();
        let lent = Lent { thing: Some(thing), back: Some(back) };
        let exit = Exit { parts: Some((returned, release)), place, runtime };

        // A body that is dropped gives the thing back before the exit takes it.
        let output = catch_panic(async move { body(lent).await }).await;
        let released = exit.leave().await.map_err(Cause::of);
        match (output, released) {
            (Err(panic), released) => {
                discard(released.err());
                panic.resume()
            }
            (Ok(Ok(value)), Ok(())) => Ok(value),
            (Ok(Ok(_)), Err(cause)) => Err(UsingError::new(Step::Release, cause)),
            (Ok(Err(error)), released) => {
                Err(UsingError { release: released.err(), ..UsingError::new(Step::Body, Cause::of(error)) })
            }
        }
    }
}

/// Releases the thing, in the caller's task or, when that is gone, in one of its own.
struct Exit<T, F, Fut>
where
    T: Send + 'static,
    F: FnOnce(T) -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    parts: Option<(oneshot::Receiver<T>, F)>,
    place: &'static Location<'static>,
    runtime: Handle,
}

impl<T, F, Fut> Exit<T, F, Fut>
where
    T: Send + 'static,
    F: FnOnce(T) -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    async fn leave(mut self) -> Result<(), BoxError> {
        match self.parts.take() {
            Some(parts) => shield(RELEASE_LIMIT, give_back(parts)).at("release", self.place).await,
            None => Ok(()),
        }
    }
}

async fn give_back<T, F, Fut>((returned, release): (oneshot::Receiver<T>, F)) -> Result<(), BoxError>
where
    F: FnOnce(T) -> Fut,
    Fut: Future<Output: IntoResult>,
{
    within(RELEASE_LIMIT, async {
        match returned.await {
            Ok(thing) => catch_panic(async { release(thing).await.into_result() }).await?,
            // It was forgotten: nothing can be released.
            Err(_) => Ok(()),
        }
    })
    .await
}

impl<T, F, Fut> Drop for Exit<T, F, Fut>
where
    T: Send + 'static,
    F: FnOnce(T) -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            let runtime = self.runtime.clone();
            Orphan { name: "release", place: self.place, runtime }.adopt(give_back(parts));
        }
    }
}

/// A thing that is lent to the body of [`using`]: dropping it gives it back.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::UsingError> {
/// use evenkeel_task::{Lent, using};
/// use std::future::ready;
///
/// async fn fill(list: &mut Vec<u8>) {
///     list.push(7);
/// }
///
/// let new = ready(Ok::<_, std::io::Error>(Vec::new()));
/// let release = async |list: Vec<u8>| assert_eq!(list, [7]);
/// using(new, release, async |mut list: Lent<Vec<u8>>| Ok(fill(&mut list).await)).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it gives it back"]
pub struct Lent<T> {
    // There until it is dropped.
    thing: Option<T>,
    back: Option<oneshot::Sender<T>>,
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.thing.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if let (Some(thing), Some(back)) = (self.thing.take(), self.back.take()) {
            // The receiver is gone when the time of the release is over: dropped here then.
            drop(back.send(thing));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// What failed of [`using`], and why; the source is the cause.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{BoxError, Step, using};
/// use std::future::ready;
///
/// let file = ready(Ok::<_, std::io::Error>(7));
/// let release = async |_| Err::<(), _>("the disk is full");
/// let error = using(file, release, async |_file| Err::<(), BoxError>("bad line".into())).await.unwrap_err();
/// assert_eq!(error.step, Step::Body);
/// assert_eq!(error.to_string(), "the body failed, and so did the release");
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct UsingError {
    /// What failed.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// Why the release failed too, after a body that failed.
    pub release: Option<Cause>,
}

/// The steps of [`using`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{Step, using};
/// use std::future::ready;
///
/// let nothing = ready(Err::<u8, _>("out of stock"));
/// let error = using(nothing, async |_| (), async |_| Ok(())).await.unwrap_err();
/// assert_eq!(error.step, Step::Acquire);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// There was nothing to run the body with.
    Acquire,
    /// The body, after which the thing was released.
    Body,
    /// The release, after a body that went well; its value is dropped.
    Release,
}

impl UsingError {
    fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause, release: None }
    }
}

impl fmt::Display for UsingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.step, &self.cause) {
            (Step::Acquire, _) => "could not acquire",
            (Step::Body, _) => "the body failed",
            (Step::Release, Cause::Deadline) => "the release took too long",
            (Step::Release, _) => "the release failed",
        };
        let too = if self.release.is_some() { ", and so did the release" } else { "" };
        write!(f, "{text}{too}")
    }
}

impl Error for UsingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.error()
    }
}
