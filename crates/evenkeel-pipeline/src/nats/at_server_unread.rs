//! Without the feature `inspect` a consumer that gives nothing is not asked for its numbers.

use async_nats::jetstream::Context;

use super::JetStream;
use crate::AtServer;

/// Reads nothing.
pub(super) struct Numbers;

#[expect(clippy::unused_self, reason = "the same methods as with the feature")]
impl Numbers {
    pub(super) const fn new(_: &Context, _: &JetStream) -> Self {
        Self
    }

    pub(super) fn read_while<F: Future>(&self, come: F) -> F {
        come
    }

    pub(super) const fn forget(&self) {}

    pub(super) const fn handle(&self) -> Option<AtServer> {
        None
    }
}
