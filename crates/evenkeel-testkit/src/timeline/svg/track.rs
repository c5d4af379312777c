//! One track: the life of a task, and beneath it what it did at the same time.

use std::fmt::Write;

use super::{Canvas, MARGIN, escaped, fitted, fitted_end, style::class, text_width};
use crate::timeline::{
    picture::{Bar, BarKind, Ending, Life, Mark, Nanos, Picture, Resource, Title, Track},
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

/// The parts of a row that are taken, by their ends.
#[derive(Default)]
struct Taken(Vec<(f64, f64)>);

impl Taken {
    fn is_free(&self, from: f64, to: f64) -> bool {
        self.0.iter().all(|(start, end)| to <= *start || from >= *end)
    }

    /// Returns the first row from `first` on that is free there, and takes it.
    fn place(rows: &mut Vec<Self>, first: usize, most: usize, from: f64, to: f64) -> Option<usize> {
        let row = (first..most).find(|row| rows.get(*row).is_none_or(|row| row.is_free(from, to)))?;
        while rows.len() <= row {
            rows.push(Self::default());
        }
        rows[row].0.push((from, to));
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
    for item in items(canvas, track) {
        let (x0, x1) = extent(canvas, &item.bar);
        // Beneath the life of the task, and beneath its waits.
        let is_beneath = match item.bar.kind {
            BarKind::Hold => track.life != Life::Unknown,
            kind => !kind.is_wait() && has_waits,
        };
        let first = usize::from(is_beneath);
        let is_wait = item.bar.kind.is_wait();
        let (left, right) = if is_wait { (x0, x1) } else { labelled(canvas, &item.bar, x0, x1) };
        match Taken::place(&mut rows, first, MAX_ROWS, left, right) {
            Some(row) => placed.push((item, row)),
            None => hidden += item.members.len(),
        }
    }
    let mut bars = vec![None; track.bars.len()];
    for (item, row) in &placed {
        let y = top + ROW * *row as f64;
        draw_bar(canvas, picture, track, &item.bar, y, &rows[*row]);
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
    if is_place { fitted_end(name, 12.0, width) } else { fitted(name, 12.0, width) }
}

fn extent(canvas: &Canvas<'_>, bar: &Bar) -> (f64, f64) {
    let (x0, x1) = (canvas.scale.x(bar.start), canvas.scale.x(bar.end_or(canvas.picture.end)));
    (x0, x1.max(x0 + 2.0))
}

/// Returns the extent of a bar with its label, which is beside it if it is too short.
fn labelled(canvas: &Canvas<'_>, bar: &Bar, x0: f64, x1: f64) -> (f64, f64) {
    let width = text_width(&label(bar), LABEL) + if bar.is_fault { 10.0 } else { 7.0 };
    if width <= x1 - x0 {
        (x0, x1)
    } else if x1 + width <= canvas.width - MARGIN {
        (x0, x1 + width)
    } else if x0 - width >= canvas.left {
        (x0 - width, x1)
    } else {
        (x0, x1)
    }
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

fn draw_bar(canvas: &mut Canvas<'_>, picture: &Picture, track: &Track, bar: &Bar, top: f64, row: &Taken) {
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
    let text = label(bar);
    let width = text_width(&text, LABEL);
    // Text of a hold stands above its bar.
    let baseline = if bar.kind == BarKind::Hold { top + 9.0 } else { top + 12.5 };
    let is_hold = bar.kind == BarKind::Hold;
    if width + 6.0 <= x1 - x0 {
        canvas.text("l", (x0 + if is_hold { 0.0 } else { 4.0 }, baseline), &text);
        return;
    }
    let (left, right) = labelled(canvas, bar, x0, x1);
    let beside = if bar.kind.is_wait() { x1 + 3.0 } else { right - width - 1.0 };
    let is_there = if bar.kind.is_wait() {
        // Over the life of the task, if nothing else is there.
        let is_free = row.0.iter().all(|(start, end)| *start == x0 || beside + width <= *start || x1 >= *end);
        let hold = |other: &Bar| other.kind == BarKind::Hold && other.text == bar.text;
        let end = track.ending().map_or(canvas.width - MARGIN, |(at, _)| canvas.scale.x(at) - 6.0);
        is_free && beside + width <= end && !track.bars.iter().any(hold)
    } else {
        right > x1
    };
    if left < x0 {
        canvas.text("l le", (x0 - 3.0, baseline), &text);
    } else if is_there {
        canvas.text("l", (beside, baseline), &text);
    } else if x1 - x0 > 34.0 {
        let text = fitted(&text, LABEL, x1 - x0 - 6.0);
        canvas.text("l", (x0 + 4.0, baseline), &text);
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
        let row = Taken::place(&mut rows, 0, MAX_MARK_ROWS, extent.0, extent.1);
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

/// Draws how much of a resource is in use, with its queue on top.
pub(super) fn draw_resource(canvas: &mut Canvas<'_>, resource: &Resource) {
    const HEIGHT: f64 = 30.0;
    let end = canvas.picture.end;
    let name = format!("{} {}", resource.kind, resource.title);
    if canvas.is_wide() {
        let name = fitted(&name, 12.0, canvas.left - MARGIN - 14.0);
        canvas.text("n", (MARGIN + 4.0, canvas.y + HEIGHT - 4.0), &name);
    } else {
        let name = fitted(&name, 12.0, canvas.width - 2.0 * MARGIN);
        canvas.text("n", (MARGIN, canvas.y + 11.0), &name);
        canvas.y += 16.0;
    }
    let (top, bottom) = (canvas.y, canvas.y + HEIGHT);
    let most = resource
        .uses
        .iter()
        .map(|used| used.capacity.max(used.in_use) + used.waiting)
        .max()
        .unwrap_or(1)
        .max(1);
    let queue = match resource.kind {
        "pool" => "pool",
        "concurrency limit" => "limit",
        _ => "wait",
    };
    let y = |amount: u64| bottom - (HEIGHT - 4.0) * amount as f64 / most as f64;
    for (at, used) in resource.uses.iter().enumerate() {
        let to: Nanos = resource.uses.get(at + 1).map_or(end, |next| next.at);
        let (x0, x1) = (canvas.scale.x(used.at), canvas.scale.x(to));
        let waiting = if used.waiting > 0 { format!(", {} waiting", used.waiting) } else { String::new() };
        let title = escaped(&format!(
            "{name}: {} of {} in use{waiting}, from {} to {}",
            used.in_use,
            used.capacity,
            time(used.at),
            time(to)
        ));
        let (class, height) = ("use", bottom - y(used.in_use));
        let _ = writeln!(
            canvas.body,
            "<rect class=\"{class}\" x=\"{x0:.1}\" y=\"{0:.1}\" width=\"{1:.1}\" height=\"{height:.1}\"><title>{title}</title></rect>\
             <path class=\"usel\" d=\"M{x0:.1} {0:.1}H{x1:.1}\"/>",
            y(used.in_use),
            x1 - x0
        );
        if used.waiting > 0 {
            let from = used.capacity.max(used.in_use);
            let _ = writeln!(
                canvas.body,
                "<rect class=\"{queue} bare\" x=\"{x0:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{title}</title></rect>",
                y(from + used.waiting),
                x1 - x0,
                y(from) - y(from + used.waiting)
            );
        }
    }
    let capacity = resource.uses.last().map_or(0, |used| used.capacity);
    let (left, right, line) = (canvas.left, canvas.right, y(capacity));
    let _ = writeln!(canvas.body, "<path class=\"cap\" d=\"M{left:.1} {line:.1}H{right:.1}\"/>");
    canvas.text("e", (right + 6.0, (line + 4.0).max(top + 8.0)), &format!("of {capacity}"));
    canvas.y = bottom + 8.0;
}
