//! A lease of the pool.

use std::{mem, sync::Arc, thread};

use evenkeel_tck::pool::{Lease, Object};
use tokio::{task, time::Instant};

use super::{
    Fault,
    shared::Shared,
    state::{Entry, Out},
};

pub(super) struct Leased {
    shared: Arc<Shared>,
    entry: Option<Entry>,
    ticket: u64,
}

impl Leased {
    pub(super) fn new(shared: &Arc<Shared>, entry: Entry, ticket: u64) -> Self {
        shared.update(|state, _| {
            let (since, task) = (Instant::now(), task::try_id());
            let object = entry.object.clone();
            state.leases.insert(ticket, Out { since, task, object });
        });
        Self { shared: shared.clone(), entry: Some(entry), ticket }
    }

    /// For a caller without a place in the queue.
    pub(super) fn lent_to_try(shared: &Arc<Shared>, entry: Entry) -> Self {
        let ticket = shared.state().ticket();
        Self::new(shared, entry, ticket)
    }

    /// Ends the lease. Returns the object, unless another lease has it, too.
    fn end(&mut self) -> Option<Entry> {
        let (ticket, shared) = (self.ticket, self.shared.clone());
        let out = shared.update(|state, effects| {
            let out = state.leases.remove(&ticket)?;
            state.returned.push(out.since);
            effects.wakers.append(&mut state.closes);
            Some(out)
        });
        drop(out);
        self.entry.take().filter(|entry| Arc::strong_count(&entry.object) == 1)
    }
}

impl Lease for Leased {
    fn object(&self) -> &Object {
        match &self.entry {
            Some(entry) => &entry.object,
            None => unreachable!("it is there until the lease ends"),
        }
    }

    fn discard(mut self: Box<Self>) {
        if self.shared.fault == Fault::ReturnsWhatIsDiscarded {
            return;
        }
        if let Some(entry) = self.end() {
            self.shared.discard(entry);
        }
    }

    fn detach(mut self: Box<Self>) -> Object {
        let object = self.end().and_then(|entry| Arc::into_inner(entry.object));
        if self.shared.fault != Fault::CountsWhatIsDetached {
            self.shared.update(|state, _| state.size -= 1);
        }
        object.unwrap_or_else(|| unreachable!("the only lease has it"))
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if self.entry.is_none() {
            return;
        }
        let Some(entry) = self.end() else { return };
        let shared = self.shared.clone();
        match shared.fault {
            Fault::LosesLeasesOfPanics if thread::panicking() => drop(entry),
            Fault::LeaksLeasesOfADroppedPool if shared.state().is_closed => mem::forget(entry),
            Fault::ReturnsInATask => drop(task::spawn(async move { shared.give_back(entry) })),
            _ => shared.give_back(entry),
        }
    }
}
