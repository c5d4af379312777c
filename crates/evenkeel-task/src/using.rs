//! Resources that are always released.
//!
//! # How it works
//!
//! The body gets the value in a [`Resource`], which sends it through a channel when it is dropped. A shield receives it
//! and runs `release`: in the caller's task, or as detached work if the caller is dropped. The body is dropped before the
//! shield, so the value is on its way by then; a `Resource` that was moved elsewhere is waited for.

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    time::Duration,
};

#[cfg(feature = "inspect")]
use tokio::time::Instant;
use tokio::{runtime::Handle, sync::oneshot};

#[cfg(feature = "inspect")]
use crate::awaited::Awaited;
use crate::{
    BoxError, Cause, IntoResult, catch_panic,
    panic::discard,
    shield::{Shield, with_timeout},
};

/// The time that a release has.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Acquires a resource, runs `body` with it, and releases it: after a value, an error, a panic, and when the caller
/// is dropped.
///
/// The body gets a [`Resource`]; when that is dropped, by the end of the body or with it, `release` gets the value. A
/// release has 30 s from the end of the body on, and goes on as a task when the caller is dropped: the group around it
/// waits for that task, and gets its failure, as for a [`shield`](crate::shield). So a group, or a
/// [`first_ok`](crate::first_ok) with losers, returns when all resources are released.
///
/// # Errors
///
/// [`UsingError`] if one of the three fails, with both errors if the body and the release do.
///
/// # Cancel safety
///
/// Dropped while it acquires, it drops `acquire`, which has to clean up by itself. Dropped later, it drops the
/// body, and the release runs, or goes on. A runtime that shuts down does not finish it.
///
/// # Panics
///
/// A panic of the body goes on after the release; a failure of the release is dropped then. When polled
/// outside of a tokio runtime.
///
/// # Why not just use `Drop`?
///
/// Use it where releasing needs no `await`. A destructor cannot wait: it can neither end a transaction nor
/// delete a remote file, and a task that it spawns for that has no owner.
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
    body: impl FnOnce(Resource<T>) -> Body,
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
        let value = match acquire.await {
            Ok(value) => value,
            Err(error) => return Err(UsingError::new(UsingStage::Acquire, Cause::of(error.into()))),
        };
        let (give_back, returned) = oneshot::channel();
        let resource = Resource { value: Some(value), give_back: Some(give_back) };
        // Declared before the body, so dropped after it; it has begun, so a drop detaches it.
        let release = release_when_returned(returned, release);
        let release = Shield::new("release", place, Some(runtime), RELEASE_TIMEOUT, release);

        let output = catch_panic(async move { body(resource).await }).await;
        #[cfg(feature = "inspect")]
        let _wait = {
            let wait = Awaited::new("borrowed resource", None, place, None);
            wait.begin_until(Instant::now().checked_add(RELEASE_TIMEOUT), Some("its return and release"));
            wait
        };
        let released = release.await.map_err(Cause::of);
        match (output, released) {
            (Err(panic), released) => {
                discard(released.err());
                panic.resume()
            }
            (Ok(Ok(value)), Ok(())) => Ok(value),
            (Ok(Ok(_)), Err(cause)) => Err(UsingError::new(UsingStage::Release, cause)),
            (Ok(Err(error)), released) => Err(UsingError {
                release: released.err(),
                ..UsingError::new(UsingStage::Body, Cause::of(error))
            }),
        }
    }
}

async fn release_when_returned<T, F, Fut>(returned: oneshot::Receiver<T>, release: F) -> Result<(), BoxError>
where
    F: FnOnce(T) -> Fut,
    Fut: Future<Output: IntoResult>,
{
    with_timeout(RELEASE_TIMEOUT, async {
        match returned.await {
            Ok(value) => catch_panic(async { release(value).await.into_result() }).await?,
            // The resource was forgotten: nothing can be released.
            Err(_) => Ok(()),
        }
    })
    .await
}

/// A resource that the body of [`using`] borrows: dropping it releases the value.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::UsingError> {
/// use evenkeel_task::{Resource, using};
/// use std::future::ready;
///
/// async fn fill(list: &mut Vec<u8>) {
///     list.push(7);
/// }
///
/// let new = ready(Ok::<_, std::io::Error>(Vec::new()));
/// let release = async |list: Vec<u8>| assert_eq!(list, [7]);
/// using(new, release, async |mut list: Resource<Vec<u8>>| Ok(fill(&mut list).await)).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it releases the value"]
pub struct Resource<T> {
    // Both are `Some` until it is dropped.
    value: Option<T>,
    give_back: Option<oneshot::Sender<T>>,
}

impl<T> Deref for Resource<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for Resource<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Resource<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(give_back)) = (self.value.take(), self.give_back.take()) {
            // The receiver is gone when the time of the release is over: then the value is dropped here.
            drop(give_back.send(value));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Resource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The error of [`using`]: the stage that failed, and why; the source is the cause.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{BoxError, UsingStage, using};
/// use std::future::ready;
///
/// let file = ready(Ok::<_, std::io::Error>(7));
/// let release = async |_| Err::<(), _>("the disk is full");
/// let error = using(file, release, async |_file| Err::<(), BoxError>("bad line".into())).await.unwrap_err();
/// assert_eq!(error.stage, UsingStage::Body);
/// assert_eq!(error.to_string(), "the body failed, and so did the release");
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct UsingError {
    /// The stage that failed.
    pub stage: UsingStage,
    /// Why it failed.
    pub cause: Cause,
    /// Why the release failed too, after a body that failed.
    pub release: Option<Cause>,
}

/// The stages of [`using`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::{UsingStage, using};
/// use std::future::ready;
///
/// let nothing = ready(Err::<u8, _>("out of stock"));
/// let error = using(nothing, async |_| (), async |_| Ok(())).await.unwrap_err();
/// assert_eq!(error.stage, UsingStage::Acquire);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsingStage {
    /// The acquire, so the body did not run.
    Acquire,
    /// The body; the release has run after it.
    Body,
    /// The release, after a body that succeeded; the value of the body is dropped.
    Release,
}

impl UsingError {
    fn new(stage: UsingStage, cause: Cause) -> Self {
        Self { stage, cause, release: None }
    }
}

impl fmt::Display for UsingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.stage, &self.cause) {
            (UsingStage::Acquire, _) => "could not acquire",
            (UsingStage::Body, _) => "the body failed",
            (UsingStage::Release, Cause::Deadline) => "the release took too long",
            (UsingStage::Release, _) => "the release failed",
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
