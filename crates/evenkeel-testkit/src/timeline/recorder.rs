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
    collections::HashMap,
    mem,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use evenkeel_base::lock;
use evenkeel_inspect::{BegunTask, TaskId, TaskObserver, TaskOutcome};
use tokio::time::Instant;

use super::{
    look::Open,
    picture::{
        Bar, BarKind, Counts, Crowd, Ending, Group, Lane, Life, MAX_BARS, MAX_GROUPS, MAX_LANES, MAX_MARKS,
        MAX_TEXT, Mark, Nanos, Picture, Section, Title,
    },
};

/// Marks the number of a task that is counted only.
const COUNTED: u32 = 1 << 31;

/// The most crowds; further tasks belong to the last one.
const MAX_CROWDS: usize = 1_000;

/// The recorder of one world.
#[derive(Debug)]
pub(crate) struct Recorder(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    // `None` until the world begins.
    start: Option<Instant>,
    // The picture, when the recording has ended.
    frozen: Option<Arc<Picture>>,
    pub(super) picture: Picture,
    bars: usize,
    marks: usize,
    lanes: HashMap<TaskId, u32>,
    servers: HashMap<String, u32>,
    groups: HashMap<usize, u32>,
    crowds: HashMap<(Section, Option<&'static Location<'static>>), u32>,
    // The numbers of tasks and threads of which nothing else is known.
    tasks: u32,
    threads: u32,
    pub(super) open: Open,
}

/// The place of a bar that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct BarKey {
    pub(super) lane: u32,
    bar: u32,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            start: None,
            frozen: None,
            picture: Picture::new(),
            bars: 0,
            marks: 0,
            lanes: HashMap::new(),
            servers: HashMap::new(),
            groups: HashMap::new(),
            crowds: HashMap::new(),
            tasks: 0,
            threads: 0,
            open: Open::default(),
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Begins the lane of the body.
    pub(crate) fn begin(&self, start: Instant) {
        let mut state = self.state();
        state.start = Some(start);
        let (name, life) = (Title::Name("body".into()), Life::Alive);
        if let Some(lane) = state.add_lane(Section::Body, name, None, 0, life) {
            state.lanes.insert(TaskId::current(), lane);
        }
        drop(state);
        self.first_look();
    }

    /// Ends the lane of the body.
    pub(crate) fn end_body(&self, polls: u64) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            state.end_lane(0, at, Ending::Done, u32::try_from(polls).ok());
        }
    }

    /// Records nothing from now on.
    pub(crate) fn freeze(&self) {
        let _picture = self.picture();
    }

    /// Records nothing from now on, and returns the picture.
    pub(super) fn picture(&self) -> Arc<Picture> {
        let mut state = self.state();
        if let Some(picture) = &state.frozen {
            return Arc::clone(picture);
        }
        let end = state.picture.end;
        let is_alive = state.picture.lanes.first().is_some_and(|body| body.life == Life::Alive);
        if thread::panicking() && is_alive {
            state.end_lane(0, end, Ending::Panicked, None);
        }
        let picture = Arc::new(mem::replace(&mut state.picture, Picture::new()));
        state.frozen = Some(Arc::clone(&picture));
        picture
    }

    pub(super) fn mark(&self, text: Cow<'static, str>, is_fault: bool) {
        let (now, task) = (Instant::now(), TaskId::current());
        let mut state = self.state();
        if !state.is_frozen() {
            let at = state.nanos(now);
            let lane = state.lane_of(task, at);
            state.add_mark(lane, Mark { at, text: cut(text), is_fault });
        }
    }

    /// Begins a bar on the lane of a server, or of the task that runs.
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
        let lane = match server {
            Some(server) => state.server(server, at),
            None => state.lane_of(task, at),
        };
        state.begin_bar(lane, Bar { text: cut(text), ..Bar::new(kind, at) })
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
        let Some(lane) = state.add_lane(section, title, Some(place), at, Life::Alive) else {
            return state.count_task(section, place, at);
        };
        state.lanes.insert(task, lane);
        if is_waiting {
            let bar = Bar { text: "slot of its group".into(), ..Bar::new(BarKind::Slot, at) };
            let key = state.begin_bar(Some(lane), bar);
            state.open.set_slot(lane, key);
        }
        lane
    }

    fn admit(&self, number: u32) {
        let now = Instant::now();
        let mut state = self.state();
        if !state.is_frozen()
            && let Some(key) = state.open.take_slot(number)
        {
            let at = state.nanos(now);
            state.end_bar(key, at);
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
        if let Some(key) = state.open.take_slot(number) {
            state.end_bar(key, at);
        }
        state.end_lane(number, at, outcome.into(), Some(polls));
        state.lanes.remove(&task);
    }
}

impl Bar {
    pub(super) fn new(kind: BarKind, start: Nanos) -> Self {
        Self {
            kind,
            text: "".into(),
            start,
            end: None,
            until: None,
            resource: None,
            held_by: Vec::new(),
            outcome: None,
            is_fault: false,
        }
    }
}

impl State {
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Returns the time since the start, and moves the end of the picture there.
    pub(super) fn nanos(&mut self, at: Instant) -> Nanos {
        let nanos = self.since_start(at);
        self.picture.end = self.picture.end.max(nanos);
        nanos
    }

    pub(super) fn since_start(&self, at: Instant) -> Nanos {
        let since = self.start.map(|start| at.saturating_duration_since(start).as_nanos());
        Nanos::try_from(since.unwrap_or_default()).unwrap_or(Nanos::MAX)
    }

    fn add_lane(
        &mut self,
        section: Section,
        title: Title,
        place: Option<&'static Location<'static>>,
        start: Nanos,
        life: Life,
    ) -> Option<u32> {
        let lanes = &mut self.picture.lanes;
        (lanes.len() < MAX_LANES).then(|| {
            let (bars, marks) = (Vec::new(), Vec::new());
            lanes.push(Lane { section, title, place, start, life, polls: None, bars, marks });
            (lanes.len() - 1) as u32
        })
    }

    /// Returns the lane of a task, which gets one if it has none; `None` beyond the limit.
    pub(super) fn lane_of(&mut self, task: TaskId, at: Nanos) -> Option<u32> {
        if let Some(lane) = self.lanes.get(&task) {
            return Some(*lane);
        }
        let number = match task {
            TaskId::Task(_) => &mut self.tasks,
            TaskId::Thread(_) => &mut self.threads,
            _ => return None,
        };
        *number += 1;
        let title = match task {
            TaskId::Thread(_) => Title::Thread(*number),
            _ => Title::Task(*number),
        };
        let lane = self.add_lane(Section::Tasks, title, None, at, Life::Unknown)?;
        self.lanes.insert(task, lane);
        Some(lane)
    }

    fn server(&mut self, server: &str, at: Nanos) -> Option<u32> {
        if let Some(lane) = self.servers.get(server) {
            return Some(*lane);
        }
        let title = Title::Name(cut(server.to_owned().into()));
        let lane = self.add_lane(Section::Servers, title, None, at, Life::Unknown)?;
        self.servers.insert(server.to_owned(), lane);
        Some(lane)
    }

    /// Returns the section of a group; those beyond the limit are in one with the last group.
    pub(super) fn group(&mut self, id: usize, place: &'static Location<'static>) -> Section {
        let groups = &mut self.picture.groups;
        if let Some(index) = self.groups.get(&id) {
            return Section::Group(*index);
        }
        if groups.len() == MAX_GROUPS {
            return Section::Group(MAX_GROUPS as u32 - 1);
        }
        groups.push(Group { place, owner: None, limit: None });
        let index = (groups.len() - 1) as u32;
        self.groups.insert(id, index);
        Section::Group(index)
    }

    /// Counts a task that has no lane, and returns its number.
    fn count_task(&mut self, section: Section, place: &'static Location<'static>, at: Nanos) -> u32 {
        let crowds = &mut self.picture.crowds;
        let last = crowds.len() as u32;
        let index = match self.crowds.get(&(section, Some(place))) {
            Some(index) => *index,
            None if crowds.len() == MAX_CROWDS => last - 1,
            None => {
                crowds.push(Crowd {
                    section,
                    place: Some(place),
                    counts: Counts::default(),
                    start: at,
                    end: at,
                });
                self.crowds.insert((section, Some(place)), last);
                last
            }
        };
        crowds[index as usize].counts.add(None);
        COUNTED | index
    }

    fn end_counted(&mut self, index: u32, at: Nanos, ending: Ending) {
        if let Some(crowd) = self.picture.crowds.get_mut(index as usize) {
            crowd.counts.end(ending);
            crowd.end = crowd.end.max(at);
        }
    }

    pub(super) fn end_lane(&mut self, lane: u32, at: Nanos, ending: Ending, polls: Option<u32>) {
        if let Some(lane) = self.picture.lanes.get_mut(lane as usize) {
            (lane.life, lane.polls) = (Life::Ended(at, ending), polls);
        }
    }

    /// Ends the lane of a task that has not told how it ends.
    pub(super) fn end_part(&mut self, lane: u32, at: Nanos) {
        if let Some(lane) = self.picture.lanes.get_mut(lane as usize)
            && lane.life == Life::Alive
        {
            lane.life = Life::Ended(at, Ending::Gone);
        }
    }

    /// Names a task of which it was only known that it is there.
    pub(super) fn name_lane(
        &mut self,
        lane: u32,
        name: &str,
        place: &'static Location<'static>,
        start: Nanos,
    ) {
        let Some(lane) = self.picture.lanes.get_mut(lane as usize) else { return };
        if matches!(lane.title, Title::Task(_)) {
            lane.title = Title::Name(cut(name.to_owned().into()));
            (lane.place, lane.start, lane.life) = (Some(place), start, Life::Alive);
        }
    }

    pub(super) fn add_mark(&mut self, lane: Option<u32>, mark: Mark) {
        let lane = lane.and_then(|lane| self.picture.lanes.get_mut(lane as usize));
        match lane {
            Some(lane) if self.marks < MAX_MARKS => {
                self.marks += 1;
                lane.marks.push(mark);
            }
            _ => self.picture.left_out.marks += 1,
        }
    }

    pub(super) fn begin_bar(&mut self, lane: Option<u32>, bar: Bar) -> Option<BarKey> {
        let found = lane.and_then(|lane| Some((lane, self.picture.lanes.get_mut(lane as usize)?)));
        match found {
            Some((number, lane)) if self.bars < MAX_BARS => {
                self.bars += 1;
                lane.bars.push(bar);
                Some(BarKey { lane: number, bar: (lane.bars.len() - 1) as u32 })
            }
            _ => {
                self.picture.left_out.bars += 1;
                None
            }
        }
    }

    pub(super) fn bar_mut(&mut self, key: BarKey) -> Option<&mut Bar> {
        self.picture.lanes.get_mut(key.lane as usize)?.bars.get_mut(key.bar as usize)
    }

    pub(super) fn end_bar(&mut self, key: BarKey, at: Nanos) -> Option<&mut Bar> {
        let bar = self.bar_mut(key)?;
        bar.end = Some(at);
        Some(bar)
    }
}

/// Cuts a text that is longer than a picture can show.
fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text,
    }
}
