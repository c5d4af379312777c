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

use evenkeel_base::{FirstPanic, boxed_in_debug};
use pin_project_lite::pin_project;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    admission::{Admission, Detached, Limited, TakeOutput, TaskKind, Unlimited},
    current,
    probe::TaskProbe,
    registry::TaskKey,
    shared::Membership,
    task_entry::{FirstPoll, State, TaskEnd},
};
use crate::{
    CatchPanic, Cause, IntoResult, catch_panic,
    telemetry::{self, Span, in_current_span},
};

pin_project! {
    // It is moved and dropped with each task, and a small one makes the runtime's allocation half as large.
    struct Child<F, A: Admission> {
        #[pin]
        future: CatchPanic<F>,
        // Declared after the future: a slot is freed when the future has been dropped.
        admission: A,
        place: &'static Location<'static>,
        key: TaskKey,
        listing: Listing,
        span: Span,
        probe: TaskProbe,
        // Taken when the end is recorded.
        group: Option<Arc<Membership>>,
    }

    impl<F, A: Admission> PinnedDrop for Child<F, A> {
        fn drop(this: Pin<&mut Self>) {
            if this.group.is_some() {
                this.cut();
            }
        }
    }
}

/// Whether the task is in the registry of its group.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Listing {
    Unlisted,
    Listed,
    // Its waker is there, too.
    WithWaker,
}

/// Spawns a task into a group that is open; `key` is that of a task that is in the registry already.
#[inline(always)]
#[track_caller]
pub(super) fn spawn<F>(
    group: Arc<Membership>,
    place: &'static Location<'static>,
    key: Option<TaskKey>,
    kind: impl TaskKind<F::Output>,
    future: F,
) -> JoinHandle<()>
where
    F: Future<Output: IntoResult> + Send + 'static,
{
    let future = boxed_in_debug(future);
    match &group.slots {
        None => tokio::spawn(Child::new(future, kind.admission(Unlimited), place, key, group)),
        Some(slots) => {
            let admission = kind.admission(Limited::new(slots));
            tokio::spawn(Child::new(future, admission, place, key, group))
        }
    }
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
    let work = boxed_in_debug(work);
    match current::membership() {
        Some(group) => {
            let name = Some(Box::new(name.into()));
            let key = group.registry.insert(name, place, State::Detached);
            drop(runtime.spawn(Child::new(work, Detached, place, Some(key), group)));
        }
        None => {
            let work = catch_panic(async move { work.await.into_result() });
            drop(runtime.spawn(in_current_span(work)));
        }
    }
}

impl<F: Future, A: Admission> Child<F, A> {
    fn new(
        future: F,
        admission: A,
        place: &'static Location<'static>,
        key: Option<TaskKey>,
        group: Arc<Membership>,
    ) -> Self {
        telemetry::count_spawned();
        let listing = if key.is_some() { Listing::Listed } else { Listing::Unlisted };
        let (future, key, span) = (catch_panic(future), key.unwrap_or_default(), Span::current());
        Self { future, admission, place, key, listing, span, probe: TaskProbe::default(), group: Some(group) }
    }
}

impl<F, A: Admission> Child<F, A> {
    fn must_end(&self) -> bool {
        self.group.as_ref().is_none_or(|group| self.admission.must_end(group))
    }

    /// Records the end of a task whose future has been dropped.
    #[inline(never)]
    fn end(self: Pin<&mut Self>, end: TaskEnd) {
        let this = self.project();
        let Some(group) = this.group.take() else { return };
        this.span.in_scope(|| {
            if !matches!(end, TaskEnd::Finished) {
                this.admission.on_failure(&end);
            }
            if *this.listing == Listing::Unlisted {
                // The task was never polled: it is registered to be counted.
                let name = this.admission.take_name();
                this.probe.begin(&group, this.place, A::INITIAL_STATE, || name.as_deref().cloned());
                *this.key = group.registry.insert(name, this.place, A::INITIAL_STATE);
            }
            this.probe.end(&end);
            // A panic of a subscriber goes on behind the rest.
            let mut panics = FirstPanic::default();
            panics.catch(|| group.record_end(*this.key, end));
            this.admission.on_recorded();
            panics.catch(|| drop(group));
            panics.resume();
        });
    }

    /// Stores the waker for an abort, at the first poll that is pending. The runtime passes the same one to each poll.
    fn set_waker(self: Pin<&mut Self>, cx: &Context<'_>) {
        let this = self.project();
        if let (Some(group), Listing::Listed) = (&this.group, *this.listing) {
            *this.listing = Listing::WithWaker;
            this.admission.on_pending(cx);
            *this.key = group.registry.set_waker(*this.key, cx.waker().clone());
        }
    }

    /// Drops the future in place, unless it has ended.
    #[cold]
    fn cancel(mut self: Pin<&mut Self>, by_runtime: bool) {
        if self.group.is_some() {
            let this = self.as_mut().project();
            let drop = || current::enter(this.group, || this.future.cancel());
            let end = match this.span.in_scope(drop) {
                Ok(()) if by_runtime => TaskEnd::Failed(Cause::RuntimeShutdown),
                Ok(()) => TaskEnd::Cancelled,
                Err(panic) => TaskEnd::Failed(Cause::Panic(panic)),
            };
            self.end(end);
        }
    }

    /// The runtime drops a task that has not ended: a failure, unless the group has told the task to end.
    #[cold]
    fn cut(self: Pin<&mut Self>) {
        // Without a current runtime the task was never spawned, and `tokio::spawn` panics.
        let was_spawned = !A::ON_CURRENT_RUNTIME || Handle::try_current().is_ok();
        let by_runtime = was_spawned && !self.must_end();
        self.cancel(by_runtime);
    }
}

impl<F: Future<Output: IntoResult>, A: TakeOutput<F::Output>> Child<F, A> {
    fn poll_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let this = self.project();
        // The conversion is foreign code, too: it drops a value and boxes an error.
        let poll = || this.future.poll_and_convert(cx, |output| this.admission.take_output(output));
        this.span.in_scope(|| current::enter(this.group, poll)).map(|result| match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Cause::of(error)),
            Err(panic) => Err(Cause::Panic(panic)),
        })
    }

    /// Records the end of a task that did not fail. This is the way of most tasks, so it is short if it can be.
    fn finish(mut self: Pin<&mut Self>) {
        let this = self.as_mut().project();
        if let Some(group) = this.group
            && !telemetry::IS_ON
            && group.registry.finish_in_first_poll(*this.key)
        {
            this.probe.end(&TaskEnd::Finished);
            this.admission.on_recorded();
            *this.group = None;
        } else {
            self.end(TaskEnd::Finished);
        }
    }
}

impl<F: Future<Output: IntoResult>, A: TakeOutput<F::Output>> Future for Child<F, A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        let Some(group) = this.group else { return Poll::Ready(()) };
        if *this.listing == Listing::Unlisted {
            let name = this.admission.take_name();
            this.probe.begin(group, this.place, A::INITIAL_STATE, || name.as_deref().cloned());
            *this.key = match name {
                None => group.registry.insert_in_first_poll(FirstPoll::new(this.place, A::INITIAL_STATE)),
                name => group.registry.insert(name, this.place, A::INITIAL_STATE),
            };
            *this.listing = Listing::Listed;
        } else if *this.listing == Listing::Listed {
            // Registered before its first poll.
            this.probe.begin(group, this.place, A::INITIAL_STATE, || group.registry.name(*this.key));
        }
        this.probe.count_poll();
        if !this.admission.must_end(group) {
            let admitted = this.admission.poll_admit(group, *this.key, cx);
            if admitted.is_ready() && A::INITIAL_STATE == State::Waiting {
                this.probe.admit();
            }
            if admitted.is_ready()
                && let Poll::Ready(result) = self.as_mut().poll_future(cx)
            {
                match result {
                    Ok(()) => self.finish(),
                    Err(cause) => self.end(TaskEnd::Failed(cause)),
                }
                return Poll::Ready(());
            }
            self.as_mut().set_waker(cx);
            // A group that began to stop meanwhile has not seen the waker.
            if !self.must_end() {
                return Poll::Pending;
            }
        }
        self.cancel(false);
        Poll::Ready(())
    }
}
