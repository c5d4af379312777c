//! The group whose task, or body, runs on this thread just now.

use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::admission::Guest;
use super::child::Child;
use super::membership::Presence;
use super::task_entry::{Label, Member};
use super::task_info::State;
use crate::telemetry::in_current_span;
use crate::{IntoResult, Stop, catch_panic};

thread_local! {
    static CURRENT: Cell<Option<Arc<Presence>>> = const { Cell::new(None) };
}

/// Runs `f`, a poll or a destructor, as work of the group in the slot.
///
/// The slot and the thread swap their groups meanwhile, so it counts no references.
pub(super) fn within<T>(slot: &mut Option<Arc<Presence>>, f: impl FnOnce() -> T) -> T {
    struct SwapBack<'s>(&'s mut Option<Arc<Presence>>);
    impl Drop for SwapBack<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _back = SwapBack(slot);
    f()
}

fn swap(slot: &mut Option<Arc<Presence>>) {
    // A thread that is going away has no group, and needs none.
    let _ = CURRENT.try_with(|current| {
        let theirs = current.take();
        current.set(slot.take());
        *slot = theirs;
    });
}

pub(super) fn membership() -> Option<Arc<Presence>> {
    let current = CURRENT.try_with(|current| {
        let group = current.take();
        current.set(group.clone());
        group
    });
    current.ok().flatten()
}

/// The stop signal of the group that runs here.
pub(crate) fn stop() -> Option<Stop> {
    membership().map(|group| group.stop.clone())
}

/// Work that is left over when its caller is gone, and that has to end by itself.
pub(crate) struct Orphan {
    pub(crate) name: &'static str,
    pub(crate) place: &'static Location<'static>,
    pub(crate) runtime: Handle,
}

impl Orphan {
    /// Hands the work to the group that runs here: it waits for the work, does not abort it, and takes its
    /// failure as its own. Without a group it runs as a task of its own.
    pub(crate) fn adopt<F>(self, work: F)
    where
        F: Future<Output: IntoResult> + Send + 'static,
    {
        match membership() {
            Some(group) => {
                let key =
                    group.enter(Member::new(Label::new(self.name, self.place)).in_state(State::Leaving));
                drop(self.runtime.spawn(Child::new(work, Guest, key.into(), group)));
            }
            None => {
                let work = catch_panic(async move { work.await.into_result() });
                drop(self.runtime.spawn(in_current_span(work)));
            }
        }
    }
}
