//! A map that takes items from its source while its consumer is busy: a task does so, until the consumer comes back.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _};

use super::{
    Fault,
    map::{AbortOnDrop, FaultyMap, Output},
};

pub(super) struct RefilledMap {
    map: Arc<Mutex<FaultyMap>>,
    task: Option<AbortOnDrop>,
}

impl RefilledMap {
    pub(super) fn new(map: FaultyMap) -> Self {
        Self { map: Arc::new(Mutex::new(map)), task: None }
    }
}

fn lock(map: &Mutex<FaultyMap>) -> MutexGuard<'_, FaultyMap> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream for RefilledMap {
    type Item = Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Output>> {
        self.task = None;
        let mut map = lock(&self.map);
        // A task that has waited for the lock must not take the place of this waker at the source.
        map.turn += 1;
        let polled = map.poll_next_unpin(cx);
        let waits = !matches!(map.fault, Fault::AsksItsSourceWhenPolled | Fault::RefillsWhenItComesBack);
        if waits && matches!(polled, Poll::Ready(Some(_))) && map.has_source() {
            let (turn, shared) = (map.turn, self.map.clone());
            let work = poll_fn(move |cx| {
                let mut map = lock(&shared);
                if map.turn == turn {
                    map.fill(cx);
                }
                if map.turn == turn && map.has_source() { Poll::Pending } else { Poll::Ready(()) }
            });
            drop(map);
            self.task = Some(AbortOnDrop(tokio::spawn(work)));
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        lock(&self.map).size_hint()
    }
}
