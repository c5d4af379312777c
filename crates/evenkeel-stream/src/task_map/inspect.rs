//! A map in the dumps of evenkeel-inspect: its items in flight, and what its consumer and its source wait for.

use std::cmp::Reverse;

use evenkeel_inspect::{Inspect, Inspected, InspectedResource, copy_chunks};
use futures_core::Stream;
use tokio::time::Instant;

use super::shared::Shared;

impl<S, V, T, E> Inspect for Shared<S, V, T, E>
where
    S: Stream + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut map = InspectedResource::new("parallel map", 0);
        map.place = Some(self.call.0);
        let expected = self.with(|state| state.workers.alive());
        copy_chunks(&mut map.holders, expected, |entries, holders| {
            self.with(|state| {
                holders
                    .extend(state.workers.items_in(entries).filter_map(|item| item.holder(self.call, now)));
                state.workers.entry_count()
            })
        });
        let results = self.with(|state| {
            let in_flight = state.started - state.finished;
            if state.is_closed() || state.ended && in_flight == 0 && state.results.len() == 0 {
                return None;
            }
            // No item comes any more behind the end of the source.
            (map.in_use, map.capacity) = (in_flight, state.workers.limit() as u64);
            if state.ended {
                map.capacity = in_flight;
            }
            let consumer = Some(state.consumer_wait).filter(|_| state.consumer.is_some());
            let waits = [(consumer, "a result"), (Some(state.source_wait.wait()), "an item of the source")];
            map.waiters =
                waits.iter().filter_map(|(wait, label)| wait.as_ref()?.edge(self.call, label, now)).collect();
            Some(state.results.len())
        })?;
        map.holders.sort_by_key(|holder| Reverse(holder.held_for));
        if results > 0 {
            map.notes.push(format!("{results} results wait for the consumer"));
        }
        Some(Inspected::Resource(map))
    }
}
