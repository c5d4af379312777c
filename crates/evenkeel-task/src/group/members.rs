//! What a group knows of its tasks, shared by all of them.

use std::borrow::Cow;
use std::future::poll_fn;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::PollSemaphore;

use super::ambient;
use super::builder::GroupBuilder;
use super::doom::Doom;
use super::live::{State, TaskInfo};
use super::slab::{Key, Slab};
use crate::observe::End;
use crate::{Cause, Failure, GroupError, Stop};

/// The books of one group, and its stop signal.
#[derive(Debug)]
pub(super) struct Members {
    place: &'static Location<'static>,
    started: Instant,
    pub(super) stop: Stop,
    turns: Option<Arc<Semaphore>>,
    // Failures do not stop it.
    collects: bool,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    live: Slab<Member>,
    // Once it is false no task comes in.
    open: bool,
    // Once it is true nobody waits for tasks any more, not even for those that are left over.
    over: bool,
    // The group that waits for the tasks of this one, whose future is gone.
    heir: Option<(Arc<Members>, Key)>,
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
    restarts: u32,
    state: State,
}

impl Member {
    pub(super) fn new(name: Option<Cow<'static, str>>, place: &'static Location<'static>) -> Self {
        Self { name, place, started: Instant::now(), abort: None, restarts: 0, state: State::Running }
    }

    /// Something that is left over: it is waited for, and neither counted nor aborted.
    pub(super) fn guest(name: &'static str, place: &'static Location<'static>) -> Self {
        Self { state: State::Leaving, ..Self::new(Some(name.into()), place) }
    }

    fn failed(self, cause: Cause) -> Failure {
        let Self { name, place, started, restarts, .. } = self;
        Failure { name, place, after: started.elapsed(), restarts, cause }
    }

    fn ended(&self, ended: &Ended) -> End {
        let outcome = match ended {
            Ended::Finished => "finished",
            Ended::Cancelled => "cancelled",
            Ended::Failed(Cause::Panic(_)) => "panicked",
            Ended::Failed(Cause::Deadline) => "overdue",
            Ended::Failed(_) => "failed",
        };
        End::new(self.name.as_ref(), self.place, || self.started.elapsed(), outcome)
    }

    fn abort(&mut self) -> Option<AbortHandle> {
        let abort = self.abort.take()?;
        self.state = State::Aborting;
        Some(abort)
    }

    fn info(&self) -> TaskInfo {
        let Self { name, place, started, restarts, state, .. } = self;
        TaskInfo { name: name.clone(), place, age: started.elapsed(), restarts: *restarts, state: *state }
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
    pub(super) fn new(place: &'static Location<'static>, options: &GroupBuilder) -> Self {
        let books = Books {
            live: Slab::new(),
            open: true,
            over: false,
            heir: None,
            failures: Vec::new(),
            finished: 0,
            cancelled: 0,
            waker: None,
            joining: false,
        };
        let stop = match (&options.stop, ambient::stop()) {
            (Some(stop), _) => stop.child(),
            // The abort of an outer group aborts the task of this one; it need not fail by itself too.
            (None, Some(outer)) => outer.drained_with(),
            (None, None) => Stop::new(),
        };
        let turns = options.limit.map(|limit| Arc::new(Semaphore::new(limit)));
        let (started, collects) = (Instant::now(), options.collects);
        Self { place, started, stop, turns, collects, books: Mutex::new(books) }
    }

    // No code of the user runs under the lock.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.books().live.len()
    }

    pub(super) fn live(&self) -> Vec<TaskInfo> {
        self.books().live.iter().map(Member::info).collect()
    }

    /// What a task has to wait for before it runs.
    pub(super) fn turns(&self) -> Option<PollSemaphore> {
        self.turns.as_ref().map(|turns| PollSemaphore::new(Arc::clone(turns)))
    }

    /// Lets a task in that is about to be spawned, unless the group is closed.
    pub(super) fn enter(&self, mut member: Member) -> Option<Key> {
        if self.turns.is_some() {
            member.state = State::Waiting;
        }
        let mut books = self.books();
        if books.open { Some(books.live.insert(member)) } else { None }
    }

    /// Lets something in that is left over, as long as somebody waits for the tasks of the group.
    pub(super) fn lodge(&self, guest: Member) -> Option<Key> {
        let mut books = self.books();
        if books.over { None } else { Some(books.live.insert(guest)) }
    }

    /// It is the task's turn, unless the group is closed: then it waits for its end.
    pub(super) fn begin(&self, key: Key) -> bool {
        let now = Instant::now();
        let mut books = self.books();
        let open = books.open;
        match books.live.get_mut(key) {
            Some(member) if open => {
                member.started = now;
                member.state = State::Running;
                true
            }
            _ => false,
        }
    }

    pub(super) fn restarted(&self, key: Key) {
        if let Some(member) = self.books().live.get_mut(key) {
            member.restarts = member.restarts.saturating_add(1);
        }
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
        let Some(member) = books.live.remove(key) else { return };
        let end = member.ended(&ended);
        let last = books.live.len() == 0;
        let mut news = books.joining && last;
        let mut bequest = None;
        match ended {
            Ended::Failed(cause) if books.heir.is_some() => bequest = Some(member.failed(cause)),
            Ended::Failed(cause) => {
                news |= books.failures.is_empty();
                books.open &= self.collects;
                books.failures.push(member.failed(cause));
            }
            _ if member.state == State::Leaving => {}
            Ended::Finished => books.finished += 1,
            Ended::Cancelled => books.cancelled += 1,
        }
        // One wake for the first failure and one for the last task, not one for each task.
        let waker = if news { books.waker.take() } else { None };
        let heir = match (last, &bequest) {
            (true, _) => books.heir.take(),
            (false, Some(_)) => books.heir.clone(),
            (false, None) => None,
        };
        books.over |= last && heir.is_some();
        drop(books);
        end.tell();
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some((heir, key)) = heir {
            if let Some(failure) = bequest {
                heir.inherit(failure);
            }
            if last {
                heir.leave(key, Ended::Finished);
            }
        }
    }

    /// Takes the failure of a task of another group, whose future is gone.
    fn inherit(&self, failure: Failure) {
        let mut books = self.books();
        if let Some((heir, _)) = books.heir.clone() {
            drop(books);
            return heir.inherit(failure);
        }
        books.open &= self.collects;
        books.failures.push(failure);
        let waker = if books.failures.len() == 1 { books.waker.take() } else { None };
        drop(books);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets no more tasks in.
    pub(super) fn close(&self) {
        self.books().open = false;
    }

    /// The future of the group goes away before its tasks have ended: tells them to abort, and lets an outer
    /// group wait for them.
    pub(super) fn abandon(&self) {
        let heir = ambient::current()
            .and_then(|outer| Some((outer.lodge(Member::guest("group", self.place))?, outer)))
            .map(|(key, outer)| (outer, key));
        let mut books = self.books();
        books.open = false;
        let waker = books.waker.take();
        let heir = if books.live.len() > 0 { std::mem::replace(&mut books.heir, heir) } else { heir };
        books.over = books.heir.is_none();
        drop(books);
        drop(waker);
        if let Some((outer, key)) = heir {
            outer.leave(key, Ended::Finished);
        }
        let mut page = 0;
        while self.abort(page, |_| true) {
            page += 1;
        }
        self.stop.abort("the future of the group was dropped");
    }

    /// Adds a failure of the body or of the group itself.
    pub(super) fn fail(&self, name: &'static str, cause: Cause) {
        let (place, after) = (self.place, self.started.elapsed());
        let mut books = self.books();
        books.open &= self.collects;
        books.failures.push(Failure { name: Some(name.into()), place, after, restarts: 0, cause });
    }

    /// Drives `poll` until it is ready, or until the group has to stop.
    pub(super) async fn unless_doomed<T>(
        &self,
        mut doom: Pin<&mut Doom>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        poll_fn(|cx| {
            if self.poll_failed(cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(cause) = doom.as_mut().poll(cx) {
                self.fail("group", cause);
                self.close();
                return Poll::Ready(None);
            }
            poll(cx).map(Some)
        })
        .await
    }

    fn poll_failed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut books = self.books();
        if books.failures.is_empty() || self.collects { books.wait(cx) } else { Poll::Ready(()) }
    }

    /// Ready when no task lives; the group is closed then.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut books = self.books();
        if books.live.len() > 0 {
            books.joining = true;
            return books.wait(cx);
        }
        books.open = false;
        books.over = true;
        let waker = books.waker.take();
        drop(books);
        drop(waker);
        Poll::Ready(())
    }

    /// Tells tasks on a page of the books to abort, and says whether there are pages behind it.
    pub(super) fn abort(&self, page: usize, which: fn(State) -> bool) -> bool {
        let mut books = self.books();
        let (members, more) = books.live.page_mut(page);
        let which = |member: &&mut Member| which(member.state);
        let handles: Vec<_> = members.filter(which).filter_map(Member::abort).collect();
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
