//! `Recorder`: what happens in a world, as it happens.
//!
//! # How it works
//!
//! In virtual time all that lasts longer than nothing is there when the runtime is idle, just before the clock moves. So the
//! recorder [looks](super::look) at the objects of evenkeel-inspect then, and an object that was there at one look and not at
//! the next one has ended at the time of the latter: nothing runs between two instants. The begins are known to the objects.
//! Group tasks tell of themselves, as there may be many, and most of them are over within an instant; so do spans, marks and
//! the servers of the test kit.
//!
//! - **Memory is bounded**: beyond the limits of `picture.rs`, tasks are counted and other things left out, and the picture says so.
//! - **No foreign code runs under the lock**: a look has ended before its result is entered.
//! - **It freezes before the runtime is dropped**: tasks that are dropped then were alive when the world ended.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard},
};

use evenkeel_base::lock;
use evenkeel_inspect::{BegunTask, TaskId, TaskObserver, TaskOutcome, waits_of};
use tokio::{runtime::Handle, time::Instant};

use super::{
    open::{BarKey, EdgeKey, EdgeKind},
    picture::{Bar, BarKind, Ending, Life, Mark, Picture, Section, Title},
    state::{COUNTED, State, cut},
};

/// The recorder of one world.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<State>);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Begins the track of the body.
    pub(crate) fn begin(&self, start: Instant) {
        let mut state = self.state();
        state.start = Some(start);
        let (name, life) = (Title::Name("body".into()), Life::Alive);
        if let Some(track) = state.add_track(Section::Body, name, None, 0, life) {
            state.tracks.insert(TaskId::current(), track);
        }
        drop(state);
        self.first_look();
    }

    /// Ends the track of the body.
    pub(crate) fn end_body(&self, polls: u64) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            state.end_track(0, at, Ending::Done, u32::try_from(polls).ok());
        }
    }

    /// Records that the body has panicked, and nothing from now on.
    pub(crate) fn fail(&self) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen() && state.picture.tracks.first().is_some_and(|body| body.life == Life::Alive) {
            let at = state.nanos(now);
            // Its bars are left open, as they say what it had when it panicked.
            state.picture.close_bars();
            state.end_track(0, at, Ending::Panicked, None);
            state.freeze();
        }
        drop(state);
        self.freeze();
    }

    /// Records nothing from now on.
    pub(crate) fn freeze(&self) {
        let _picture = self.picture();
    }

    /// Records nothing from now on, and returns the picture.
    pub(super) fn picture(&self) -> Arc<Picture> {
        let mut state = self.state();
        if !state.is_frozen() {
            state.picture.close_bars();
        }
        state.freeze()
    }

    /// Looks at the objects of the runtime, which is idle.
    pub(crate) fn look(&self) {
        {
            let state = self.state();
            if state.is_frozen() || state.open.is_over_limit() {
                return;
            }
        }
        let (Ok(runtime), now) = (Handle::try_current(), Instant::now()) else { return };
        let waits = waits_of(runtime.id(), now);
        self.state().enter_look(now, &waits);
    }

    /// Notes what was there before the world began.
    pub(super) fn first_look(&self) {
        let (Ok(runtime), now) = (Handle::try_current(), Instant::now()) else { return };
        let waits = waits_of(runtime.id(), now);
        let mut state = self.state();
        state.open.body = Some(TaskId::current());
        for resource in &waits.shared {
            let holders = resource.holders.iter().map(|holder| (EdgeKind::Holder, holder.number));
            let waiters = resource.waiters.iter().map(|waiter| (EdgeKind::Waiter, waiter.number));
            let edges = holders.chain(waiters);
            state.open.old.extend(edges.map(|(kind, number)| EdgeKey { object: resource.id, kind, number }));
        }
    }

    pub(super) fn mark(&self, text: Cow<'static, str>, is_fault: bool) {
        let (now, task) = (Instant::now(), TaskId::current());
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            let track = state.track_of(task, at);
            state.add_mark(track, Mark { at, text: cut(text), is_fault });
        }
    }

    /// Begins a bar on the track of a server, or of the task that runs.
    pub(super) fn begin_span(
        &self,
        server: Option<&str>,
        kind: BarKind,
        text: Cow<'static, str>,
    ) -> Option<BarKey> {
        let (now, task) = (Instant::now(), TaskId::current());
        let mut state = self.state();
        if state.is_frozen() {
            return None;
        }
        let at = state.nanos(now);
        let track = match server {
            Some(server) => state.server(server, at),
            None => state.track_of(task, at),
        };
        state.begin_bar(track, Bar { text: cut(text), ..Bar::new(kind, at) })
    }

    pub(super) fn end_span(&self, key: BarKey, outcome: Option<(Cow<'static, str>, bool)>) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            if let Some(bar) = state.end_bar(key, at)
                && let Some((outcome, is_fault)) = outcome
            {
                (bar.outcome, bar.is_fault) = (Some(cut(outcome)), is_fault);
            }
        }
    }
}

impl TaskObserver for Recorder {
    fn begin(&self, task: BegunTask) -> u32 {
        let now = Instant::now();
        let BegunTask { task, name, place, group, group_place, is_waiting } = task;
        let mut state = self.state();
        let at = state.nanos(now);
        if state.is_frozen() {
            return u32::MAX;
        }
        let section = state.group(group, group_place);
        let title = name.map_or(Title::Unnamed, |name| Title::Name(cut(name)));
        let Some(track) = state.add_track(section, title, Some(place), at, Life::Alive) else {
            return state.count_task(section, place, at);
        };
        state.tracks.insert(task, track);
        if is_waiting {
            state.open.begin_slot(track, at);
        }
        track
    }

    fn admit(&self, number: u32) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            state.end_slot(number, at);
        }
    }

    fn end(&self, number: u32, polls: u32, outcome: TaskOutcome) {
        let (now, task) = (Instant::now(), TaskId::current());
        let mut state = self.state();
        if state.is_frozen() {
            return;
        }
        let at = state.nanos(now);
        if number & COUNTED != 0 {
            state.end_counted(number & !COUNTED, at, outcome.into());
            return;
        }
        state.end_slot(number, at);
        state.end_track(number, at, outcome.into(), Some(polls));
        state.tracks.remove(&task);
    }
}
