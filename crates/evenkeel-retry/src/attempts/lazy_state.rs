//! The pointer to the state of a call, whose drop costs a call without a state nothing.

use std::{mem::forget, pin::Pin};

use crate::call_state::CallState;

/// The state of a call, `None` while the call has not needed it.
pub(super) struct LazyState(pub(super) Option<Pin<Box<CallState>>>);

impl Drop for LazyState {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            discard(&mut self.0);
            // It is `None` now. This tells the compiler, which then leaves the drop of the fields out of the fast path.
            forget(self.0.take());
        }
    }
}

#[cold]
#[inline(never)]
fn discard(state: &mut Option<Pin<Box<CallState>>>) {
    *state = None;
}
