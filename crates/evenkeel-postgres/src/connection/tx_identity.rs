//! A look at the transaction that a session is in: whether it is still the same one.

use std::sync::Mutex;

use crate::connection::lock;

/// Tells one transaction from another: the microsecond in which it began.
///
/// It is read by the server's functions alone, whatever the search path, and in the same form for all settings.
pub(crate) const IDENTITY: &str = "SELECT pg_catalog.int8(pg_catalog.float8mul(\
    pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()), 1000000))";

/// What is known of the transaction.
#[derive(Default)]
pub(crate) struct Watch {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    // None before it was first asked for; the inner one where the server does not tell.
    identity: Option<Option<String>>,
    is_unsure: bool,
    has_ended: bool,
}

impl Watch {
    /// Begins with another transaction.
    pub(crate) fn begin(&self) {
        *lock(&self.known) = Known::default();
    }

    pub(crate) fn is_known(&self) -> bool {
        lock(&self.known).identity.is_some()
    }

    pub(crate) fn know(&self, identity: Option<String>) {
        lock(&self.known).identity = Some(identity);
    }

    /// Whether it is the same one as before.
    pub(crate) fn is_same(&self, identity: &Option<String>) -> bool {
        let mut known = lock(&self.known);
        let is_same = known.identity.as_ref() == Some(identity);
        (known.is_unsure, known.has_ended) = (false, known.has_ended || !is_same);
        is_same
    }

    /// It has failed, so that the server does not tell.
    pub(crate) fn doubt(&self) {
        lock(&self.known).is_unsure = true;
    }

    pub(crate) fn is_unsure(&self) -> bool {
        lock(&self.known).is_unsure
    }

    pub(crate) fn end(&self) {
        lock(&self.known).has_ended = true;
    }

    /// Whether a statement has ended it, or was to.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.known).has_ended
    }
}
