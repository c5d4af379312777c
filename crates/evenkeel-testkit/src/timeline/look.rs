//! A look at the objects of evenkeel-inspect, and the bars that begin and end between two of them.

use std::{cmp::Reverse, time::Duration};

use evenkeel_inspect::{HolderEdge, InspectedGroup, InspectedResource, TaskId, WaiterEdge, Waits};
use tokio::time::Instant;

use super::{
    open::{Edge, EdgeKey, EdgeKind, Open, Shown},
    picture::{Bar, BarKind, MAX_RESOURCES, MAX_USES, Mark, Nanos, Resource, Section, Use},
    state::State,
    words,
};

/// The most holders that a wait knows.
const MAX_HELD_BY: usize = 8;

impl State {
    pub(super) fn end_slot(&mut self, track: u32, at: Nanos) {
        if self.open.new_slots.remove(&track).is_none()
            && let Some(key) = self.open.slots.remove(&track)
        {
            self.end_bar(key, at);
        }
    }

    /// Enters that which was there when the runtime was idle.
    pub(super) fn enter_look(&mut self, now: Instant, waits: &Waits) {
        let Waits { resources, groups, shared, .. } = waits;
        let is_empty = resources.is_empty() && groups.is_empty() && shared.is_empty();
        if is_empty && self.open.edges.is_empty() {
            return;
        }
        let mut slots: Vec<_> = self.open.new_slots.drain().collect();
        slots.sort_unstable();
        for (track, start) in slots {
            let bar = Bar { text: "slot of its group".into(), ..Bar::new(BarKind::Slot, start) };
            if let Some(key) = self.begin_bar(Some(track), bar) {
                self.open.slots.insert(track, key);
            }
        }
        self.open.look += 1;
        for resource in resources {
            self.enter_resource(now, resource, true);
        }
        for resource in shared {
            self.enter_resource(now, resource, false);
        }
        for group in groups {
            self.enter_group(now, group);
        }
        let (look, mut ended) = (self.open.look, Vec::new());
        self.open.edges.retain(|_, edge| {
            let is_there = edge.look == look;
            if !is_there {
                ended.push(edge.shown);
            }
            is_there
        });
        let at = if ended.is_empty() { 0 } else { self.nanos(now) };
        for shown in ended {
            match shown {
                Shown::Bar(key) => drop(self.end_bar(key, at)),
                Shown::Track(track) => self.end_part(track, at),
                Shown::Nothing => {}
            }
        }
        if self.open.is_over_limit() && self.picture.left_out.looks_from.is_none() {
            self.end_looks(now);
        }
    }

    /// Ends what is open, as it is not looked at any more.
    fn end_looks(&mut self, now: Instant) {
        let at = self.nanos(now);
        self.picture.left_out.looks_from = Some(at);
        let open: Vec<_> = self.open.edges.drain().map(|(_, edge)| edge.shown).collect();
        for shown in open {
            if let Shown::Bar(key) = shown {
                self.end_bar(key, at);
            }
        }
    }

    /// Enters a resource of this world; or one of no world, if a task of this one may use it.
    fn enter_resource(&mut self, now: Instant, resource: &InspectedResource, is_own: bool) {
        let InspectedResource { id, holders, waiters, .. } = resource;
        let is_ours = |task: TaskId, open: &Open| is_own || open.may_be_ours(task);
        let is_used = match is_own {
            true => resource.in_use > 0 || !holders.is_empty() || !waiters.is_empty(),
            false => {
                let holders = holders.iter().filter_map(|holder| holder.task);
                let mut tasks = holders.chain(waiters.iter().map(|waiter| waiter.task));
                tasks.any(|task| self.open.may_be_ours(task))
            }
        };
        if !is_used && !self.open.resources.contains_key(id) {
            return;
        }
        let index = self.resource(resource);
        self.enter_use(now, index, resource);
        let is_drain = resource.kind == "drain";
        // In an order of their own: that of a dump may be another one in each run.
        let mut holders: Vec<_> = holders.iter().collect();
        holders.sort_by_key(|holder| holder.number);
        for holder in holders {
            let key = EdgeKey { object: *id, kind: EdgeKind::Holder, number: holder.number };
            self.enter_edge(key, |state| match holder.task {
                Some(task) if !is_ours(task, &state.open) => Shown::Nothing,
                Some(task) if is_drain => state.begin_part(now, task, holder),
                Some(task) => state.begin_hold(now, task, index, resource, holder),
                None => Shown::Nothing,
            });
        }
        let held_by = if waiters.is_empty() { Vec::new() } else { self.holders(now, resource) };
        let mut waiters: Vec<_> = waiters.iter().collect();
        waiters.sort_by_key(|waiter| waiter.number);
        for waiter in waiters {
            let key = EdgeKey { object: *id, kind: EdgeKind::Waiter, number: waiter.number };
            self.enter_edge(key, |state| match is_ours(waiter.task, &state.open) {
                true => state.begin_wait(now, index, resource, waiter, &held_by),
                false => Shown::Nothing,
            });
        }
    }

    fn enter_group(&mut self, now: Instant, group: &InspectedGroup) {
        let start = self.since_start(now).saturating_sub(nanos(group.age));
        let section = self.group(group.id, group.place);
        if let Section::Group(index) = section {
            let owner = self.track_of(group.owner, start);
            let known = &mut self.picture.groups[index as usize];
            (known.owner, known.limit) = (owner, group.limit);
        }
        if let Some(join) = &group.join {
            let key = EdgeKey { object: group.id, kind: EdgeKind::Join, number: join.number };
            self.enter_edge(key, |state| {
                let start = state.since(now, join.waited);
                let track = state.track_of(join.task, start);
                state.shown_bar(track, Bar { text: "its tasks".into(), ..Bar::new(BarKind::Join, start) })
            });
        }
        for wait in &group.child_waits {
            let key = EdgeKey { object: group.id, kind: EdgeKind::Child, number: wait.number };
            self.enter_edge(key, |state| {
                let start = state.since(now, wait.waited);
                let (track, child) = (state.track_of(wait.task, start), state.track_of(wait.child, start));
                let bar = Bar {
                    text: "task".into(),
                    held_by: child.into_iter().collect(),
                    ..Bar::new(BarKind::Join, start)
                };
                state.shown_bar(track, bar)
            });
        }
    }

    /// Notes that a holder or waiter is there, and begins it if it is new.
    fn enter_edge(&mut self, key: EdgeKey, begin: impl FnOnce(&mut Self) -> Shown) {
        self.open.looked_at += 1;
        let look = self.open.look;
        if let Some(edge) = self.open.edges.get_mut(&key) {
            edge.look = look;
            return;
        }
        let shown = if self.open.old.contains(&key) { Shown::Nothing } else { begin(self) };
        self.open.edges.insert(key, Edge { shown, look });
    }

    fn since(&mut self, now: Instant, lasted: Duration) -> Nanos {
        let at = self.since_start(now).saturating_sub(nanos(lasted));
        self.picture.end = self.picture.end.max(at);
        at
    }

    fn shown_bar(&mut self, track: Option<u32>, bar: Bar) -> Shown {
        self.begin_bar(track, bar).map_or(Shown::Nothing, Shown::Bar)
    }

    fn begin_hold(
        &mut self,
        now: Instant,
        task: TaskId,
        index: Option<u32>,
        resource: &InspectedResource,
        holder: &HolderEdge,
    ) -> Shown {
        let start = self.since(now, holder.held_for);
        let track = self.track_of(task, start);
        let text = match &holder.label {
            Some(label) => label.to_string(),
            None => part_of(resource, holder.amount),
        };
        self.shown_bar(track, Bar { text: text.into(), resource: index, ..Bar::new(BarKind::Hold, start) })
    }

    /// Begins the track of a task that a drain will wait for.
    fn begin_part(&mut self, now: Instant, task: TaskId, holder: &HolderEdge) -> Shown {
        let Some(name) = holder.label.as_deref().and_then(|label| label.strip_prefix("task ")) else {
            return Shown::Nothing;
        };
        let start = self.since(now, holder.held_for);
        let Some(track) = self.track_of(task, start) else { return Shown::Nothing };
        self.name_track(track, name, holder.place, start);
        Shown::Track(track)
    }

    fn begin_wait(
        &mut self,
        now: Instant,
        index: Option<u32>,
        resource: &InspectedResource,
        waiter: &WaiterEdge,
        held_by: &[u32],
    ) -> Shown {
        let start = self.since(now, waiter.waited);
        let track = self.track_of(waiter.task, start);
        if resource.kind == "drain"
            && self.open.stops.insert(resource.id)
            && let Some(reason) = resource.notes.iter().find(|note| note.starts_with("asked to stop"))
        {
            self.add_mark(track, Mark { at: start, text: reason.clone().into(), is_fault: false });
        }
        let (kind, text) = wait(resource, waiter);
        let held_by = held_by.iter().copied().filter(|by| Some(*by) != track).collect();
        let until = waiter.until.map(|until| self.since_start(until));
        self.shown_bar(
            track,
            Bar { text: text.into(), until, resource: index, held_by, ..Bar::new(kind, start) },
        )
    }

    fn holders(&mut self, now: Instant, resource: &InspectedResource) -> Vec<u32> {
        let at = self.since_start(now);
        let mut holders: Vec<_> = resource.holders.iter().collect();
        holders.sort_by_key(|holder| (Reverse(holder.held_for), holder.number));
        let tasks = holders.into_iter().filter_map(|holder| holder.task);
        let tasks: Vec<_> = tasks.filter(|task| self.open.may_be_ours(*task)).take(MAX_HELD_BY).collect();
        tasks.into_iter().filter_map(|task| self.track_of(task, at)).collect()
    }

    fn resource(&mut self, resource: &InspectedResource) -> Option<u32> {
        let (resources, known) = (&mut self.picture.resources, &mut self.open.resources);
        *known.entry(resource.id).or_insert_with(|| {
            (resources.len() < MAX_RESOURCES).then(|| {
                let (kind, title) = (resource.kind, title(resource));
                resources.push(Resource { kind, title, uses: Vec::new() });
                (resources.len() - 1) as u32
            })
        })
    }

    fn enter_use(&mut self, now: Instant, index: Option<u32>, resource: &InspectedResource) {
        // The permits of a rate come back all the time, and not only when something happens.
        let comes_back = resource.kind.contains("rate limit");
        let is_work =
            matches!(resource.kind, "drain" | "background task" | "blocking call" | "borrowed resource");
        if comes_back || is_work || resource.capacity == 0 {
            return;
        }
        let at = self.since_start(now);
        let Some(known) = index.and_then(|index| self.picture.resources.get_mut(index as usize)) else {
            return;
        };
        let InspectedResource { in_use, capacity, waiters, .. } = resource;
        let new = Use { at, in_use: *in_use, capacity: *capacity, waiting: waiters.len() as u64 };
        if known.uses.last().is_some_and(|last| Use { at, ..*last } == new) {
            return;
        }
        if self.open.uses == MAX_USES {
            self.picture.left_out.uses += 1;
            return;
        }
        self.open.uses += 1;
        known.uses.push(new);
        self.picture.end = self.picture.end.max(at);
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// Returns the name of a resource, or its place.
fn title(resource: &InspectedResource) -> String {
    match (&resource.name, resource.place) {
        (Some(name), _) => name.to_string(),
        (None, Some(place)) => words::short_place(place),
        (None, None) => resource.kind.to_owned(),
    }
}

/// Returns a part of a resource in words: `2 permits of api`.
fn part_of(resource: &InspectedResource, amount: u64) -> String {
    let part = match resource.kind {
        "concurrency limit" => "permit",
        "pool" => "lease",
        "blocking calls" => "slot",
        kind => return format!("{kind} {}", title(resource)),
    };
    let title = title(resource);
    if amount == 1 { format!("{part} of {title}") } else { format!("{amount} {part}s of {title}") }
}

/// Returns the kind of a wait, and that which is waited for in words.
fn wait(resource: &InspectedResource, waiter: &WaiterEdge) -> (BarKind, String) {
    let title = title(resource);
    let label = waiter.label.as_deref();
    let labelled = |words: String| label.map_or(words.clone(), |label| format!("{words}: {label}"));
    match resource.kind {
        "concurrency limit" => (BarKind::Limit, part_of(resource, waiter.amount)),
        "pool" => (BarKind::Pool, labelled(part_of(resource, 1))),
        "retry" => {
            // The label begins with the number of the attempt.
            let (attempt, why) =
                label.unwrap_or_default().split_once(", ").unwrap_or((label.unwrap_or_default(), ""));
            (BarKind::Backoff, format!("{attempt} of {title}, {}", words::without_modules(why)))
        }
        "restart" => (BarKind::Backoff, "restart".to_owned()),
        "drain" => (BarKind::Join, label.unwrap_or("the end of its tasks").to_owned()),
        "blocking calls" => (BarKind::Slot, part_of(resource, 1)),
        "blocking call" | "background task" => (BarKind::Other, resource.kind.to_owned()),
        "database" | "locks of database" => {
            (BarKind::Database, labelled(format!("{} {title}", resource.kind)))
        }
        kind if kind.contains("rate limit") => (BarKind::Rate, labelled(format!("rate of {title}"))),
        kind => (BarKind::Other, labelled(format!("{kind} {title}"))),
    }
}
