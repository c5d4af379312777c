//! The future that is spawned for a task of a group.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::admission::Gate;
use super::current;
use super::membership::Presence;
use super::registry::Key;
use super::task_entry::{Ended, Label, Member};
use crate::telemetry::{self, Span};
use crate::{CatchPanic, Cause, IntoResult, Panic, catch_panic};

pin_project! {
    /// Runs a task and tells its group how it ended, after its future has been dropped. Nobody needs a
    /// `JoinHandle`: the group aborts a task by waking it to find its gate shut.
    #[project = ChildProjection]
    pub(super) struct Child<F, G: Gate> {
        #[pin]
        future: CatchPanic<F>,
        // After the future: it goes first.
        gate: G,
        entry: Entry,
        span: Span,
        // Taken by the report, so that there is one.
        group: Option<Arc<Presence>>,
    }

    impl<F, G: Gate> PinnedDrop for Child<F, G> {
        fn drop(this: Pin<&mut Self>) {
            this.project().cut();
        }
    }
}

/// What the roll of the group has of a task.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nothing before its first poll.
    None(Label),
    Some {
        key: Key,
        waker: bool,
    },
}

impl From<Key> for Entry {
    fn from(key: Key) -> Self {
        Self::Some { key, waker: false }
    }
}

impl<F: Future, G: Gate> Child<F, G> {
    pub(super) fn new(future: F, gate: G, entry: Entry, group: Arc<Presence>) -> Self {
        telemetry::spawned();
        Self { future: catch_panic(future), gate, entry, span: Span::current(), group: Some(group) }
    }
}

impl<F, G: Gate> ChildProjection<'_, F, G> {
    fn end(&mut self, ended: Ended) {
        let Some(group) = self.group.take() else { return };
        self.span.within(|| {
            match self.entry {
                Entry::Some { key, .. } => group.leave(*key, ended),
                Entry::None(label) => group.pass(Member::new(label.take()), ended),
            }
            drop(group);
        });
    }

    /// Once it has been pending the group can wake it. Nothing is between it and the runtime, which gives a task the
    /// same waker at each poll.
    fn park(&mut self, cx: &Context<'_>) {
        if let (Some(group), Entry::Some { key, waker: waker @ false }) = (&self.group, &mut self.entry) {
            *waker = true;
            group.park(*key, cx.waker().clone());
        }
    }

    /// Drops the future where it is, unless it has ended.
    fn cancel(&mut self, is_cut: bool) {
        if self.group.is_some() {
            let drop = || current::within(self.group, || self.future.as_mut().cancel());
            let ended = match self.span.within(drop) {
                Ok(()) if is_cut => Ended::Failed(Cause::RuntimeShutdown),
                Ok(()) => Ended::Cancelled,
                Err(panic) => Ended::Failed(Cause::Panic(panic)),
            };
            self.end(ended);
        }
    }
}

impl<F, G: Gate> ChildProjection<'_, F, G> {
    fn is_shut(&self) -> bool {
        self.group.as_ref().is_none_or(|group| self.gate.is_shut(group))
    }

    /// The runtime drops the task: with its own end, unless the group has told it to end.
    fn cut(&mut self) {
        if self.group.is_some() {
            // Without a current runtime it was not spawned, and its spawner panics.
            let was_spawned = !G::ON_CURRENT || Handle::try_current().is_ok();
            self.cancel(was_spawned && !self.is_shut());
        }
    }
}

impl<F: Future<Output: IntoResult>, G: Gate> ChildProjection<'_, F, G> {
    /// From its first poll on the group can tell of the task.
    fn enter(&mut self) {
        if let (Some(group), Entry::None(label)) = (&self.group, &mut self.entry) {
            let key = group.enter(Member::new(label.take()).in_state(G::STATE));
            *self.entry = key.into();
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (&self.group, &self.entry) {
            (Some(group), Entry::Some { key, .. }) => self.gate.poll_turn(group, *key, cx),
            _ => Poll::Pending,
        }
    }

    fn poll_future(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let poll = || {
            // The conversion runs code of the user too: it drops a value and boxes an error.
            let convert = |output: Result<F::Output, Panic>| {
                output.and_then(|output| Panic::catch(|| output.into_result()))
            };
            self.future.as_mut().poll(cx).map(convert)
        };
        self.span.within(|| current::within(self.group, poll)).map(|result| match result {
            Ok(Ok(())) => Ended::Finished,
            Ok(Err(error)) => Ended::Failed(Cause::of(error)),
            Err(panic) => Ended::Failed(Cause::Panic(panic)),
        })
    }
}

impl<F: Future<Output: IntoResult>, G: Gate> Future for Child<F, G> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        this.enter();
        if !this.is_shut() {
            if this.poll_turn(cx).is_ready()
                && let Poll::Ready(ended) = this.poll_future(cx)
            {
                this.end(ended);
                return Poll::Ready(());
            }
            this.park(cx);
            // A group that began to stop in between has not seen the waker.
            if !this.is_shut() {
                return Poll::Pending;
            }
        }
        this.cancel(false);
        Poll::Ready(())
    }
}
