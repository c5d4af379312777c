//! The events of one turn.

use std::sync::Mutex;

use evenkeel_base::lock;
use serde_json::Value;
use tokio::sync::Notify;

use super::super::wire::{Object, object};

/// The events of one turn, which wake the root.
#[derive(Default)]
pub(super) struct Events {
    list: Mutex<Vec<Object>>,
    noted: Notify,
}

impl Events {
    pub(super) fn note(&self, event: Value) {
        lock(&self.list).push(object(event));
        self.noted.notify_one();
    }

    /// Waits until there is one. A note of an earlier turn may wake it, too.
    pub(super) async fn first(&self) {
        while self.is_empty() {
            self.noted.notified().await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.list).is_empty()
    }

    pub(super) fn take(&self) -> Vec<Object> {
        std::mem::take(&mut *lock(&self.list))
    }
}
