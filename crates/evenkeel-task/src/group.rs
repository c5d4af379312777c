//! Groups of tasks that end together.

mod child;
mod members;
mod slab;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::yield_now;

use self::child::Child;
use self::members::{Identity, Members};
use crate::{BoxError, Cause, GroupError, IntoResult, Stop, catch_panic};

/// How many tasks are told to abort before the group lets others run.
const CHUNK: usize = 1024;

/// Runs `body` and the tasks that it spawns into its [`Group`], and ends when all of them have ended.
///
/// The body runs in the task of the caller, so it may borrow; what it spawns runs in tasks of its own. The first
/// error or panic, of the body or of a task, stops the group: the body is dropped, and the others are aborted at
/// their next await point, in chunks so that a large group does not hold a worker. No task lives and all
/// destructors have run when the future gives its result, whatever that is.
///
/// # Errors
///
/// [`GroupError`] if the body or a task failed, or [`Stop::abort`] was called on the group's own stop signal.
/// An error by which a task answers its own cancellation comes after the first one and does not replace it.
///
/// # Cancel safety
///
/// Dropping the future drops the body and tells every task to abort. It cannot wait: a task in the middle of a
/// poll on another thread ends at its next await point, and failures have nobody to go to. It takes time in
/// proportion to the number of tasks.
///
/// # Panics
///
/// A panic of the body goes on after all tasks have ended; what failed beside it is dropped then. Under
/// `panic = "abort"` any panic ends the process.
///
/// # Why not just use `JoinSet`?
///
/// Use it where one owner collects results of one type. Dropping a `JoinSet` aborts its tasks and does not wait
/// for them, `shutdown` drops their panics, and only its owner can spawn. For results use a channel, or
/// `par_map` of evenkeel-stream.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_task::BoxError> {
/// use evenkeel_task::group;
/// use tokio::sync::mpsc;
///
/// async fn fetch(id: u32) -> Result<u32, std::io::Error> {
///     Ok(id * id)
/// }
///
/// let (found, mut results) = mpsc::channel(8);
/// let sum = group(async |g| {
///     for id in 1..=3 {
///         let found = found.clone();
///         g.spawn(async move { found.send(fetch(id).await?).await.map_err(std::io::Error::other) });
///     }
///     drop(found);
///     let mut sum = 0;
///     while let Some(square) = results.recv().await {
///         sum += square;
///     }
///     Ok(sum)
/// })
/// .await?;
/// assert_eq!(sum, 14);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn group<R, F, Fut>(body: F) -> impl Future<Output = Result<R, GroupError>>
where
    F: FnOnce(Group) -> Fut,
    Fut: Future<Output = Result<R, BoxError>>,
{
    let place = Location::caller();
    async move {
        let mut owner = Owner { members: Arc::new(Members::new()), ended: false };
        let value = run(&owner.members, body, place).await;
        owner.ended = true;
        let verdict = owner.members.verdict();
        match value {
            Ok(value) => verdict.map(|()| value.expect("a group without a failure has a value")),
            Err(panic) => panic.resume(),
        }
    }
}
