//! `State`: the picture as it grows, and the places of tasks, groups and servers in it.

use std::{borrow::Cow, collections::HashMap, mem, panic::Location, sync::Arc};

use evenkeel_inspect::TaskId;
use tokio::time::Instant;

use super::{
    open::{BarKey, Open},
    picture::{
        Bar, BarKind, Counts, Crowd, Ending, Group, Life, MAX_BARS, MAX_GROUPS, MAX_MARKS, MAX_TEXT,
        MAX_TRACKS, Mark, Nanos, Picture, Section, Title, Track,
    },
};

/// Marks the number of a task that is counted only.
pub(super) const COUNTED: u32 = 1 << 31;

/// The most crowds; further tasks belong to the last one.
const MAX_CROWDS: usize = 1_000;

#[derive(Debug)]
pub(super) struct State {
    // `None` until the world begins.
    pub(super) start: Option<Instant>,
    // The picture, when the recording has ended.
    frozen: Option<Arc<Picture>>,
    pub(super) picture: Picture,
    bars: usize,
    marks: usize,
    pub(super) tracks: HashMap<TaskId, u32>,
    servers: HashMap<String, u32>,
    groups: HashMap<usize, u32>,
    crowds: HashMap<(Section, Option<&'static Location<'static>>), u32>,
    // The numbers of tasks and threads of which nothing else is known.
    tasks: u32,
    threads: u32,
    pub(super) open: Open,
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
    pub(super) fn new() -> Self {
        Self {
            start: None,
            frozen: None,
            picture: Picture::new(),
            bars: 0,
            marks: 0,
            tracks: HashMap::new(),
            servers: HashMap::new(),
            groups: HashMap::new(),
            crowds: HashMap::new(),
            tasks: 0,
            threads: 0,
            open: Open::default(),
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn freeze(&mut self) -> Arc<Picture> {
        let picture = &mut self.picture;
        let frozen = self.frozen.get_or_insert_with(|| Arc::new(mem::replace(picture, Picture::new())));
        Arc::clone(frozen)
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

    pub(super) fn add_track(
        &mut self,
        section: Section,
        title: Title,
        place: Option<&'static Location<'static>>,
        start: Nanos,
        life: Life,
    ) -> Option<u32> {
        let tracks = &mut self.picture.tracks;
        (tracks.len() < MAX_TRACKS).then(|| {
            let (bars, marks) = (Vec::new(), Vec::new());
            tracks.push(Track { section, title, place, start, life, polls: None, bars, marks });
            (tracks.len() - 1) as u32
        })
    }

    /// Returns the track of a task, which gets one if it has none; `None` beyond the limit.
    pub(super) fn track_of(&mut self, task: TaskId, at: Nanos) -> Option<u32> {
        if let Some(track) = self.tracks.get(&task) {
            return Some(*track);
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
        let track = self.add_track(Section::Tasks, title, None, at, Life::Unknown)?;
        self.tracks.insert(task, track);
        Some(track)
    }

    pub(super) fn server(&mut self, server: &str, at: Nanos) -> Option<u32> {
        if let Some(track) = self.servers.get(server) {
            return Some(*track);
        }
        let title = Title::Name(cut(server.to_owned().into()));
        let track = self.add_track(Section::Servers, title, None, at, Life::Unknown)?;
        self.servers.insert(server.to_owned(), track);
        Some(track)
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

    /// Counts a task that has no track, and returns its number.
    pub(super) fn count_task(
        &mut self,
        section: Section,
        place: &'static Location<'static>,
        at: Nanos,
    ) -> u32 {
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
        crowds[index as usize].counts.begin();
        COUNTED | index
    }

    pub(super) fn end_counted(&mut self, index: u32, at: Nanos, ending: Ending) {
        if let Some(crowd) = self.picture.crowds.get_mut(index as usize) {
            crowd.counts.end(ending);
            crowd.end = crowd.end.max(at);
        }
    }

    pub(super) fn end_track(&mut self, track: u32, at: Nanos, ending: Ending, polls: Option<u32>) {
        if let Some(track) = self.picture.tracks.get_mut(track as usize) {
            (track.life, track.polls) = (Life::Ended(at, ending), polls);
        }
    }

    /// Ends the track of a task that has not told how it ends.
    pub(super) fn end_part(&mut self, track: u32, at: Nanos) {
        if let Some(track) = self.picture.tracks.get_mut(track as usize)
            && track.life == Life::Alive
        {
            track.life = Life::Ended(at, Ending::Gone);
        }
    }

    /// Names a task of which it was only known that it is there.
    pub(super) fn name_track(
        &mut self,
        track: u32,
        name: &str,
        place: &'static Location<'static>,
        start: Nanos,
    ) {
        let Some(track) = self.picture.tracks.get_mut(track as usize) else { return };
        if matches!(track.title, Title::Task(_)) {
            track.title = Title::Name(cut(name.to_owned().into()));
            (track.place, track.start, track.life) = (Some(place), start, Life::Alive);
        }
    }

    pub(super) fn add_mark(&mut self, track: Option<u32>, mark: Mark) {
        let track = track.and_then(|track| self.picture.tracks.get_mut(track as usize));
        match track {
            Some(track) if self.marks < MAX_MARKS => {
                self.marks += 1;
                track.marks.push(mark);
            }
            _ => self.picture.left_out.marks += 1,
        }
    }

    pub(super) fn begin_bar(&mut self, track: Option<u32>, bar: Bar) -> Option<BarKey> {
        let found = track.and_then(|track| Some((track, self.picture.tracks.get_mut(track as usize)?)));
        match found {
            Some((number, track)) if self.bars < MAX_BARS => {
                self.bars += 1;
                track.bars.push(bar);
                Some(BarKey { track: number, bar: (track.bars.len() - 1) as u32 })
            }
            _ => {
                self.picture.left_out.bars += 1;
                None
            }
        }
    }

    pub(super) fn bar_mut(&mut self, key: BarKey) -> Option<&mut Bar> {
        self.picture.tracks.get_mut(key.track as usize)?.bars.get_mut(key.bar as usize)
    }

    pub(super) fn end_bar(&mut self, key: BarKey, at: Nanos) -> Option<&mut Bar> {
        let bar = self.bar_mut(key)?;
        bar.end = Some(at);
        Some(bar)
    }
}

/// Cuts a text that is longer than a picture can show.
pub(super) fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text,
    }
}
