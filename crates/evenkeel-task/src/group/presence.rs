//! Being in a group.

use std::ops::Deref;
use std::sync::Arc;

use super::members::Members;

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
        self.0.emptied();
    }
}
