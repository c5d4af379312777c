//! The group whose task, or body, runs on this thread just now.

use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::child::Child;
use super::members::{Member, Members};
use crate::{IntoResult, Stop, catch_panic};

thread_local! {
    static CURRENT: Cell<Option<Arc<Members>>> = const { Cell::new(None) };
}

/// Runs `f`, a poll or a destructor, as work of the group in the slot.
///
/// The slot and the thread swap their groups meanwhile, so it counts no references.
pub(super) fn within<T>(slot: &mut Option<Arc<Members>>, f: impl FnOnce() -> T) -> T {
    struct SwapBack<'s>(&'s mut Option<Arc<Members>>);
    impl Drop for SwapBack<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _back = SwapBack(slot);
    f()
}

fn swap(slot: &mut Option<Arc<Members>>) {
    // A thread that is going away has no group, and needs none.
    let _ = CURRENT.try_with(|current| {
        let theirs = current.take();
        current.set(slot.take());
        *slot = theirs;
    });
}

pub(super) fn current() -> Option<Arc<Members>> {
    let current = CURRENT.try_with(|current| {
        let members = current.take();
        current.set(members.clone());
        members
    });
    current.ok().flatten()
}

/// The stop signal of the group that runs here.
pub(crate) fn stop() -> Option<Stop> {
    current().map(|members| members.stop.clone())
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
        let lodging = current().and_then(|members| {
            let key = members.lodge(Member::guest(self.name, self.place))?;
            Some((members, key))
        });
        match lodging {
            Some((members, key)) => drop(self.runtime.spawn(Child::new(work, key, members))),
            None => drop(self.runtime.spawn(catch_panic(async move { work.await.into_result() }))),
        }
    }
}
