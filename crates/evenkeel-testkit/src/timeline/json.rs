//! A timeline in Chrome's trace format: Perfetto and `chrome://tracing` open it.
//!
//! Each section is a process, and each track a thread. Slices of one thread nest; those that overlap otherwise are on further
//! threads beneath it. Times are in microseconds, with nanoseconds as decimals. The use of a resource is a counter.

use std::fmt::Write;

use evenkeel_inspect::json_text;

use super::{
    picture::{Bar, BarKind, Life, Nanos, Picture, Section, Track},
    text::bar_text,
    words::{place, title},
};

/// The most threads of a track, which is the number of things that it shows at a time.
const MAX_THREADS: usize = 100;

pub(super) fn write(picture: &Picture) -> String {
    let mut events = Vec::new();
    for (number, track) in (0_u32..).zip(&picture.tracks) {
        track_events(picture, number, track, &mut events);
    }
    for resource in &picture.resources {
        let name = format!("{} {}", resource.kind, resource.title);
        for used in &resource.uses {
            events.push(format!(
                "{{\"ph\":\"C\",\"name\":{},\"pid\":0,\"ts\":{},\"args\":{{\"in use\":{},\"waiting\":{}}}}}",
                json_text(&name),
                micros(used.at),
                used.in_use,
                used.waiting
            ));
        }
    }
    for crowd in &picture.crowds {
        let name = format!("{} tasks: {}", crowd.counts.all, crowd.counts.text());
        events.push(format!(
            "{{\"ph\":\"i\",\"s\":\"p\",\"name\":{},\"pid\":{},\"tid\":0,\"ts\":{}}}",
            json_text(&name),
            process(crowd.section),
            micros(crowd.start)
        ));
    }
    for section in sections(picture) {
        let name = match section {
            Section::Body => "world".to_owned(),
            Section::Tasks => "tasks".to_owned(),
            Section::Servers => "servers".to_owned(),
            Section::Group(number) => {
                let at = picture.groups.get(number as usize).map(|group| place(group.place));
                format!("group ({})", at.unwrap_or_default())
            }
        };
        events.push(named("process_name", process(section), 0, &name));
    }
    let mut json =
        format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"title\":{}", json_text(&picture.title));
    for (at, line) in super::text::left_out(picture).iter().enumerate() {
        let _ = write!(json, ",\"left out {at}\":{}", json_text(line));
    }
    let _ = write!(json, "}},\"traceEvents\":[\n{}\n]}}\n", events.join(",\n"));
    json
}

fn sections(picture: &Picture) -> Vec<Section> {
    let mut sections: Vec<_> = picture.tracks.iter().map(|track| track.section).collect();
    sections.extend(picture.crowds.iter().map(|crowd| crowd.section));
    sections.sort_unstable();
    sections.dedup();
    sections
}

fn process(section: Section) -> u32 {
    match section {
        Section::Body => 0,
        Section::Tasks => 1,
        Section::Servers => 2,
        Section::Group(number) => 3 + number,
    }
}

/// A slice, and its extent.
struct Slice {
    from: Nanos,
    to: Nanos,
    json: String,
}

fn track_events(picture: &Picture, number: u32, track: &Track, events: &mut Vec<String>) {
    let (name, process) = (title(track, true), process(track.section));
    let mut slices = Vec::new();
    if track.life != Life::Unknown {
        let (from, to) = track.extent(picture.end);
        let end = track.ending().map_or("alive", |(_, ending)| ending.text());
        let place = track.place.map(place).unwrap_or_default();
        let polls = track.polls.map_or(String::new(), |polls| format!(",\"polls\":{polls}"));
        let args = format!("{{\"end\":{},\"place\":{}{polls}}}", json_text(end), json_text(&place));
        slices.push(Slice {
            from,
            to,
            json: format!("\"name\":{},\"cat\":\"task\",\"args\":{args}", json_text(&name)),
        });
    }
    slices.extend(track.bars.iter().map(|bar| slice(picture, bar)));
    // The longest of those that begin together is around the others.
    slices.sort_by_key(|slice| (slice.from, std::cmp::Reverse(slice.to)));
    // The ends of the open slices of each thread, the innermost last.
    let mut threads: Vec<Vec<Nanos>> = vec![Vec::new()];
    let mut skipped = 0;
    for Slice { from, to, json } in slices {
        for thread in &mut threads {
            thread.retain(|end| *end > from);
        }
        let free = threads.iter().position(|open| open.last().is_none_or(|end| to <= *end));
        if free.is_none() && threads.len() == MAX_THREADS {
            skipped += 1;
            continue;
        }
        let at = free.unwrap_or_else(|| {
            threads.push(Vec::new());
            threads.len() - 1
        });
        threads[at].push(to);
        events.push(format!(
            "{{\"ph\":\"X\",\"pid\":{process},\"tid\":{},\"ts\":{},\"dur\":{},{json}}}",
            thread_of(number, at),
            micros(from),
            micros(to - from)
        ));
    }
    for at in 0..threads.len() {
        let name = if at == 0 { name.clone() } else { format!("{name} ({})", at + 1) };
        events.push(named("thread_name", process, thread_of(number, at), &name));
        events.push(format!(
            "{{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":{process},\"tid\":{0},\"args\":{{\"sort_index\":{0}}}}}",
            thread_of(number, at)
        ));
    }
    if skipped > 0 {
        let mark = format!("{skipped} more at the same time");
        events.push(instant(&mark, "left out", process, thread_of(number, 0), track.start));
    }
    for mark in &track.marks {
        let category = if mark.is_fault { "fault" } else { "mark" };
        events.push(instant(&mark.text, category, process, thread_of(number, 0), mark.at));
    }
}

fn instant(name: &str, category: &str, process: u32, thread: u64, at: Nanos) -> String {
    format!(
        "{{\"ph\":\"i\",\"s\":\"t\",\"name\":{},\"cat\":\"{category}\",\"pid\":{process},\"tid\":{thread},\"ts\":{}}}",
        json_text(name),
        micros(at)
    )
}

/// Returns the number of a thread: tracks are far apart, so that each has room for its own.
fn thread_of(track: u32, at: usize) -> u64 {
    u64::from(track) * 1_000 + 1 + at.min(998) as u64
}

fn slice(picture: &Picture, bar: &Bar) -> Slice {
    let mut name = bar_text(picture, bar, true);
    if let Some(outcome) = &bar.outcome {
        let _ = write!(name, " → {outcome}");
    }
    let category = match bar.kind {
        BarKind::Hold => "hold",
        BarKind::Span => "span",
        BarKind::Call => "call",
        _ => "wait",
    };
    let is_open = if bar.end.is_none() { ",\"args\":{\"end\":\"open\"}" } else { "" };
    let category = if bar.is_fault { "fault" } else { category };
    Slice {
        from: bar.start,
        to: bar.end_or(picture.end),
        json: format!("\"name\":{},\"cat\":\"{category}\"{is_open}", json_text(&name)),
    }
}

fn named(what: &str, process: u32, thread: u64, name: &str) -> String {
    format!(
        "{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{process},\"tid\":{thread},\"args\":{{\"name\":{}}}}}",
        json_text(name)
    )
}

fn micros(at: Nanos) -> String {
    let (whole, part) = (at / 1_000, at % 1_000);
    if part == 0 { whole.to_string() } else { format!("{whole}.{part:03}") }
}
