//! The implementations in other processes that the rule on this thread uses, as the rules of a pattern see them.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

/// An implementation in another process.
pub(crate) trait Apart {
    /// Lets it run what is due now, if something is queued for it or in any case. Returns whether it was asked.
    fn flush(&self, in_any_case: bool) -> bool;

    /// Sends its process a signal.
    fn signal(&self, name: &str);
}

thread_local! {
    /// In the order in which the rule has begun to use them.
    static USED: RefCell<Vec<Weak<dyn Apart>>> = const { RefCell::new(Vec::new()) };
}

/// The rule on this thread uses it from now on.
pub(crate) fn register(apart: Weak<dyn Apart>) {
    USED.with_borrow_mut(|used| {
        used.retain(|apart| apart.strong_count() > 0);
        used.push(apart);
    });
}

fn used() -> Vec<Arc<dyn Apart>> {
    USED.with_borrow(|used| used.iter().filter_map(Weak::upgrade).collect())
}

/// Lets those of this thread run what is due now: those for which something is queued, or all. Returns whether there was any.
pub(crate) fn flush(all: bool) -> bool {
    let mut is_asked = false;
    for apart in used() {
        is_asked |= apart.flush(all);
    }
    is_asked
}

/// Sends a signal to the process of the last one.
pub(crate) fn signal(name: &str) {
    if let Some(apart) = used().last() {
        apart.signal(name);
    }
}
