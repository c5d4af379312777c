//! The records of batches, maps and workers, and their descriptions.

use std::{
    borrow::Cow,
    cell::Cell,
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
    Backlog, FirstSeen, HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge,
    read_clock, register, skips_clock,
};
use tokio::time::Instant;

use super::item_cell::ItemCell;

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

    /// Notes that the task that runs waits now: a future may go to another task after its first poll.
    pub(crate) fn polled_here(&mut self) {
        if let Some((_, task, _)) = &mut self.0 {
            *task = TaskId::current();
        }
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

/// The items of a worker, as its map sees them.
#[derive(Clone, Debug)]
pub(crate) struct ItemEdge {
    items: Option<Arc<WorkerItems>>,
    // The last item that a look saw without a time.
    seen: Cell<FirstSeen>,
}

#[derive(Debug)]
struct WorkerItems {
    task: TaskId,
    base: Instant,
    cell: ItemCell,
}

impl ItemEdge {
    pub(crate) fn none() -> Self {
        Self { items: None, seen: Cell::default() }
    }

    /// Describes the item that is pending. One that began without a reading of the clock has the time of the first look.
    pub(crate) fn holder(&self, call: CallPlace, now: Instant) -> Option<HolderEdge> {
        let items = self.items.as_ref()?;
        let (now, (number, read)) = (items.nanos(now), items.cell.get()?);
        let since = read.unwrap_or_else(|| {
            let mut seen = self.seen.get();
            let since = seen.since(number, now);
            self.seen.set(seen);
            since
        });
        let held_for = Duration::from_nanos(now.saturating_sub(since));
        let mut edge = HolderEdge::new(number, Some(items.task), call.0, held_for);
        edge.at_least = read.is_none();
        Some(edge)
    }
}

impl WorkerItems {
    /// Returns the time since the base, in nanoseconds, plus one.
    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).map_or(u64::MAX - 1, |nanos| nanos.saturating_add(1).min(u64::MAX - 1))
    }
}

/// The items of a worker, as it writes them: without a lock, and in most cases without a reading of the clock where items
/// follow each other within moments.
#[derive(Debug)]
pub(crate) struct ItemRecord {
    items: Option<Arc<WorkerItems>>,
    is_pending: bool,
    // The number of the last item.
    number: u64,
}

impl ItemRecord {
    pub(crate) const fn none() -> Self {
        Self { items: None, is_pending: false, number: 0 }
    }

    /// Notes that the item is pending; the first time, `enter` gets the edge of the worker.
    #[inline]
    pub(crate) fn is_pending(&mut self, enter: impl FnOnce(ItemEdge)) {
        if !mem::replace(&mut self.is_pending, true) {
            self.begin(enter);
        }
    }

    #[inline]
    fn begin(&mut self, enter: impl FnOnce(ItemEdge)) {
        self.number += 1;
        match &self.items {
            Some(items) => {
                let since = (!skips_clock()).then(|| items.nanos(read_clock()));
                items.cell.begin(self.number, since);
            }
            None => self.begin_first(enter),
        }
    }

    #[inline(never)]
    fn begin_first(&mut self, enter: impl FnOnce(ItemEdge)) {
        static WORKERS: AtomicU64 = AtomicU64::new(1);
        let base = read_clock();
        // Of two workers no item has the same number, up to four billions of each.
        self.number = WORKERS.fetch_add(1, Relaxed) << 32;
        let items = Arc::new(WorkerItems { task: TaskId::current(), base, cell: ItemCell::new() });
        enter(ItemEdge { items: Some(Arc::clone(&items)), ..ItemEdge::none() });
        items.cell.begin(self.number, Some(items.nanos(base)));
        self.items = Some(items);
    }

    /// Notes that the worker has no item that is pending.
    #[inline]
    pub(crate) fn ends(&mut self) {
        if mem::replace(&mut self.is_pending, false)
            && let Some(items) = &self.items
        {
            items.cell.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Two readings that are closer than this are of a burst.
    const MOMENT: Duration = Duration::from_micros(20);

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_read_for_each_item() {
        let (mut record, mut edge) = (ItemRecord::none(), ItemEdge::none());
        let place = CallPlace::here();
        let mut numbers = Vec::new();
        for index in 0..100 {
            record.is_pending(|entered| {
                assert_eq!(index, 0, "it is entered once");
                edge = entered;
            });
            record.is_pending(|_| panic!("it is pending already"));
            advance(MOMENT * index).await;
            let holder = edge.holder(place, Instant::now()).unwrap();
            assert_eq!(holder.held_for, MOMENT * index);
            numbers.push(holder.number);
            record.ends();
            assert!(edge.holder(place, Instant::now()).is_none());
        }
        assert!(numbers.is_sorted_by(|a, b| a < b));
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_burst_a_look_gives_the_time() {
        let (mut record, mut edge) = (ItemRecord::none(), ItemEdge::none());
        let place = CallPlace::here();
        let mut untimed = 0;
        for _ in 0..100 {
            record.is_pending(|entered| edge = entered);
            advance(Duration::from_micros(1)).await;
            let held_for = edge.holder(place, Instant::now()).unwrap().held_for;
            untimed += usize::from(held_for.is_zero());
            advance(Duration::from_micros(1)).await;
            let later = edge.holder(place, Instant::now()).unwrap().held_for;
            assert_eq!(later, held_for + Duration::from_micros(1));
            record.ends();
        }
        // Two readings in a row, and one after each 32 items without one.
        assert_eq!(untimed, 100 - 4);
    }
}
