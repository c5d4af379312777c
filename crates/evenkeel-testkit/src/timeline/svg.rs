//! A timeline as an SVG that needs nothing else: no script, no font, no other file.
//!
//! Colors are those of Okabe and Ito, which people with any color vision tell apart, and each kind has a pattern of its own. They
//! follow the colors of the reader's system. Texts are texts, to be selected; each bar has a title that a pointer shows.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write,
    mem,
};

use self::{
    resource::draw_resource,
    style::{PATTERNS, STYLE, class},
    track::{Drawn, draw_track},
    width::{fitted, fitted_end, text_width},
};
use super::{
    picture::{BarKind, Ending, Nanos, Picture},
    rows::{Row, rows},
    scale::Scale,
    text::{left_out, summary},
    words::{clean, time, title},
};

mod resource;
mod style;
mod track;
mod width;

const MARGIN: f64 = 12.0;
/// The room at the right, for the ends of tasks.
const END: f64 = 66.0;
/// The width of the names beside the tracks.
const GUTTER: f64 = 168.0;
const BREAK: f64 = 26.0;
/// The most arrows from one who had a thing to one who got it.
const MAX_ARROWS: usize = 24;

pub(super) fn write(picture: &Picture, width: u32) -> String {
    let mut canvas = Canvas::new(picture, f64::from(width));
    canvas.draw();
    canvas.finish()
}

/// The drawing so far.
struct Canvas<'a> {
    picture: &'a Picture,
    width: f64,
    /// The x of the tracks.
    left: f64,
    right: f64,
    /// The y at which the next row begins.
    y: f64,
    top: f64,
    scale: Scale,
    /// The shapes, and the texts over them.
    body: String,
    texts: String,
    tracks: Vec<(u32, Drawn)>,
    kinds: Vec<BarKind>,
    has_marks: bool,
    has_faults: bool,
    has_arrows: bool,
    has_cancels: bool,
}

impl<'a> Canvas<'a> {
    fn new(picture: &'a Picture, width: f64) -> Self {
        let gutter = if width >= 600.0 { GUTTER } else { 0.0 };
        let (left, right) = (MARGIN + gutter, width - MARGIN - END);
        let scale = Scale::new(picture, left, right, BREAK);
        let top = if scale.breaks().next().is_some() { 76.0 } else { 62.0 };
        Self {
            picture,
            width,
            left,
            right,
            y: top + 8.0,
            top,
            scale,
            body: String::new(),
            texts: String::new(),
            tracks: Vec::new(),
            kinds: Vec::new(),
            has_marks: false,
            has_faults: false,
            has_arrows: false,
            has_cancels: false,
        }
    }

    fn is_wide(&self) -> bool {
        self.left > MARGIN
    }

    /// Adds a text that begins at `x`, or ends there, or is centered.
    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let _ = writeln!(
            self.texts,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escaped(text)
        );
    }

    fn draw(&mut self) {
        for row in rows(self.picture, true) {
            match row {
                Row::Heading { title, about } => self.draw_heading(&title, &about),
                Row::Track { number, track } => draw_track(self, number, track),
                Row::More { text, from, to } => self.draw_more(&text, from, to),
                Row::Resource(resource) => draw_resource(self, resource),
            }
        }
        self.draw_arrows();
        self.draw_cancels();
    }

    fn draw_heading(&mut self, title: &str, about: &str) {
        self.y += 6.0;
        let title = fitted(title, 13.0, self.width - 2.0 * MARGIN);
        let room = self.width - 2.0 * MARGIN - text_width(&title, 13.0) - 8.0;
        let about = if room > 60.0 { fitted_end(about, 12.0, room) } else { String::new() };
        let (y, title, about) = (self.y + 12.0, escaped(&title), escaped(&about));
        let about = if about.is_empty() { about } else { format!(" <tspan>{about}</tspan>") };
        let _ = writeln!(self.texts, "<text class=\"h\" x=\"{MARGIN}\" y=\"{y:.1}\">{title}{about}</text>");
        self.y += 19.0;
    }

    fn draw_more(&mut self, text: &str, from: Nanos, to: Nanos) {
        let (x0, x1) = (self.scale.x(from), self.scale.x(to));
        let text = fitted(text, 11.5, self.width - 2.0 * MARGIN);
        self.text("q", (MARGIN + 8.0, self.y + 11.0), &text);
        if to > from {
            let _ = writeln!(
                self.body,
                "<rect class=\"more\" x=\"{x0:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"3\"/>",
                self.y + 15.0,
                (x1 - x0).max(1.0)
            );
        }
        self.y += 22.0;
    }

    /// Draws who handed a thing to whom.
    fn draw_arrows(&mut self) {
        // The holds that ended, by the resource and the time.
        let mut holds = HashMap::<_, VecDeque<(u32, f64)>>::new();
        for (number, drawn) in &self.tracks {
            for (at, bar) in self.picture.tracks[*number as usize].bars.iter().enumerate() {
                if let (BarKind::Hold, Some(resource), Some(end), Some(y)) =
                    (bar.kind, bar.resource, bar.end, drawn.y_of(at))
                {
                    holds.entry((resource, end)).or_default().push_back((*number, y));
                }
            }
        }
        let mut arrows = Vec::new();
        for (number, drawn) in &self.tracks {
            let track = &self.picture.tracks[*number as usize];
            for (at, bar) in track.bars.iter().enumerate().filter(|(_, bar)| bar.kind.is_wait()) {
                let (Some(end), Some(resource), Some(to)) = (bar.end, bar.resource, drawn.y_of(at)) else {
                    continue;
                };
                let from = holds.get_mut(&(resource, end)).and_then(|ended| {
                    let other = ended.iter().position(|(from, _)| from != number)?;
                    ended.remove(other)
                });
                arrows.extend(from.map(|(_, from)| (self.scale.x(end), from, to)));
            }
        }
        self.has_arrows = !arrows.is_empty();
        for (x, from, to) in arrows.into_iter().take(MAX_ARROWS) {
            arrow(&mut self.body, "give", x, from, to);
        }
    }

    /// Draws which failure cancelled which tasks.
    fn draw_cancels(&mut self) {
        let ends: Vec<_> = (self.tracks.iter())
            .filter_map(|(number, drawn)| {
                let track = &self.picture.tracks[*number as usize];
                track.ending().map(|(at, ending)| (track.section, at, ending, drawn.y))
            })
            .collect();
        for (section, at, _, from) in ends.iter().filter(|(_, _, ending, _)| ending.is_failure()) {
            let cancelled = ends.iter().filter(|(other, end, ending, _)| {
                *ending == Ending::Cancelled && other == section && end == at
            });
            for (_, _, _, to) in cancelled {
                self.has_cancels = true;
                arrow(&mut self.body, "cut", self.scale.x(*at), *from, *to);
            }
        }
    }

    fn finish(mut self) -> String {
        let bottom = self.y + 4.0;
        self.y = bottom + 12.0;
        let (shapes, texts) = (mem::take(&mut self.body), mem::take(&mut self.texts));
        self.draw_legend();
        for line in left_out(self.picture) {
            let y = self.y + 12.0;
            let line = fitted(&line, 11.5, self.width - 2.0 * MARGIN);
            self.text("bad", (MARGIN, y), &line);
            self.y += 18.0;
        }
        let (legend, height) = (self.taken(), self.y + 6.0);
        let title = clean(&self.picture.title, 200);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ekt\" viewBox=\"0 0 {0} {height:.0}\" width=\"{0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{1}\">\n<title>{1}</title>\n<desc>{2}</desc>\n\
             <style>{STYLE}</style>\n{PATTERNS}\n<rect class=\"bg\" width=\"{0}\" height=\"{height:.0}\"/>\n",
            self.width,
            escaped(&title),
            escaped(&description(self.picture)),
        );
        let shown = fitted(&title, 16.0, self.width - 2.0 * MARGIN);
        self.text("t", (MARGIN, 24.0), &shown);
        self.text("q", (MARGIN, 41.0), &summary(self.picture));
        self.draw_axis(bottom);
        svg.push_str(&self.taken());
        svg.push_str(&shapes);
        self.draw_breaks(bottom);
        svg.push_str(&self.taken());
        svg.push_str(&texts);
        svg.push_str(&legend);
        svg.push_str("</svg>\n");
        svg
    }

    /// Takes that which was drawn since the last call, the texts last.
    fn taken(&mut self) -> String {
        mem::take(&mut self.body) + &mem::take(&mut self.texts)
    }

    fn draw_axis(&mut self, bottom: f64) {
        let ticks = self.scale.ticks(|label| text_width(label, 11.0) + 14.0);
        for tick in ticks {
            let _ = writeln!(
                self.body,
                "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{bottom:.1}\"/>",
                tick.x,
                self.top - 2.0
            );
            let half = text_width(&tick.label, 11.0) / 2.0;
            let x = tick.x.clamp(MARGIN + half, self.width - MARGIN - half);
            self.text("tick", (x, self.top - 7.0), &tick.label);
        }
        let _ = writeln!(
            self.body,
            "<line class=\"axis\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{2:.1}\" y2=\"{2:.1}\"/>",
            self.left,
            self.right,
            self.top - 2.0
        );
    }

    fn draw_breaks(&mut self, bottom: f64) {
        for broken in self.scale.breaks().collect::<Vec<_>>() {
            let (top, middle) = (self.top - 5.0, (broken.left + broken.right) / 2.0);
            let (left, right) = (middle - 5.0, middle + 5.0);
            let (mut path, mut y, mut is_out) = (String::new(), top, false);
            while y < bottom {
                y = (y + 6.0).min(bottom);
                is_out = !is_out;
                let _ = write!(path, "L{:.1} {y:.1}", if is_out { 2.5 } else { -2.5 });
            }
            let _ = writeln!(
                self.body,
                "<rect class=\"bg\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"10\" height=\"{:.1}\"/>\
                 <path class=\"zig\" transform=\"translate({left:.1})\" d=\"M-2.5 {top:.1}{path}\"/>\
                 <path class=\"zig\" transform=\"translate({right:.1})\" d=\"M-2.5 {top:.1}{path}\"/>",
                bottom - top
            );
            let label = format!("{} without an event", time(broken.length));
            let half = text_width(&label, 11.0) / 2.0;
            let x = middle.clamp(MARGIN + half, self.width - MARGIN - half);
            self.text("brk", (x, self.top - 22.0), &label);
        }
    }

    fn draw_legend(&mut self) {
        let mut entries: Vec<(String, &str)> = vec![(swatch("life", 12.0), "alive")];
        self.kinds.sort_unstable();
        self.kinds.dedup();
        let kinds = self.kinds.iter().map(|kind| {
            let height = if *kind == BarKind::Hold { 6.0 } else { 12.0 };
            (swatch(class(*kind), height), kind.legend())
        });
        entries.extend(kinds);
        let signs = [
            (self.has_marks, "<path class=\"mark\" d=\"M11 2l4.5 8h-9z\"/>", "mark"),
            (self.has_faults, "<path class=\"fault\" d=\"M6 1l9 10m0-10l-9 10\"/>", "fault"),
            (
                self.has_arrows,
                "<path class=\"give\" d=\"M11 0v8\"/><path class=\"giveh\" d=\"M11 12l-3-5h6z\"/>",
                "gives to",
            ),
            (
                self.has_cancels,
                "<path class=\"cut\" d=\"M11 0v8\"/><path class=\"cuth\" d=\"M11 12l-3-5h6z\"/>",
                "cancels",
            ),
        ];
        let signs = signs.into_iter().filter(|(is_there, ..)| *is_there);
        entries.extend(signs.map(|(_, sign, text)| (sign.to_owned(), text)));
        let mut x = MARGIN;
        for (sign, text) in entries {
            let width = 28.0 + text_width(text, 11.5) + 16.0;
            if x + width > self.width - MARGIN && x > MARGIN {
                (x, self.y) = (MARGIN, self.y + 19.0);
            }
            let y = self.y;
            let _ = writeln!(self.body, "<g transform=\"translate({x:.1} {y:.1})\">{sign}</g>");
            self.text("q", (x + 28.0, y + 10.0), text);
            x += width;
        }
        self.y += 21.0;
    }
}

fn swatch(class: &str, height: f64) -> String {
    format!(
        "<rect class=\"{class}\" y=\"{:.0}\" width=\"22\" height=\"{height:.0}\"/>",
        (12.0 - height) / 2.0
    )
}

/// Draws a line down or up at `x`, with a head at its end.
fn arrow(out: &mut String, class: &str, x: f64, from: f64, to: f64) {
    let (back, head) = if to > from { (to - 4.0, -5.0) } else { (to + 4.0, 5.0) };
    let _ = writeln!(
        out,
        "<path class=\"{class}\" d=\"M{x:.1} {from:.1}V{back:.1}\"/>\
         <path class=\"{class}h\" d=\"M{x:.1} {to:.1}l-3 {head}h6z\"/>"
    );
}

/// Says the picture in sentences, for those who hear it.
fn description(picture: &Picture) -> String {
    const SHOWN: usize = 30;
    let tracks = picture.tracks.iter().take(SHOWN).map(|track| {
        let (from, to) = track.extent(picture.end);
        let end = track.ending().map_or("", |(_, ending)| ending.text());
        let waits = track.bars.iter().filter(|bar| bar.kind.is_wait()).count();
        let title = clean(&title(track, true), 60);
        let waits = if waits > 0 { format!(", {waits} waits") } else { String::new() };
        let end = if end.is_empty() { String::new() } else { format!(", {end}") };
        format!("{title}: from {} to {}{waits}{end}.", time(from), time(to))
    });
    let mut parts: Vec<_> =
        std::iter::once(format!("A timeline of {}.", summary(picture))).chain(tracks).collect();
    if picture.tracks.len() > SHOWN {
        parts.push(format!("And {} more.", picture.tracks.len() - SHOWN));
    }
    parts.join(" ")
}

/// Returns a text for an element or an attribute.
fn escaped(text: &str) -> String {
    let text = clean(text, 20_000);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
