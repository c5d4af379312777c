//! The rows of a picture: which tracks are shown, in which order, and which are only counted.

use super::{
    picture::{Counts, Ending, Life, Nanos, Picture, Resource, Section, Title, Track},
    words,
};

/// The most tracks that look alike and are shown; of more than that, some.
const ALIKE: usize = 8;
const SHOWN_OF_ALIKE: usize = 6;

/// The most tracks of a picture.
const TRACKS: usize = 80;

/// The most resources of a picture.
const RESOURCES: usize = 8;

#[derive(Debug)]
pub(super) enum Row<'a> {
    /// The title of a section, and more about it.
    Heading {
        title: String,
        about: String,
    },
    Track {
        number: u32,
        track: &'a Track,
    },
    /// Tracks that are not shown, in words, and from when to when they were there.
    More {
        text: String,
        from: Nanos,
        to: Nanos,
    },
    Resource(&'a Resource),
}

/// Returns the rows, with places in headings where `with_line`.
pub(super) fn rows(picture: &Picture, with_line: bool) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut left = TRACKS;
    let sections = sections(picture);
    let mut skipped = (0_usize, Counts::default());
    for section in sections {
        if left == 0 {
            skipped.0 += 1;
            skipped.1.add_all(counts(picture, section));
            continue;
        }
        if let Some(heading) = heading(picture, section, with_line) {
            rows.push(heading);
        }
        section_rows(picture, section, &mut left, &mut rows);
    }
    if let (groups @ 1.., counts) = skipped {
        let (groups, tasks) = (words::count(groups, "group"), words::count(counts.all, "task"));
        let text = format!("and {groups} with {tasks}{}", ends(counts));
        rows.push(Row::More { text, from: 0, to: picture.end });
    }
    let used = picture.resources.iter().filter(|resource| !resource.uses.is_empty());
    let (shown, all) = (used.clone().take(RESOURCES), used.count());
    if all > 0 {
        rows.push(Row::Heading { title: "in use".to_owned(), about: String::new() });
        rows.extend(shown.map(Row::Resource));
        if all > RESOURCES {
            let text = format!("and {} more", all - RESOURCES);
            rows.push(Row::More { text, from: 0, to: 0 });
        }
    }
    rows
}

fn sections(picture: &Picture) -> Vec<Section> {
    let mut sections: Vec<_> = (picture.tracks.iter().map(|track| track.section))
        .chain(picture.crowds.iter().map(|crowd| crowd.section))
        .collect();
    // Groups have their numbers in the order of their start.
    sections.sort_unstable();
    sections.dedup();
    sections
}

fn heading<'a>(picture: &Picture, section: Section, with_line: bool) -> Option<Row<'a>> {
    let plain = |title: &str| Some(Row::Heading { title: title.to_owned(), about: String::new() });
    match section {
        Section::Body => None,
        Section::Tasks => plain("tasks"),
        Section::Servers => plain("servers"),
        Section::Group(number) => {
            let group = picture.groups.get(number as usize)?;
            let mut title = "group".to_owned();
            if let Some(owner) = group.owner.filter(|owner| *owner > 0) {
                title.push_str(" of ");
                title.push_str(&words::titles(picture, &[owner], with_line));
            }
            if let Some(limit) = group.limit {
                title.push_str(&format!(", {limit} at a time"));
            }
            let about = if with_line { words::place(group.place) } else { String::new() };
            Some(Row::Heading { title, about })
        }
    }
}

/// Returns the ends of tasks behind a colon, or nothing if they are not known.
fn ends(counts: Counts) -> String {
    let text = counts.text();
    if text.is_empty() { text } else { format!(": {text}") }
}

fn counts(picture: &Picture, section: Section) -> Counts {
    let mut counts = Counts::default();
    for track in picture.tracks.iter().filter(|track| track.section == section) {
        counts.add(track.life);
    }
    for crowd in picture.crowds.iter().filter(|crowd| crowd.section == section) {
        counts.add_all(crowd.counts);
    }
    counts
}

/// Tracks of a section that look alike, with what is known of those that are counted only.
struct Class<'a> {
    key: (Option<String>, String),
    tracks: Vec<(u32, &'a Track)>,
    counts: Counts,
    extent: (Nanos, Nanos),
}

fn section_rows<'a>(picture: &'a Picture, section: Section, left: &mut usize, rows: &mut Vec<Row<'a>>) {
    let mut classes: Vec<Class<'a>> = Vec::new();
    let in_section = (0..).zip(&picture.tracks).filter(|(_, track)| track.section == section);
    for (number, track) in in_section {
        let key = (track.place.map(words::place), stem(&track.title));
        match classes.iter_mut().find(|class| class.key == key) {
            Some(class) => class.tracks.push((number, track)),
            None => {
                let (counts, extent) = (Counts::default(), (Nanos::MAX, 0));
                classes.push(Class { key, tracks: vec![(number, track)], counts, extent });
            }
        }
    }
    for crowd in picture.crowds.iter().filter(|crowd| crowd.section == section) {
        let place = crowd.place.map(words::place);
        let at = classes.iter().position(|class| class.key.0 == place).unwrap_or_else(|| {
            let key = (place, String::new());
            classes.push(Class {
                key,
                tracks: Vec::new(),
                counts: Counts::default(),
                extent: (Nanos::MAX, 0),
            });
            classes.len() - 1
        });
        let class = &mut classes[at];
        class.counts.add_all(crowd.counts);
        class.extent = (class.extent.0.min(crowd.start), class.extent.1.max(crowd.end));
    }
    for class in classes {
        class.add_rows(picture, left, rows);
    }
}

impl<'a> Class<'a> {
    fn add_rows(mut self, picture: &Picture, left: &mut usize, rows: &mut Vec<Row<'a>>) {
        let is_crowded = self.tracks.len() + self.counts.all > ALIKE || self.tracks.len() > *left;
        let shown =
            if is_crowded { self.chosen((*left).min(SHOWN_OF_ALIKE)) } else { vec![true; self.tracks.len()] };
        let mut shown_tracks = 0;
        for ((number, track), is_shown) in self.tracks.iter().copied().zip(shown) {
            if is_shown {
                shown_tracks += 1;
                rows.push(Row::Track { number, track });
            } else {
                self.counts.add(track.life);
                let (from, to) = track.extent(picture.end);
                self.extent = (self.extent.0.min(from), self.extent.1.max(to));
            }
        }
        *left -= shown_tracks;
        if self.counts.all > 0 {
            let like = if shown_tracks > 0 { "more like this" } else { "alike" };
            let text = format!("and {} {like}{}", self.counts.all, ends(self.counts));
            rows.push(Row::More { text, from: self.extent.0, to: self.extent.1 });
        }
    }

    /// Chooses that many tracks: one of each ending, and others from the first to the last.
    fn chosen(&self, number: usize) -> Vec<bool> {
        let mut shown = vec![false; self.tracks.len()];
        let kinds = Ending::ALL.map(Some).into_iter().chain([None]);
        let firsts = kinds.filter_map(|kind| {
            self.tracks.iter().position(|(_, track)| track.ending().map(|(_, ending)| ending) == kind)
        });
        let all = self.tracks.len();
        let (last, steps) = (all.saturating_sub(1), number.saturating_sub(1).max(1));
        let spread = (0..number.min(all)).map(|step| last * step / steps);
        for at in firsts.chain(spread).chain(0..all).collect::<Vec<_>>() {
            if shown.iter().filter(|is_shown| **is_shown).count() == number {
                break;
            }
            shown[at] = true;
        }
        shown
    }
}

/// Returns a title without numbers: `worker-17` and `worker-18` look alike.
fn stem(title: &Title) -> String {
    match title {
        Title::Name(name) => name.chars().filter(|char| !char.is_ascii_digit()).collect(),
        Title::Unnamed => String::new(),
        Title::Task(_) => "task".to_owned(),
        Title::Thread(_) => "thread".to_owned(),
    }
}

/// Returns whether it is known that a track is alive at the end.
pub(super) fn is_open(track: &Track) -> bool {
    track.life == Life::Alive
}
