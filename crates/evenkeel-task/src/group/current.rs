//! The group whose task or body the thread is polling.

use std::{cell::Cell, sync::Arc};

use super::shared::Membership;
use crate::Stop;

thread_local! {
    static CURRENT: Cell<Option<Arc<Membership>>> = const { Cell::new(None) };
}

/// Runs `f`, a poll or a destructor, with the group in `slot` as the current one.
///
/// The slot and the thread swap their groups for that time, so no reference is counted.
pub(super) fn enter<T>(slot: &mut Option<Arc<Membership>>, f: impl FnOnce() -> T) -> T {
    struct SwapBack<'s>(&'s mut Option<Arc<Membership>>);
    impl Drop for SwapBack<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _back = SwapBack(slot);
    f()
}

fn swap(slot: &mut Option<Arc<Membership>>) {
    // A thread whose locals are being destroyed has no current group.
    let _ = CURRENT.try_with(|current| {
        let other = current.take();
        current.set(slot.take());
        *slot = other;
    });
}

/// Returns a membership in the current group.
pub(super) fn membership() -> Option<Arc<Membership>> {
    let current = CURRENT.try_with(|current| {
        let group = current.take();
        current.set(group.clone());
        group
    });
    current.ok().flatten()
}

/// Returns a stop signal that drains with the current group, or an independent one without a group.
pub(crate) fn stop() -> Stop {
    match membership() {
        // It does not abort with the group: the abort drops the tasks, which abort their own parts on drop.
        Some(group) => group.stop.drain_child(),
        None => Stop::new(),
    }
}
