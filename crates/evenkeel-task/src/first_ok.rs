//! The first success of several futures.
//!
//! # How it works
//!
//! Each future is a task of a group, and all share a [`Race`]. The first success is stored there, and its task cancels the
//! rest of the group. Errors are stored by the index of their future. The group's own error has only panics and cuts.

use std::{
    error::Error,
    fmt, mem,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;

use crate::{Cause, Panic, group::builder::group, panic::discard};

/// Runs futures as tasks until one of them succeeds, and returns its value.
///
/// The other ones are aborted then, and have ended when it returns, with all work that a
/// [`shield`](crate::shield) or [`using`](crate::using()) detached from them: the losers are cleaned up. If two succeed at
/// the same time, one value is returned and the other one is dropped.
///
/// # Errors
///
/// [`AllFailed`] with the errors of all, in the order of the input, if none succeeds.
///
/// # Cancel safety
///
/// Dropping it tells all of them to abort; a group around it waits for them.
///
/// # Panics
///
/// A panic of any of them stops the others and goes on here when they have ended, also if one succeeded.
/// If their runtime was shut down before one of them succeeded. Outside of a tokio runtime.
///
/// # Why not just use `futures::future::select_ok`?
///
/// Use it where the futures borrow or are few and light. It runs them in one task, keeps the last error
/// only, and drops the losers without waiting for their clean-up. To start the second only when
/// the first is slow, use `hedge` of evenkeel-retry.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_task::first_ok;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// async fn ask(mirror: &'static str, takes: u64) -> Result<&'static str, String> {
///     sleep(Duration::from_millis(takes)).await;
///     if takes < 50 { Err(format!("{mirror} is down")) } else { Ok(mirror) }
/// }
///
/// assert_eq!(first_ok([ask("a", 20), ask("b", 70), ask("c", 90)]).await.unwrap(), "b");
/// let error = first_ok([ask("a", 20), ask("b", 10)]).await.unwrap_err();
/// assert_eq!(error.errors, ["a is down", "b is down"]);
/// # }
/// ```
#[track_caller]
pub fn first_ok<I, T, E>(futures: I) -> impl Future<Output = Result<T, AllFailed<E>>>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>> + Send + 'static>,
    T: Send + 'static,
    E: Send + 'static,
{
    let race = Arc::new(Mutex::new(Race { winner: None, errors: Vec::new() }));
    let entrants = Arc::clone(&race);
    let run = group(async move |g| {
        for (index, future) in futures.into_iter().enumerate() {
            let race = Arc::clone(&entrants);
            lock(&race).errors.push(None);
            let rest = g.clone();
            g.spawn(async move {
                match future.await {
                    Ok(value) => {
                        rest.cancel_rest();
                        let loser = lock(&race).winner.replace(value);
                        // Its destructor is foreign code: not under the lock.
                        drop(loser);
                    }
                    Err(error) => lock(&race).errors[index] = Some(error),
                }
            });
        }
        Ok(())
    });
    async move {
        let mut is_cut = false;
        let mut failures = run.await.err().into_iter().flat_map(|error| error.into_failures());
        let panic = failures.find_map(|failure| match failure.cause {
            Cause::Panic(panic) => Some(panic),
            cause => {
                is_cut |= matches!(cause, Cause::RuntimeShutdown);
                None
            }
        });
        let (winner, errors) = {
            let mut race = lock(&race);
            (race.winner.take(), mem::take(&mut race.errors))
        };
        let panic = panic.or_else(|| (is_cut && winner.is_none()).then(Panic::runtime_shutdown));
        if let Some(panic) = panic {
            discard(failures);
            discard(winner);
            discard(errors);
            panic.resume();
        }
        match winner {
            Some(winner) => Ok(winner),
            None => Err(AllFailed { errors: errors.into_iter().flatten().collect() }),
        }
    }
}

struct Race<T, E> {
    winner: Option<T>,
    errors: Vec<Option<E>>,
}

/// The error of [`first_ok`]: none of the futures succeeded.
///
/// Its [`source`](Error::source) is the first of the errors; there is none if there were no futures.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use evenkeel_task::first_ok;
/// use std::future::ready;
///
/// let error = first_ok(["x", "y"].map(|text| ready(text.parse::<u8>()))).await.unwrap_err();
/// assert_eq!(error.to_string(), "none of 2 succeeded");
/// assert_eq!(error.errors.len(), 2);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllFailed<E> {
    /// The errors of all, in the order of the input.
    pub errors: Vec<E>,
}

impl<E> fmt::Display for AllFailed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() {
            0 => f.write_str("there was nothing to try"),
            1 => f.write_str("the only one did not succeed"),
            more => write!(f, "none of {more} succeeded"),
        }
    }
}

impl<E: Error + 'static> Error for AllFailed<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}
