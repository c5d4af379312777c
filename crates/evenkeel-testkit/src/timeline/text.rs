//! A timeline as text: a chart, and its events in the order of time.

use std::{cmp::Reverse, fmt::Write};

use super::{
    picture::{Bar, BarKind, Ending, Life, Nanos, Picture, Section, Title, Track},
    rows::{Row, is_open, rows},
    scale::Scale,
    words::{clean, clean_end, columns_of, count, padded, time, title, titles},
};

/// The number of columns of a line.
const COLUMNS: usize = 80;

/// The columns of names, of times, and of the chart.
const NAME: usize = 20;
const TIME: usize = 12;
const CHART: usize = COLUMNS - NAME - 12;

/// The most events that are listed.
const EVENTS: usize = 400;

/// Writes the picture; without places in the source if they are not wanted.
pub(super) fn write(picture: &Picture, with_line: bool) -> String {
    let rows = rows(picture, with_line);
    let mut lines = vec![clean(&heading(picture), COLUMNS)];
    chart(picture, &rows, with_line, &mut lines);
    let events = events(picture, &rows, with_line);
    lines.push(String::new());
    let shown = events.iter().take(EVENTS);
    shown.for_each(|event| event.lines(with_line, &mut lines));
    if events.len() > EVENTS {
        lines.push(format!("… and {} more events", events.len() - EVENTS));
    }
    lines.extend(left_out(picture));
    joined(&lines)
}

/// Writes the last events, for a test that has failed.
pub(super) fn write_end(picture: &Picture, number: usize) -> String {
    let rows = rows(picture, true);
    let mut lines = Vec::new();
    let events = events(picture, &rows, true);
    let skipped = events.len().saturating_sub(number);
    if skipped > 0 {
        lines.push(format!("… {} before", count(skipped, "event")));
    }
    events.iter().skip(skipped).for_each(|event| event.lines(true, &mut lines));
    for bar_of_track in still_open(picture, &rows).into_iter().take(number) {
        lines.push(bar_of_track);
    }
    lines.extend(left_out(picture));
    joined(&lines)
}

fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the title, with the number of tasks and the time.
fn heading(picture: &Picture) -> String {
    format!("{}: {}", clean(&picture.title, COLUMNS - 30), summary(picture))
}

/// Returns the number of tasks, and the time.
pub(super) fn summary(picture: &Picture) -> String {
    let counted: usize = picture.crowds.iter().map(|crowd| crowd.counts.all).sum();
    let tracks = picture.tracks.iter().filter(|track| track.section != Section::Body);
    let tasks = tracks.filter(|track| track.section != Section::Servers).count() + counted;
    let tasks = if tasks > 0 { format!("{}, ", count(tasks, "task")) } else { String::new() };
    format!("{tasks}{}", time(picture.end))
}

/// Says what is over a limit.
pub(super) fn left_out(picture: &Picture) -> Vec<String> {
    let left = &picture.left_out;
    let counts = [(left.bars, "bar"), (left.marks, "mark"), (left.uses, "change of use")];
    let over = counts.into_iter().filter(|(number, _)| *number > 0);
    let mut lines: Vec<_> =
        over.map(|(number, noun)| format!("over the limit, left out: {}", count(number, noun))).collect();
    if let Some(from) = left.looks_from {
        lines.push(format!("waits and holds from {} on are left out: over the limit", time(from)));
    }
    lines
}

fn chart(picture: &Picture, rows: &[Row<'_>], with_line: bool, lines: &mut Vec<String>) {
    let scale = Scale::new(picture, 0.0, (CHART - 1) as f64, 3.0);
    let mut axis = vec![' '; COLUMNS - NAME];
    for tick in scale.ticks(|label| columns_of(label) as f64 + 3.0) {
        let from = tick.x.round() as usize;
        let label = format!("|{}", tick.label);
        if from + columns_of(&label) <= axis.len() {
            label.chars().enumerate().for_each(|(at, char)| axis[from + at] = char);
        }
    }
    lines.push(format!("{}{}", " ".repeat(NAME), axis.into_iter().collect::<String>()));
    let mut letters = Vec::new();
    for row in rows {
        match row {
            Row::Heading { title, about } if about.is_empty() => lines.push(clean(title, COLUMNS)),
            Row::Heading { title, about } => {
                let title = clean(title, COLUMNS / 2);
                let about = clean_end(about, COLUMNS - columns_of(&title) - 1);
                lines.push(format!("{title} {about}"));
            }
            Row::Track { track, .. } => {
                let chart = track_chart(picture, &scale, track, &mut letters);
                let end = track
                    .ending()
                    .map_or(if is_open(track) { "alive" } else { "" }, |(_, ending)| short(ending));
                lines.push(format!(" {} {chart} {end}", name(track, with_line)));
            }
            Row::More { text, .. } => lines.push(format!(" {}", clean(&format!("… {text}"), COLUMNS - 1))),
            Row::Resource(resource) => {
                let mut chart = vec![' '; CHART];
                for (at, used) in resource.uses.iter().enumerate() {
                    let to = resource.uses.get(at + 1).map_or(picture.end, |next| next.at);
                    let digit = match used.in_use {
                        0 => '.',
                        used @ 1..=9 => char::from(b'0' + used as u8),
                        _ => '+',
                    };
                    fill(&scale, (used.at, to), digit, &mut chart);
                }
                let last = resource.uses.last().map_or(0, |used| used.capacity);
                let name = padded(&format!("{} {}", resource.title, resource.kind), NAME - 2);
                lines.push(clean(
                    &format!(" {name} {} of {last}", chart.into_iter().collect::<String>()),
                    COLUMNS,
                ));
            }
        }
    }
    for broken in scale.breaks() {
        lines.push(format!("{}~ : {} without an event", " ".repeat(NAME), time(broken.length)));
    }
    letters.sort_unstable();
    letters.dedup();
    let mut legend = "= alive".to_owned();
    for kind in letters {
        let entry = format!("  {} {}", letter(kind), kind.legend());
        if columns_of(&legend) + columns_of(&entry) > COLUMNS - NAME {
            lines.push(format!("{}{legend}", " ".repeat(NAME)));
            legend = entry.trim_start().to_owned();
        } else {
            legend.push_str(&entry);
        }
    }
    lines.push(format!("{}{legend}", " ".repeat(NAME)));
}

fn track_chart(picture: &Picture, scale: &Scale, track: &Track, letters: &mut Vec<BarKind>) -> String {
    let mut chart = vec![' '; CHART];
    if track.life != Life::Unknown {
        fill(scale, track.extent(picture.end), '=', &mut chart);
    }
    // Waits are over spans, and these over holds, which are not shown if there is something else.
    let mut bars: Vec<&Bar> = track.bars.iter().filter(|bar| bar.kind != BarKind::Hold).collect();
    bars.sort_by_key(|bar| (bar.kind.is_wait(), Reverse(bar.end_or(picture.end) - bar.start)));
    for bar in bars {
        letters.push(bar.kind);
        fill(scale, (bar.start, bar.end_or(picture.end)), letter(bar.kind), &mut chart);
    }
    for broken in scale.breaks() {
        let middle = ((broken.left + broken.right) / 2.0).round() as usize;
        if chart[middle] != ' ' {
            chart[middle] = '~';
        }
    }
    for mark in &track.marks {
        chart[(scale.x(mark.at).round() as usize).min(CHART - 1)] = if mark.is_fault { '!' } else { '^' };
    }
    if let Some((at, ending)) = track.ending() {
        let sign = match ending {
            Ending::Done | Ending::Gone => '|',
            Ending::Cancelled | Ending::Shutdown => '/',
            Ending::Failed | Ending::Panicked => 'X',
        };
        chart[(scale.x(at).round() as usize).min(CHART - 1)] = sign;
    }
    chart.into_iter().collect()
}

fn fill(scale: &Scale, (from, to): (Nanos, Nanos), char: char, chart: &mut [char]) {
    let last = chart.len() - 1;
    let from = (scale.x(from).round() as usize).min(last);
    let to = (scale.x(to).round() as usize).clamp(from, last);
    chart[from..=to].fill(char);
}

/// Returns the title of a track in its column; of a place, the end.
fn name(track: &Track, with_line: bool) -> String {
    let title = title(track, with_line);
    let title = if track.title == Title::Unnamed { clean_end(&title, NAME - 2) } else { title };
    padded(&title, NAME - 2)
}

fn short(ending: Ending) -> &'static str {
    match ending {
        Ending::Shutdown => "dropped",
        _ => ending.text(),
    }
}

fn letter(kind: BarKind) -> char {
    match kind {
        BarKind::Limit => 'L',
        BarKind::Rate => 'R',
        BarKind::Pool => 'P',
        BarKind::Backoff => 'B',
        BarKind::Slot => 'S',
        BarKind::Join => 'J',
        BarKind::Database => 'D',
        BarKind::Other => 'W',
        BarKind::Hold => '#',
        BarKind::Span => '-',
        BarKind::Call => 'C',
    }
}

/// An event, in words.
struct Event<'a> {
    at: Nanos,
    track: &'a Track,
    text: String,
}

impl Event<'_> {
    /// Adds its lines; those behind the first are indented.
    fn lines(&self, with_line: bool, lines: &mut Vec<String>) {
        const INDENT: usize = TIME + 2 + NAME;
        let stamp = time(self.at);
        let mut line = format!(
            "{}{stamp}  {}  ",
            " ".repeat(TIME.saturating_sub(columns_of(&stamp))),
            name(self.track, with_line)
        );
        let mut used = columns_of(&line);
        for word in clean(&self.text, 1_000).split(' ') {
            let mut word = word;
            while !word.is_empty() {
                let room = COLUMNS.saturating_sub(used);
                if columns_of(word) <= room {
                    line.push_str(word);
                    line.push(' ');
                    used += columns_of(word) + 1;
                    break;
                }
                if used <= INDENT + 2 {
                    // A word that is longer than a line.
                    let mut columns = 0;
                    let at = word.char_indices().find(|(_, char)| {
                        columns += columns_of(char.encode_utf8(&mut [0; 4]));
                        columns > room
                    });
                    let at = at.map_or(word.len(), |(at, _)| at);
                    line.push_str(&word[..at]);
                    word = &word[at..];
                    if at == 0 {
                        break;
                    }
                }
                lines.push(std::mem::replace(&mut line, " ".repeat(INDENT + 2)));
                used = INDENT + 2;
            }
        }
        lines.push(line);
    }
}

fn events<'a>(picture: &'a Picture, rows: &[Row<'a>], with_line: bool) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    for row in rows {
        let Row::Track { track, .. } = row else { continue };
        let mut add = |at, text| events.push(Event { at, track, text });
        if track.life != Life::Unknown {
            add(track.start, "begins".to_owned());
        }
        for bar in &track.bars {
            let verb = verb(bar.kind);
            let what = bar_text(picture, bar, with_line);
            let mut text = format!("{verb} {what}");
            match bar.end {
                Some(end) => {
                    let _ = write!(text, " for {}", time(end - bar.start));
                    if let Some(until) = bar.until.filter(|until| *until > end) {
                        let _ = write!(text, ", at most until {}", time(until));
                    }
                }
                None => text.push_str(" until the end"),
            }
            if let Some(outcome) = &bar.outcome {
                let _ = write!(text, ": {}{outcome}", if bar.is_fault { "fault: " } else { "" });
            }
            add(bar.start, text);
        }
        for mark in &track.marks {
            add(mark.at, format!("{} {}", if mark.is_fault { "!" } else { "^" }, mark.text));
        }
        if let Life::Ended(at, ending) = track.life {
            let polls =
                track.polls.map_or_else(String::new, |polls| format!(", {}", count(polls as usize, "poll")));
            add(at, format!("{}{polls}", ending.text()));
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

fn still_open(picture: &Picture, rows: &[Row<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let Row::Track { track, .. } = row else { continue };
        for bar in track.bars.iter().filter(|bar| bar.end.is_none()) {
            let (verb, what) = (verb(bar.kind), bar_text(picture, bar, true));
            let line = format!("at the end: {} {verb} {what} since {}", title(track, true), time(bar.start));
            lines.push(clean(&line, COLUMNS));
        }
    }
    lines
}

fn verb(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Hold => "has",
        BarKind::Span => "-",
        BarKind::Call => "gets",
        _ => "waits for",
    }
}

/// Returns the thing that a bar is about, with those that held it.
pub(super) fn bar_text(picture: &Picture, bar: &Bar, with_line: bool) -> String {
    let by = titles(picture, &bar.held_by, with_line);
    match bar.kind {
        BarKind::Join if bar.text == "task" => format!("task {by}"),
        BarKind::Join if !bar.held_by.is_empty() => format!("{} ({by})", bar.text),
        _ if bar.held_by.is_empty() => bar.text.to_string(),
        _ => format!("{} (held by {by})", bar.text),
    }
}
