//! Being in a group.

use std::ops::Deref;
use std::sync::Arc;

use super::shared::Members;
use crate::panic::FirstPanic;

/// Shared by the body and the tasks of a group: when the last of them lets it go the group is empty, and nobody can
/// come in any more. A handle holds it weakly.
#[derive(Debug)]
pub(super) struct Presence(pub(super) Arc<Members>);

impl Deref for Presence {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.0
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A loop and no recursion: groups within groups may be of any depth.
        let mut panics = FirstPanic::default();
        let mut heir = self.emptied(&mut panics);
        while let Some((outer, key)) = heir {
            outer.release(key);
            heir = Arc::into_inner(outer).and_then(|outer| outer.emptied(&mut panics));
        }
        panics.resume();
    }
}
