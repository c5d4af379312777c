//! The messages that a worker has in hand.

use std::collections::BTreeMap;

use tokio::{task::AbortHandle, time::Instant};

use super::server::Delivery;

/// A delivery in hand.
pub(super) struct Held {
    pub(super) delivery: Delivery,
    pub(super) since: Instant,
    pub(super) lease_ends: Instant,
    pub(super) extensions: u32,
    /// Parts that have not ended.
    pub(super) open: usize,
    /// Parts that are worked on.
    pub(super) running: usize,
    pub(super) failure: Option<String>,
    pub(super) is_exhausted: bool,
    pub(super) tasks: Vec<AbortHandle>,
}

impl Held {
    pub(super) fn new(delivery: Delivery, lease_ends: Instant) -> Self {
        let (failure, tasks) = (None, Vec::new());
        Self {
            delivery,
            since: Instant::now(),
            lease_ends,
            extensions: 0,
            open: 0,
            running: 0,
            failure,
            is_exhausted: false,
            tasks,
        }
    }

    pub(super) fn abort(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
        self.running = 0;
    }
}

/// By the number of the delivery.
pub(super) type Hand = BTreeMap<u64, Held>;
