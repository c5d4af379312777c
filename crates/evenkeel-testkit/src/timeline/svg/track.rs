//! One track: the life of a task, and beneath it what it did at the same time.

use std::{collections::HashSet, fmt::Write};

use super::{
    Canvas, MARGIN, escaped,
    style::class,
    width::{fitted, fitted_end, text_width},
};
use crate::timeline::{
    picture::{Bar, BarKind, Ending, Life, Mark, Picture, Title, Track},
    text::bar_text,
    words::{clean, count, place, time, title},
};

const ROW: f64 = 17.0;
const LABEL: f64 = 11.0;

/// The most rows of one track.
const MAX_ROWS: usize = 5;
const MAX_MARK_ROWS: usize = 3;

/// The place of a track in the picture.
pub(super) struct Drawn {
    /// The middle of its first row.
    pub(super) y: f64,
    /// That of each bar; `None` if it is not shown.
    bars: Vec<Option<f64>>,
}

impl Drawn {
    pub(super) fn y_of(&self, bar: usize) -> Option<f64> {
        self.bars.get(bar).copied().flatten()
    }
}

/// The left and the right end.
type Extent = (f64, f64);

fn overlap(a: Extent, b: Extent) -> bool {
    a.0 < b.1 && b.0 < a.1
}

/// The place that a bar and its label take in a row.
#[derive(Clone, Copy)]
struct Place {
    bar: Extent,
    label: Option<Extent>,
    is_hold: bool,
}

impl Place {
    fn is_beside(&self, other: &Self) -> bool {
        let labels = self.label.zip(other.label).is_some_and(|(a, b)| overlap(a, b));
        // The label of a hold is above it.
        let are_apart = self.is_hold && other.is_hold;
        let covers =
            |label: Option<Extent>, bar| !are_apart && label.is_some_and(|label| overlap(label, bar));
        !(overlap(self.bar, other.bar)
            || labels
            || covers(self.label, other.bar)
            || covers(other.label, self.bar))
    }
}

/// The places of a row that are taken.
#[derive(Default)]
struct Taken(Vec<Place>);

impl Taken {
    /// Returns the first row from `first` on that is free there, and takes it.
    fn place(rows: &mut Vec<Self>, first: usize, most: usize, place: Place) -> Option<usize> {
        let is_free = |row: &Self| row.0.iter().all(|taken| taken.is_beside(&place));
        let row = (first..most).find(|row| rows.get(*row).is_none_or(is_free))?;
        while rows.len() <= row {
            rows.push(Self::default());
        }
        rows[row].0.push(place);
        Some(row)
    }
}

pub(super) fn draw_track(canvas: &mut Canvas<'_>, number: u32, track: &Track) {
    let picture = canvas.picture;
    draw_title(canvas, track);
    let top = canvas.y;
    let mut rows: Vec<Taken> = vec![Taken::default()];
    draw_life(canvas, track, top);
    let has_waits = track.bars.iter().any(|bar| bar.kind.is_wait());
    let mut placed = Vec::new();
    let mut hidden = 0;
    let mut held = HashSet::new();
    for item in items(canvas, track) {
        // Beneath the life of the task, and beneath its waits.
        let is_beneath = match item.bar.kind {
            BarKind::Hold => track.life != Life::Unknown,
            kind => !kind.is_wait() && has_waits,
        };
        let is_hold = item.bar.kind == BarKind::Hold;
        let is_said = is_hold && !held.insert(item.bar.text.clone());
        let bar = extent(canvas, &item.bar);
        let label = if is_said { None } else { labelled(canvas, &item.bar, bar) };
        let place = Place { bar, label, is_hold };
        match Taken::place(&mut rows, usize::from(is_beneath), MAX_ROWS, place) {
            Some(row) => placed.push((item, place, row, is_said)),
            None => hidden += item.members.len(),
        }
    }
    let mut bars = vec![None; track.bars.len()];
    for (item, place, row, is_said) in &placed {
        let y = top + ROW * *row as f64;
        draw_bar(canvas, picture, track, &item.bar, y);
        if !is_said {
            draw_label(canvas, track, &item.bar, place, y, &rows[*row]);
        }
        item.members.iter().for_each(|at| bars[*at] = Some(y + ROW / 2.0));
    }
    let bar_rows = rows.len();
    let mark_rows = draw_marks(canvas, &track.marks, top + ROW * bar_rows as f64);
    draw_end(canvas, track, top);
    canvas.tracks.push((number, Drawn { y: top + ROW / 2.0, bars }));
    canvas.y = top + ROW * (bar_rows + mark_rows) as f64 + 5.0;
    if hidden > 0 {
        canvas.text("q", (canvas.left, canvas.y + 7.0), &format!("+ {hidden} at the same time"));
        canvas.y += 16.0;
    }
}

/// Bars that are drawn as one.
struct Item {
    bar: Bar,
    members: Vec<usize>,
}

/// Returns the bars, waits first. Of very many, those are one that are too narrow and too near to each other to be seen.
fn items(canvas: &Canvas<'_>, track: &Track) -> Vec<Item> {
    const MANY: usize = 200;
    const NARROW: f64 = 2.0;
    let mut order: Vec<usize> = (0..track.bars.len()).collect();
    order.sort_by_key(|at| (rank(track.bars[*at].kind), track.bars[*at].start));
    let end = canvas.picture.end;
    let mut items: Vec<Item> = Vec::new();
    for at in order {
        let bar = &track.bars[at];
        let (x0, x1) = (canvas.scale.x(bar.start), canvas.scale.x(bar.end_or(end)));
        if let Some(last) = items.last_mut().filter(|_| track.bars.len() > MANY && x1 - x0 < NARROW) {
            let is_alike = last.bar.kind == bar.kind && last.bar.is_fault == bar.is_fault;
            let is_near = x0 - canvas.scale.x(last.bar.end_or(end)) < NARROW;
            let is_narrow = last.members.len() > 1
                || canvas.scale.x(last.bar.end_or(end)) - canvas.scale.x(last.bar.start) < NARROW;
            if is_alike && is_near && is_narrow {
                last.members.push(at);
                last.bar.end = Some(last.bar.end_or(end).max(bar.end_or(end)));
                last.bar.text = format!("{} × {}", last.members.len(), bar.kind.legend()).into();
                (last.bar.outcome, last.bar.held_by) = (None, Vec::new());
                continue;
            }
        }
        items.push(Item { bar: bar.clone(), members: vec![at] });
    }
    items
}

fn rank(kind: BarKind) -> u8 {
    match kind {
        BarKind::Hold => 2,
        BarKind::Span | BarKind::Call => 1,
        _ => 0,
    }
}

fn draw_title(canvas: &mut Canvas<'_>, track: &Track) {
    let (name, is_place) = (title(track, true), track.title == Title::Unnamed);
    if canvas.is_wide() {
        let name = fitted_title(&name, is_place, canvas.left - MARGIN - 14.0);
        canvas.text("n", (MARGIN + 4.0, canvas.y + 12.5), &name);
    } else {
        let name = fitted_title(&name, is_place, canvas.width - 2.0 * MARGIN);
        canvas.text("n", (MARGIN, canvas.y + 11.0), &name);
        canvas.y += 15.0;
    }
}

/// Returns the name of a task, or the end of its place: the file, and the line in it.
fn fitted_title(name: &str, is_place: bool, width: f64) -> String {
    if !is_place {
        return fitted(name, 12.0, width);
    }
    // Whole parts of the path, if the file is not too long.
    let ends = name.match_indices('/').map(|(at, _)| format!("…{}", &name[at..]));
    let mut ends = std::iter::once(name.to_owned()).chain(ends);
    ends.find(|end| text_width(end, 12.0) <= width).unwrap_or_else(|| fitted_end(name, 12.0, width))
}

fn extent(canvas: &Canvas<'_>, bar: &Bar) -> Extent {
    let (x0, x1) = (canvas.scale.x(bar.start), canvas.scale.x(bar.end_or(canvas.picture.end)));
    (x0, x1.max(x0 + 2.0))
}

/// Returns the place of a label: in its bar, above it if it is a hold, or beside it if it is too short; that of a wait is over
/// the life of the task, and found later.
fn labelled(canvas: &Canvas<'_>, bar: &Bar, (x0, x1): Extent) -> Option<Extent> {
    let width = text_width(&label(bar), LABEL);
    let (left, right) = (canvas.left, canvas.width - MARGIN);
    let beside = x1 + if bar.is_fault { 7.0 } else { 4.0 };
    let places = match bar.kind {
        BarKind::Hold => [(x0, x0 + width), (x1 - width, x1)],
        kind if kind.is_wait() || width + 8.0 <= x1 - x0 => {
            return (width + 8.0 <= x1 - x0).then_some((x0 + 4.0, x0 + 4.0 + width));
        }
        _ => [(beside, beside + width), (x0 - 4.0 - width, x0 - 4.0)],
    };
    places.into_iter().find(|(from, to)| *from >= left && *to <= right)
}

fn label(bar: &Bar) -> String {
    let text = clean(&bar.text, 60);
    match &bar.outcome {
        Some(outcome) => format!("{text} → {}", clean(outcome, 40)),
        None => text,
    }
}

fn draw_life(canvas: &mut Canvas<'_>, track: &Track, top: f64) {
    if track.life == Life::Unknown {
        return;
    }
    let (from, to) = track.extent(canvas.picture.end);
    let (x0, x1) = (canvas.scale.x(from), canvas.scale.x(to));
    let mut about = format!("{}: {} to {}", title(track, true), time(from), time(to));
    if let Some(at) = track.place.filter(|_| track.title != Title::Unnamed) {
        let _ = write!(about, ", {}", place(at));
    }
    match track.ending() {
        Some((_, ending)) => about.push_str(&format!(", {}", ending.text())),
        None => about.push_str(", alive at the end"),
    }
    if let Some(polls) = track.polls {
        let _ = write!(about, ", {}", count(polls as usize, "poll"));
    }
    let _ = writeln!(
        canvas.body,
        "<rect class=\"life\" x=\"{x0:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"11\" rx=\"2\"><title>{}</title></rect>",
        top + 3.0,
        (x1 - x0).max(1.5),
        escaped(&about)
    );
}

fn draw_bar(canvas: &mut Canvas<'_>, picture: &Picture, track: &Track, bar: &Bar, top: f64) {
    canvas.kinds.push(bar.kind);
    canvas.has_faults |= bar.is_fault;
    let (x0, x1) = extent(canvas, bar);
    let (y, height) = if bar.kind == BarKind::Hold { (top + 10.5, 4.5) } else { (top + 2.0, 13.0) };
    let class = if bar.is_fault { format!("{} isbad", class(bar.kind)) } else { class(bar.kind).to_owned() };
    let _ = writeln!(
        canvas.body,
        "<rect class=\"{class}\" x=\"{x0:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\" rx=\"1.5\"><title>{}</title></rect>",
        x1 - x0,
        escaped(&about(picture, track, bar))
    );
    if bar.is_fault {
        let (x, y) = (x1, top + 8.5);
        let _ = writeln!(
            canvas.body,
            "<path class=\"fault\" d=\"M{:.1} {:.1}l6 6m0-6l-6 6\"/>",
            x - 3.0,
            y - 3.0
        );
    }
}

fn draw_label(canvas: &mut Canvas<'_>, track: &Track, bar: &Bar, place: &Place, top: f64, row: &Taken) {
    let ((x0, x1), text) = (place.bar, label(bar));
    let baseline = if place.is_hold { top + 9.0 } else { top + 12.5 };
    let width = text_width(&text, LABEL);
    match place.label {
        Some((_, to)) if to <= x0 => canvas.text("l le", (to, baseline), &text),
        Some((from, _)) => canvas.text("l", (from, baseline), &text),
        None => {
            let beside = (x1 + 3.0, x1 + 3.0 + width);
            let is_free = row.0.iter().all(|taken| taken.bar.1 <= x1 || !overlap(taken.bar, beside));
            let hold = |other: &Bar| other.kind == BarKind::Hold && other.text == bar.text;
            let end = track.ending().map_or(canvas.width - MARGIN, |(at, _)| canvas.scale.x(at) - 6.0);
            if bar.kind.is_wait() && is_free && beside.1 <= end && !track.bars.iter().any(hold) {
                canvas.text("l", (beside.0, baseline), &text);
            } else if x1 - x0 > 34.0 {
                let text = fitted(&text, LABEL, x1 - x0 - 6.0);
                canvas.text("l", (x0 + 4.0, baseline), &text);
            }
        }
    }
}

/// Says all that is known of a bar.
fn about(picture: &Picture, track: &Track, bar: &Bar) -> String {
    let what = bar_text(picture, bar, true);
    let verb = if bar.kind.is_wait() {
        "waits for "
    } else if bar.kind == BarKind::Hold {
        "has "
    } else {
        ""
    };
    let mut about = format!("{}: {verb}{what}, from {}", title(track, true), time(bar.start));
    match bar.end {
        Some(end) => {
            let _ = write!(about, " for {}", time(end - bar.start));
        }
        None => about.push_str(" until the end"),
    }
    if let Some(outcome) = &bar.outcome {
        let _ = write!(about, ": {}{outcome}", if bar.is_fault { "fault: " } else { "" });
    }
    about
}

/// Draws marks with their texts, and returns the number of rows.
fn draw_marks(canvas: &mut Canvas<'_>, marks: &[Mark], top: f64) -> usize {
    let mut rows: Vec<Taken> = Vec::new();
    let mut last = f64::MIN;
    for mark in marks {
        canvas.has_marks |= !mark.is_fault;
        canvas.has_faults |= mark.is_fault;
        let x = canvas.scale.x(mark.at);
        let text = clean(&mark.text, 60);
        let width = text_width(&text, LABEL);
        let is_left = x + width + 10.0 > canvas.width - MARGIN;
        let text = if is_left { fitted(&text, LABEL, x - MARGIN - 10.0) } else { text };
        let extent = if is_left {
            (x - text_width(&text, LABEL) - 10.0, x + 6.0)
        } else {
            (x - 6.0, x + width + 10.0)
        };
        let place = Place { bar: extent, label: None, is_hold: false };
        let row = Taken::place(&mut rows, 0, MAX_MARK_ROWS, place);
        if row.is_none() && x - last < 1.0 {
            // It would be over the last one.
            continue;
        }
        last = x;
        let y = top + ROW * row.unwrap_or(0) as f64;
        let title = escaped(&format!("{} at {}", mark.text, time(mark.at)));
        let shape = if mark.is_fault {
            format!("<path class=\"fault\" d=\"M{:.1} {:.1}l7 7m0-7l-7 7\">", x - 3.5, y + 4.0)
        } else {
            format!("<path class=\"mark\" d=\"M{x:.1} {:.1}l4 8h-8z\">", y + 3.5)
        };
        let _ = writeln!(canvas.body, "{shape}<title>{title}</title></path>");
        if row.is_some() {
            let (class, at) = if is_left { ("l le", x - 7.0) } else { ("l", x + 7.0) };
            canvas.text(class, (at, y + 12.0), &text);
        }
    }
    rows.len()
}

fn draw_end(canvas: &mut Canvas<'_>, track: &Track, top: f64) {
    let Some((at, ending)) = track.ending() else { return };
    let (x, y) = (canvas.scale.x(at), top + 8.5);
    let sign = match ending {
        Ending::Done | Ending::Gone => {
            format!(
                "<rect class=\"ok\" x=\"{:.1}\" y=\"{:.1}\" width=\"2.5\" height=\"15\"/>",
                x - 1.2,
                y - 7.5
            )
        }
        Ending::Cancelled | Ending::Shutdown => format!(
            "<circle class=\"off\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.6\"/><path class=\"off\" d=\"M{:.1} {:.1}l6.2 -6.2\"/>",
            x - 3.1,
            y + 3.1
        ),
        Ending::Failed | Ending::Panicked => {
            format!("<path class=\"fault\" d=\"M{:.1} {:.1}l8 8m0-8l-8 8\"/>", x - 4.0, y - 4.0)
        }
    };
    let _ = writeln!(canvas.body, "{sign}");
    let text = match ending {
        Ending::Shutdown => "dropped",
        _ => ending.text(),
    };
    let class = if ending.is_failure() { "l eb" } else { "l e" };
    canvas.text(class, (x + 8.0, y + 4.0), text);
}
