//! The future that is spawned for a task of a group, or for detached work.
//!
//! # How it works
//!
//! At its first poll a [`Child`] registers itself. It asks its [`Admission`] before each poll whether it has to end or to
//! wait, and polls the user's future with its group as the current one. A group has no `JoinHandle`: it aborts a task by
//! waking it to find that it must end; the task then drops its future itself.
//!
//! - **The future is dropped before the end is recorded**, and the membership is dropped last: an empty group has run all
//!   destructors.
//! - **An end is recorded once**, also if the runtime drops the task: the method that records it takes `group`.
//! - **No abort is lost**: the task stores its waker, and asks again whether it must end, before it returns `Pending`.
//! - **Foreign code is caught**: a panic of the future, its output or a destructor is the end of this task.

use std::{
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::{
    admission::{Admission, Detached, Limited, Unlimited},
    current,
    handle::{Abortable, KeepValue, Outcome, TaskHandle},
    registry::TaskKey,
    shared::Membership,
    task_entry::{State, TaskEnd, TaskEntry, TaskName},
};
use crate::{
    CatchPanic, Cause, IntoResult, Panic, catch_panic,
    telemetry::{self, Span, in_current_span},
};

pin_project! {
    #[project = ChildProjection]
    struct Child<F, A: Admission> {
        #[pin]
        future: CatchPanic<F>,
        // Declared after the future: a slot is freed when the future has been dropped.
        admission: A,
        listing: Listing,
        span: Span,
        // Taken when the end is recorded.
        group: Option<Arc<Membership>>,
    }

    impl<F, A: Admission> PinnedDrop for Child<F, A> {
        fn drop(this: Pin<&mut Self>) {
            this.project().on_drop();
        }
    }
}

/// Whether the task is in the registry of its group.
#[derive(Debug)]
pub(super) enum Listing {
    Unlisted(TaskName),
    Listed { key: TaskKey, has_waker: bool },
}

impl From<TaskKey> for Listing {
    fn from(key: TaskKey) -> Self {
        Self::Listed { key, has_waker: false }
    }
}

/// Spawns a task into a group that is open.
#[track_caller]
pub(super) fn spawn<F>(group: Arc<Membership>, listing: Listing, future: F)
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    drop(match &group.slots {
        None => tokio::spawn(Child::new(future, Unlimited, listing, group)),
        Some(slots) => tokio::spawn(Child::new(future, Limited::new(slots), listing, group)),
    });
}

/// Spawns a task with a handle into a group that is open.
#[track_caller]
pub(super) fn spawn_with_handle<F, T>(group: Arc<Membership>, listing: Listing, future: F) -> TaskHandle<T>
where
    F: Future<Output: IntoResult<Value = T>> + Send + 'static,
    T: Send + 'static,
{
    let outcome = Arc::new(Outcome::new());
    let future = KeepValue::new(future, &outcome);
    let task = match &group.slots {
        None => {
            let admission = Abortable::new(Unlimited, Arc::clone(&outcome));
            tokio::spawn(Child::new(future, admission, listing, group))
        }
        Some(slots) => {
            let admission = Abortable::new(Limited::new(slots), Arc::clone(&outcome));
            tokio::spawn(Child::new(future, admission, listing, group))
        }
    };
    TaskHandle::new(task, outcome)
}

/// Spawns work that goes on when its caller is gone, and that ends by itself.
///
/// The current group waits for it, does not abort it, and records its failure. Without a group it is a task of the
/// runtime alone, and its failure is dropped.
pub(crate) fn spawn_detached<F>(
    name: &'static str,
    place: &'static Location<'static>,
    runtime: &Handle,
    work: F,
) where
    F: Future<Output: IntoResult> + Send + 'static,
{
    match current::membership() {
        Some(group) => {
            let key = group.registry.insert(TaskEntry::new(TaskName::new(name, place), State::Detached));
            drop(runtime.spawn(Child::new(work, Detached, key.into(), group)));
        }
        None => {
            let work = catch_panic(async move { work.await.into_result() });
            drop(runtime.spawn(in_current_span(work)));
        }
    }
}

impl<F: Future, A: Admission> Child<F, A> {
    fn new(future: F, admission: A, listing: Listing, group: Arc<Membership>) -> Self {
        telemetry::count_spawned();
        Self { future: catch_panic(future), admission, listing, span: Span::current(), group: Some(group) }
    }
}

impl<F, A: Admission> ChildProjection<'_, F, A> {
    fn must_end(&self) -> bool {
        self.group.as_ref().is_none_or(|group| self.admission.must_end(group))
    }

    fn end(&mut self, end: TaskEnd) {
        let Some(group) = self.group.take() else { return };
        self.span.in_scope(|| {
            self.admission.on_end(&end);
            let key = match self.listing {
                Listing::Listed { key, .. } => *key,
                // The task was never polled: it is registered to be counted.
                Listing::Unlisted(name) => {
                    group.registry.insert(TaskEntry::new(name.take(), A::INITIAL_STATE))
                }
            };
            group.record_end(key, end);
            drop(group);
        });
    }

    /// Stores the waker for an abort, at the first poll that is pending. The runtime passes the same one to each poll.
    fn set_waker(&mut self, cx: &Context<'_>) {
        if let (Some(group), Listing::Listed { key, has_waker: has_waker @ false }) =
            (&self.group, &mut self.listing)
        {
            *has_waker = true;
            *key = group.registry.set_waker(*key, cx.waker().clone());
        }
    }

    /// Drops the future in place, unless it has ended.
    fn cancel(&mut self, by_runtime: bool) {
        if self.group.is_some() {
            let drop = || current::enter(self.group, || self.future.as_mut().cancel());
            let end = match self.span.in_scope(drop) {
                Ok(()) if by_runtime => TaskEnd::Failed(Cause::RuntimeShutdown),
                Ok(()) => TaskEnd::Cancelled,
                Err(panic) => TaskEnd::Failed(Cause::Panic(panic)),
            };
            self.end(end);
        }
    }

    /// The runtime drops the task: a failure, unless the group has told the task to end.
    fn on_drop(&mut self) {
        if self.group.is_some() {
            // Without a current runtime the task was never spawned, and `tokio::spawn` panics.
            let was_spawned = !A::ON_CURRENT_RUNTIME || Handle::try_current().is_ok();
            self.cancel(was_spawned && !self.must_end());
        }
    }
}

impl<F: Future<Output: IntoResult>, A: Admission> ChildProjection<'_, F, A> {
    fn register(&mut self) {
        if let (Some(group), Listing::Unlisted(name)) = (&self.group, &mut self.listing) {
            let key = group.registry.insert_in_first_poll(TaskEntry::new(name.take(), A::INITIAL_STATE));
            *self.listing = key.into();
        }
    }

    fn poll_admit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (&self.group, &self.listing) {
            (Some(group), Listing::Listed { key, .. }) => self.admission.poll_admit(group, *key, cx),
            _ => Poll::Pending,
        }
    }

    fn poll_future(&mut self, cx: &mut Context<'_>) -> Poll<TaskEnd> {
        let poll = || {
            // The conversion is foreign code, too: it drops a value and boxes an error.
            let convert = |output: Result<F::Output, Panic>| {
                output.and_then(|output| Panic::catch(|| output.into_result()))
            };
            self.future.as_mut().poll(cx).map(convert)
        };
        self.span.in_scope(|| current::enter(self.group, poll)).map(|result| match result {
            Ok(Ok(())) => TaskEnd::Finished,
            Ok(Err(error)) => TaskEnd::Failed(Cause::of(error)),
            Err(panic) => TaskEnd::Failed(Cause::Panic(panic)),
        })
    }
}

impl<F: Future<Output: IntoResult>, A: Admission> Future for Child<F, A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        this.register();
        if !this.must_end() {
            if this.poll_admit(cx).is_ready()
                && let Poll::Ready(end) = this.poll_future(cx)
            {
                this.end(end);
                return Poll::Ready(());
            }
            this.set_waker(cx);
            // A group that began to stop meanwhile has not seen the waker.
            if !this.must_end() {
                return Poll::Pending;
            }
        }
        this.cancel(false);
        Poll::Ready(())
    }
}
