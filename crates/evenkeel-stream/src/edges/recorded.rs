//! The records of batches, maps and workers, and their descriptions.

use std::{
    borrow::Cow,
    mem,
    panic::Location,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_inspect::{
    Backlog, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, register,
};
use tokio::time::Instant;

/// The place of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallPlace(pub(crate) &'static Location<'static>);

impl CallPlace {
    /// Returns the place of the caller of the function that calls this.
    #[inline]
    #[track_caller]
    pub(crate) const fn here() -> Self {
        Self(Location::caller())
    }
}

/// A wait of a task, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitRecord(Option<(u64, TaskId, Instant)>);

impl WaitRecord {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Returns the record of a wait of the task that runs, which begins now.
    pub(crate) fn here() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Self(Some((NUMBERS.fetch_add(1, Relaxed), TaskId::current(), Instant::now())))
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Describes it, as a wait for something in words, at this place.
    pub(crate) fn edge(&self, call: CallPlace, label: &str, now: Instant) -> Option<WaiterEdge> {
        let (number, task, since) = self.0?;
        let mut edge = WaiterEdge::new(number, task, call.0, now.saturating_duration_since(since));
        edge.label = Some(label.to_owned());
        Some(edge)
    }
}

/// The wait of a worker for the source of a map, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceWait {
    wait: WaitRecord,
    items: u64,
}

impl SourceWait {
    pub(crate) const fn none() -> Self {
        Self { wait: WaitRecord::none(), items: 0 }
    }

    /// Begins to wait, unless it waits already, and the source has brought no more items than these.
    pub(crate) fn begin(&mut self, items: u64) {
        if self.wait.is_none() || self.items != items {
            *self = Self { wait: WaitRecord::here(), items };
        }
    }

    pub(crate) const fn wait(&self) -> WaitRecord {
        self.wait
    }
}

/// A stream of batches.
#[derive(Debug)]
pub(crate) struct BatchEdge {
    name: Option<Cow<'static, str>>,
    call: CallPlace,
    max: usize,
    // Registered when it waits for the first time.
    object: Option<Arc<BatchObject>>,
}

#[derive(Debug)]
struct BatchObject {
    name: Option<Cow<'static, str>>,
    call: CallPlace,
    max: usize,
    state: Mutex<BatchState>,
    _registration: Registration,
}

#[derive(Debug)]
struct BatchState {
    wait: WaitRecord,
    items: usize,
    until: Option<Instant>,
    /// When it was seen first that the batch has items.
    began: Option<Instant>,
    /// The batches that had to wait, and the time that they took.
    filled: u32,
    filling: Duration,
}

impl BatchEdge {
    pub(crate) const fn new(call: CallPlace, max: usize) -> Self {
        Self { name: None, call, max, object: None }
    }

    /// Sets the name and the place of the batch, before it waits.
    pub(crate) fn set_title(&mut self, name: Cow<'static, str>, call: CallPlace) {
        (self.name, self.call) = (Some(name), call);
    }

    /// Notes that the task that runs waits for a batch, which has so many items.
    pub(crate) fn waits(&mut self, items: usize, until: Option<Instant>) {
        let object = self.object.get_or_insert_with(|| {
            Arc::new_cyclic(|object: &Weak<BatchObject>| BatchObject {
                name: self.name.clone(),
                call: self.call,
                max: self.max,
                state: Mutex::new(BatchState {
                    wait: WaitRecord::none(),
                    items: 0,
                    until: None,
                    began: None,
                    filled: 0,
                    filling: Duration::ZERO,
                }),
                _registration: register(object.clone()),
            })
        });
        let mut state = lock(&object.state);
        if state.wait.is_none() {
            state.wait = WaitRecord::here();
        }
        if items > 0 && state.began.is_none() {
            state.began = Some(Instant::now());
        }
        (state.items, state.until) = (items, until);
    }

    /// Notes that the batch has ended.
    #[inline]
    pub(crate) fn ends(&self) {
        if let Some(object) = &self.object {
            let mut state = lock(&object.state);
            if let Some(began) = state.began.take() {
                state.filled = state.filled.saturating_add(1);
                state.filling = state.filling.saturating_add(began.elapsed());
            }
            (state.wait, state.items) = (WaitRecord::none(), 0);
        }
    }
}

impl Inspect for BatchObject {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let state = lock(&self.state);
        let label = if state.items == 0 { "an item" } else { "more items" };
        let mut waiter = state.wait.edge(self.call, label, now)?;
        waiter.until = state.until;
        let mut batch = InspectedResource::new("batch", self.max as u64);
        (batch.name, batch.place) = (self.name.clone(), Some(self.call.0));
        batch.in_use = state.items as u64;
        batch.waiters.push(waiter);
        if let (Some(began), None) = (state.began, state.until) {
            let mut backlog = Backlog::new(batch.in_use, now.saturating_duration_since(began));
            backlog.usual = state.filling.checked_div(state.filled);
            batch.backlog = Some(backlog);
            batch.notes.push("it has no time limit: its items wait until there are enough".to_owned());
        }
        Some(Inspected::Resource(batch))
    }
}

/// Whether an item of a worker has a record.
#[derive(Debug)]
pub(crate) struct ItemRecord(bool);

impl ItemRecord {
    pub(crate) const fn none() -> Self {
        Self(false)
    }

    /// Returns whether it has none, and has one from now on.
    pub(crate) const fn is_new(&mut self) -> bool {
        !mem::replace(&mut self.0, true)
    }

    #[inline]
    pub(crate) const fn take(&mut self) -> bool {
        mem::replace(&mut self.0, false)
    }
}
