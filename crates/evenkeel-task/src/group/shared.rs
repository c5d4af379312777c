//! What a group knows of its tasks, shared by all of them.

use std::future::poll_fn;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::builder::GroupBuilder;
use super::current;
use super::membership::Presence;
use super::registry::{Key, Page, Roll};
use super::stop_condition::Doom;
use super::task_entry::{Ended, Label, Member};
use super::task_info::{State, TaskInfo};
use crate::panic::FirstPanic;
use crate::{Cause, Failure, GroupError, Stop};

/// The members of one group, and its stop signal.
#[derive(Debug)]
pub(super) struct Members {
    roll: Roll,
    books: Mutex<Books>,
    // No task comes in any more.
    closed: AtomicBool,
    // Its tasks have to end.
    halted: AtomicBool,
    pub(super) stop: Stop,
    pub(super) turns: Option<Arc<Semaphore>>,
    // Failures do not stop it.
    collects: bool,
    place: &'static Location<'static>,
    started: Instant,
}

/// What changes when something fails or all have ended, and not with every task.
#[derive(Debug, Default)]
struct Books {
    // The group that waits for the tasks of this one, whose future is gone.
    heir: Option<(Arc<Presence>, Key)>,
    failures: Vec<Failure>,
    // Of the future of the group.
    waker: Option<Waker>,
    // Nobody is in it any more.
    empty: bool,
}

impl Members {
    pub(super) fn new(place: &'static Location<'static>, options: &GroupBuilder) -> Self {
        let stop = match (&options.stop, current::stop()) {
            (Some(stop), _) => stop.child(),
            // The abort of an outer group aborts the task of this one; it need not fail by itself too.
            (None, Some(outer)) => outer.drained_with(),
            (None, None) => Stop::new(),
        };
        Self {
            roll: Roll::new(),
            books: Mutex::default(),
            closed: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            stop,
            turns: options.limit.map(|limit| Arc::new(Semaphore::new(limit))),
            collects: options.collects,
            place,
            started: Instant::now(),
        }
    }

    // No code of the user runs under the lock.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> Vec<TaskInfo> {
        self.roll.live()
    }

    /// Notes somebody who is in the group.
    pub(super) fn enter(&self, member: Member) -> Key {
        self.roll.insert(member)
    }

    /// Lets no more tasks in.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Lets its tasks go no further; those that sleep have to be [woken](Self::abort) to see it.
    pub(super) fn halt(&self) {
        self.close();
        self.halted.store(true, Ordering::Release);
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// It is the task's turn, unless the group is closed.
    pub(super) fn begin(&self, key: Key) -> bool {
        let now = Instant::now();
        // Under the lock: who wakes those that wait has closed the group before.
        let begin = |member: &mut Member| self.is_open().then(|| member.begin(now)).is_some();
        self.roll.with(key, begin).unwrap_or(false)
    }

    pub(super) fn restarted(&self, key: Key) {
        self.roll.with(key, Member::restarted);
    }

    /// Keeps what wakes a task that is told to abort.
    pub(super) fn park(&self, key: Key, waker: Waker) {
        drop(self.roll.park(key, waker));
    }

    /// Counts a task that was not let in.
    pub(super) fn refused(&self) {
        self.roll.refused();
    }

    /// Takes out a task whose future has been dropped.
    pub(super) fn leave(&self, key: Key, ended: Ended) {
        if let Some(member) = self.roll.remove(key, &ended) {
            self.tell(member, ended);
        }
    }

    /// Counts a task that has ended before its first poll.
    pub(super) fn pass(&self, member: Member, ended: Ended) {
        self.roll.count(&member, &ended);
        self.tell(member, ended);
    }

    fn tell(&self, member: Member, ended: Ended) {
        member.ended(&ended).tell();
        if let Ended::Failed(cause) = ended {
            self.note(member.failed(cause));
        }
    }

    /// Takes a failure down, of a task of this group or of one that it is the heir of.
    fn note(&self, failure: Failure) {
        let mut passed_on = self.take_down(failure);
        while let Some((heir, failure)) = passed_on {
            passed_on = heir.take_down(failure);
        }
    }

    /// Takes a failure down, unless there is an heir to whom it goes.
    fn take_down(&self, failure: Failure) -> Option<(Arc<Presence>, Failure)> {
        let mut books = self.books();
        if let Some((heir, _)) = books.heir.clone() {
            drop(books);
            // Nobody asks for the winner of a race whose future is gone.
            return (!failure.is_won()).then_some((heir, failure));
        }
        if !self.collects {
            self.close();
        }
        books.failures.push(failure);
        // One wake for the first failure and one for the last task, not one for each task.
        let waker = if books.failures.len() == 1 { books.waker.take() } else { None };
        drop(books);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    /// The last one has left: gives the group that waits for that.
    pub(super) fn emptied(&self, panics: &mut FirstPanic) -> Option<(Arc<Presence>, Key)> {
        let mut books = self.books();
        books.empty = true;
        let (waker, heir) = (books.waker.take(), books.heir.take());
        drop(books);
        if waker.is_some() {
            panics.wake(waker);
        }
        heir
    }

    /// Waits no more for a group that it is the heir of. That is no task, so nobody is told of its end.
    pub(super) fn release(&self, key: Key) {
        drop(self.roll.remove(key, &Ended::Finished));
    }

    /// The future of the group goes away before its tasks have ended: tells them to abort, and lets an outer
    /// group wait for them and take what they have failed with.
    pub(super) fn abandon(&self) {
        self.halt();
        let mut panics = FirstPanic::default();
        // A task of its own that drops it is no outer group.
        if let Some(outer) = current::membership().filter(|outer| !ptr::eq(&*outer.0, self)) {
            self.bequeath(outer, &mut panics);
        }
        panics.catch(|| self.unwatch());
        let mut page = Some(Page::default());
        while let Some(next) = page {
            page = self.abort(next, |_| true, &mut panics);
        }
        panics.catch(|| self.stop.abort("the future of the group was dropped"));
        panics.resume();
    }

    fn bequeath(&self, heir: Arc<Presence>, panics: &mut FirstPanic) {
        let key = heir.enter(Member::new(Label::new("group", self.place)).in_state(State::Leaving));
        let mut books = self.books();
        let (failures, empty) = (mem::take(&mut books.failures), books.empty);
        // The last one has left before, or will release itself.
        if !empty {
            books.heir = Some((Arc::clone(&heir), key));
        }
        drop(books);
        // What its body failed with, and what stopped the group itself, was for its caller.
        let of_tasks = |failure: &Failure| failure.place != self.place && !failure.is_won();
        failures.into_iter().filter(of_tasks).for_each(|failure| panics.catch(|| heir.note(failure)));
        if empty {
            heir.release(key);
        }
    }

    /// Adds a failure of the body or of the group itself.
    pub(super) fn fail(&self, name: &'static str, cause: Cause) {
        let (place, after) = (self.place, self.started.elapsed());
        if !self.collects {
            self.close();
        }
        self.books().failures.push(Failure { name: Some(name.into()), place, after, restarts: 0, cause });
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
        self.poll_books(cx, |books| !books.failures.is_empty() && !self.collects)
    }

    /// Ready when nobody is in the group.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let empty = self.poll_books(cx, |books| books.empty);
        if empty.is_ready() {
            self.unwatch();
        }
        empty
    }

    /// Ready when it is so; until then the waker is kept.
    fn poll_books(&self, cx: &Context<'_>, is_ready: impl Fn(&Books) -> bool) -> Poll<()> {
        let mut clone = None;
        loop {
            let mut books = self.books();
            if is_ready(&books) {
                return Poll::Ready(());
            }
            if books.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let Some(waker) = clone.take() else {
                // Not under the lock: it may run code of others.
                drop(books);
                clone = Some(cx.waker().clone());
                continue;
            };
            let old = books.waker.replace(waker);
            drop(books);
            // It may be the last one of a runtime with tasks of this group.
            drop(old);
            return Poll::Pending;
        }
    }

    /// Wakes the future of the group for nothing any more, until it asks for it.
    pub(super) fn unwatch(&self) {
        let waker = self.books().waker.take();
        drop(waker);
    }

    /// Wakes tasks on a page of the roll to abort, and gives the page after it.
    pub(super) fn abort(
        &self,
        page: Page,
        which: fn(State) -> bool,
        panics: &mut FirstPanic,
    ) -> Option<Page> {
        self.roll.abort(page, which, panics)
    }

    /// Why the group stops, in words.
    pub(super) fn why(&self) -> String {
        self.books().failures.first().map_or_else(|| "the body panicked".to_owned(), ToString::to_string)
    }

    /// Takes what failed.
    pub(super) fn failures(&self) -> Vec<Failure> {
        mem::take(&mut self.books().failures)
    }

    /// What the group gives in the end: the value of its body if nothing failed.
    pub(super) fn verdict<R>(&self, value: Option<R>) -> Result<R, GroupError> {
        let failures = self.failures();
        match value {
            Some(value) if failures.is_empty() => Ok(value),
            _ => {
                let (finished, cancelled) = self.roll.counts();
                Err(GroupError::new(failures, finished, cancelled))
            }
        }
    }
}
