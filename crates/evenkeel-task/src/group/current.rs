//! The group whose task or body the thread is polling.

use std::{cell::Cell, mem::ManuallyDrop, sync::Arc};

use super::shared::Membership;
use crate::Stop;

thread_local! {
    // A value without a destructor is read without a look at whether the thread has ended. Each group that is put here is
    // taken out again, so none is left to be dropped.
    static CURRENT: Cell<ManuallyDrop<Option<Arc<Membership>>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// Runs `f`, a poll or a destructor, with the group in `slot` as the current one.
///
/// The slot and the thread swap their groups for that time, so no reference is counted.
#[inline]
pub(super) fn enter<T>(slot: &mut Option<Arc<Membership>>, f: impl FnOnce() -> T) -> T {
    struct SwapBack<'s>(&'s mut Option<Arc<Membership>>);
    impl Drop for SwapBack<'_> {
        #[inline]
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _back = SwapBack(slot);
    f()
}

#[inline]
fn swap(slot: &mut Option<Arc<Membership>>) {
    let other = CURRENT.replace(ManuallyDrop::new(slot.take()));
    *slot = ManuallyDrop::into_inner(other);
}

/// Returns a membership in the current group.
pub(super) fn membership() -> Option<Arc<Membership>> {
    let mut group = None;
    swap(&mut group);
    let membership = group.clone();
    swap(&mut group);
    membership
}

/// Returns a stop signal that drains with the current group, or an independent one without a group.
pub(crate) fn stop() -> Stop {
    match membership() {
        // It does not abort with the group: the abort drops the tasks, which abort their own parts on drop.
        Some(group) => group.stop.drain_child(),
        None => Stop::new(),
    }
}
