//! What a group knows of its tasks, shared by all of them.

use std::borrow::Cow;
use std::future::poll_fn;
use std::mem;
use std::panic::Location;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::slab::{Key, Slab};
use crate::{Cause, Failure, GroupError, Stop};

/// The books of one group, and its stop signal.
#[derive(Debug)]
pub(super) struct Members {
    place: &'static Location<'static>,
    started: Instant,
    pub(super) stop: Stop,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    live: Slab<Member>,
    // Once it is false no task comes in.
    open: bool,
    failures: Vec<Failure>,
    finished: usize,
    cancelled: usize,
    // Of the future of the group; while its body runs, the end of the last task is no news to it.
    waker: Option<Waker>,
    joining: bool,
}

/// A task of a group.
#[derive(Debug)]
pub(super) struct Member {
    name: Option<Cow<'static, str>>,
    place: &'static Location<'static>,
    started: Instant,
    // Not there until the task has been spawned, nor after it has been told to abort.
    abort: Option<AbortHandle>,
}

impl Member {
    pub(super) fn new(name: Option<Cow<'static, str>>, place: &'static Location<'static>) -> Self {
        Self { name, place, started: Instant::now(), abort: None }
    }

    fn failed(self, cause: Cause) -> Failure {
        Failure { name: self.name, place: self.place, after: self.started.elapsed(), cause }
    }
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ended {
    Finished,
    Cancelled,
    Failed(Cause),
}

impl Members {
    pub(super) fn new(place: &'static Location<'static>) -> Self {
        let books = Books {
            live: Slab::new(),
            open: true,
            failures: Vec::new(),
            finished: 0,
            cancelled: 0,
            waker: None,
            joining: false,
        };
        Self { place, started: Instant::now(), stop: Stop::new(), books: Mutex::new(books) }
    }

    // No code of the user runs under the lock.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> usize {
        self.books().live.len()
    }

    /// Lets a task in that is about to be spawned, unless the group is closed.
    pub(super) fn enter(&self, member: Member) -> Option<Key> {
        let mut books = self.books();
        if books.open { Some(books.live.insert(member)) } else { None }
    }

    /// Keeps the means to abort a task that was let in; if the group was closed in between, uses it.
    pub(super) fn spawned(&self, key: Key, abort: AbortHandle) {
        let mut books = self.books();
        let open = books.open;
        match books.live.get_mut(key) {
            Some(member) if open => member.abort = Some(abort),
            _ => {
                drop(books);
                // It has ended already, or nobody else will tell it.
                abort.abort();
            }
        }
    }

    /// Counts a task that was not let in.
    pub(super) fn refused(&self) {
        self.books().cancelled += 1;
    }

    /// Takes out a task whose future has been dropped.
    pub(super) fn leave(&self, key: Key, ended: Ended) {
        let mut books = self.books();
        let member = books.live.remove(key);
        let mut news = books.joining && books.live.len() == 0;
        match ended {
            Ended::Finished => books.finished += 1,
            Ended::Cancelled => books.cancelled += 1,
            Ended::Failed(cause) => {
                news |= books.failures.is_empty();
                books.open = false;
                books.failures.extend(member.map(|member| member.failed(cause)));
            }
        }
        // One wake for the first failure and one for the last task, not one for each task.
        let waker = if news { books.waker.take() } else { None };
        drop(books);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets no more tasks in.
    pub(super) fn close(&self) {
        self.books().open = false;
    }

    /// The future of the group goes away before its tasks have ended: tells them to abort.
    pub(super) fn abandon(&self) {
        let mut books = self.books();
        books.open = false;
        let waker = books.waker.take();
        drop(books);
        drop(waker);
        self.abort(0, usize::MAX);
        self.stop.abort("the future of the group was dropped");
    }

    /// Adds a failure of the body or of the group itself, and closes the group.
    pub(super) fn fail(&self, name: &'static str, cause: Cause) {
        let after = self.started.elapsed();
        let mut books = self.books();
        books.open = false;
        books.failures.push(Failure { name: Some(name.into()), place: self.place, after, cause });
    }

    /// Drives `poll` until it is ready, or until something failed or the stop signal was given.
    pub(super) async fn unless_doomed<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let mut aborting = pin!(self.stop.aborting());
        poll_fn(|cx| {
            if self.poll_failed(cx).is_ready() {
                return Poll::Ready(None);
            }
            if aborting.as_mut().poll(cx).is_ready() {
                let reason = self.stop.reason().unwrap_or_default().to_owned();
                self.fail("group", Cause::Aborted(reason.into()));
                return Poll::Ready(None);
            }
            poll(cx).map(Some)
        })
        .await
    }

    fn poll_failed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut books = self.books();
        if books.failures.is_empty() { books.wait(cx) } else { Poll::Ready(()) }
    }

    /// Ready when no task lives; the group is closed then.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut books = self.books();
        if books.live.len() > 0 {
            books.joining = true;
            return books.wait(cx);
        }
        books.open = false;
        let waker = books.waker.take();
        drop(books);
        drop(waker);
        Poll::Ready(())
    }

    /// Tells the tasks in a range of slots to abort, and says whether there are slots behind it.
    pub(super) fn abort(&self, start: usize, slots: usize) -> bool {
        let mut books = self.books();
        let (members, more) = books.live.range_mut(start, slots);
        let handles: Vec<_> = members.filter_map(|member| member.abort.take()).collect();
        drop(books);
        // Not under the lock, which a task takes to leave: the runtime may drop one here and now.
        handles.iter().for_each(AbortHandle::abort);
        more
    }

    /// Why the group stops, in words.
    pub(super) fn why(&self) -> String {
        self.books().failures.first().map_or_else(|| "the body panicked".to_owned(), ToString::to_string)
    }

    /// What the group gives in the end: the value of its body if nothing failed.
    pub(super) fn verdict<R>(&self, value: Option<R>) -> Result<R, GroupError> {
        let mut books = self.books();
        match value {
            Some(value) if books.failures.is_empty() => Ok(value),
            _ => Err(GroupError::new(mem::take(&mut books.failures), books.finished, books.cancelled)),
        }
    }
}

impl Books {
    fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
