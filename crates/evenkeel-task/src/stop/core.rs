//! The two signals of a [`Stop`](super::Stop), its reason and its parent, shared by all of its handles.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock, Weak},
    task::{Wake, Waker},
};

use evenkeel_base::FirstPanic;

use super::signal::Signal;

pub(super) struct Core {
    pub(super) drain: Signal,
    pub(super) abort: Signal,
    pub(super) reason: OnceLock<Cow<'static, str>>,
    pub(super) parent: Option<Arc<Core>>,
}

#[derive(Clone, Copy)]
pub(super) enum SignalKind {
    Drain,
    Abort,
}

impl Core {
    pub(super) fn signal(&self, kind: SignalKind) -> &Signal {
        match kind {
            SignalKind::Drain => &self.drain,
            SignalKind::Abort => &self.abort,
        }
    }

    /// Returns the waker that sends one of the signals when that of the parent is sent.
    pub(super) fn upstream_waker(self: &Arc<Self>, kind: SignalKind) -> Waker {
        Arc::new(UpstreamWaker { core: Arc::downgrade(self), kind }).into()
    }
}

/// A loop and no recursion: there may be any number of parents.
impl Drop for Core {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(core) = parent {
            parent = Arc::into_inner(core).and_then(|mut core| core.parent.take());
        }
    }
}

/// Sends a signal when that of its parent is sent.
struct UpstreamWaker {
    // Weak, as the core owns the waker. Each waiter keeps the core alive.
    core: Weak<Core>,
    kind: SignalKind,
}

impl Wake for UpstreamWaker {
    fn wake(self: Arc<Self>) {
        if let Some(core) = self.core.upgrade() {
            // Not resumed: the caller sent another signal, and tokio-util would lose the wakes behind this one.
            core.signal(self.kind).send(&mut FirstPanic::default());
        }
    }
}
