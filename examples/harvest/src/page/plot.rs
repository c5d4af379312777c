//! Plots as wide as the page: shapes in an SVG that is stretched, and labels around it that are not.

use std::{
    fmt::{self, Display, Write as _},
    time::Duration,
};

/// The width of every plot, in its own units.
pub(super) const WIDTH: f64 = 10_000.0;
/// The maximum number of marks on the axis of time, which has to fit on a phone.
const MARKS: u32 = 6;

/// A plot under construction.
#[derive(Debug)]
pub(super) struct Plot {
    height: f64,
    label: String,
    shapes: String,
    ticks: Vec<(f64, String)>,
}

impl Plot {
    /// Begins a plot of this height in pixels. The label describes it for screen readers.
    pub(super) fn new(height: f64, label: impl Into<String>) -> Self {
        Self { height, label: label.into(), shapes: String::new(), ticks: Vec::new() }
    }

    /// Adds rectangles of one class: left, top, width and height of each.
    pub(super) fn boxes(&mut self, class: &str, boxes: impl IntoIterator<Item = [f64; 4]>) {
        let mut path = String::new();
        for [x, y, w, h] in boxes {
            // Neighbors touch each other, and nothing is too thin to be seen.
            let (x, w) = (x.round(), ((x + w).round() - x.round()).max(4.0));
            let _ = write!(path, "M{x} {}h{w}v{}h-{w}", Short(y), Short(h));
        }
        self.path(class, &path);
    }

    /// Adds a step line; each step has a width and a height above the bottom.
    pub(super) fn steps(&mut self, class: &str, steps: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = format!("M0 {}", Short(self.height));
        for (width, height) in steps {
            let _ = write!(path, "V{}h{}", Short(self.height - height), width.round());
        }
        self.path(class, &path);
    }

    fn path(&mut self, class: &str, path: &str) {
        if !path.is_empty() {
            let _ = write!(self.shapes, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    /// Adds a line from top to bottom, with a label below.
    pub(super) fn line(&mut self, share: f64, words: String) {
        self.upright("grid", share);
        self.ticks.push((share, words));
    }

    /// Adds a dashed line from top to bottom.
    pub(super) fn mark(&mut self, share: f64) {
        self.upright("mark", share);
    }

    fn upright(&mut self, class: &str, share: f64) {
        let (x, height) = ((share * WIDTH).round(), Short(self.height));
        self.path(class, &format!("M{x} 0v{height}"));
    }

    /// Adds lines at round times.
    pub(super) fn times(&mut self, total: Duration) {
        let step = round_step(total);
        let mut time = Duration::ZERO;
        while time < total {
            self.line(time.as_secs_f64() / total.as_secs_f64(), seconds(time));
            time += step;
        }
    }

    /// Returns the HTML, with the note above the plot.
    pub(super) fn html(&self, note: &str) -> String {
        let Self { height, label, shapes, ticks } = self;
        let ticks: String = ticks
            .iter()
            .map(|(share, words)| {
                let class = if *share > 0.93 { " class=\"end\"" } else { "" };
                format!("<span{class} style=\"left:{:.1}%\">{words}</span>", share * 100.0)
            })
            .collect();
        format!(
            "<div class=\"note\">{note}</div><svg role=\"img\" aria-label=\"{label}\" \
             viewBox=\"0 0 {WIDTH} {height}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             shape-rendering=\"crispEdges\">{shapes}</svg><div class=\"ticks\">{ticks}</div>\n"
        )
    }
}

/// A number with one digit after the point, which is enough for a pixel.
struct Short(f64);

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

/// Returns 1, 2 or 5 times a power of ten, so that there are not too many marks.
fn round_step(total: Duration) -> Duration {
    let mut step = Duration::from_millis(1);
    for factor in [2, 5, 10].into_iter().cycle() {
        if step * MARKS >= total {
            break;
        }
        let power = if factor == 10 {
            step / 5
        } else if factor == 5 {
            step / 2
        } else {
            step
        };
        step = power * factor;
    }
    step
}

pub(super) fn seconds(time: Duration) -> String {
    let secs = time.as_secs_f64();
    if time.is_zero() || secs >= 1.0 { format!("{secs} s") } else { format!("{} ms", time.as_millis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for (millis, step) in [(1, 1), (7, 2), (40, 10), (4_480, 1_000), (6_100, 2_000), (90_000, 20_000)] {
            assert_eq!(round_step(Duration::from_millis(millis)), Duration::from_millis(step), "{millis}");
        }
        assert!(round_step(Duration::from_secs(86_400)) <= Duration::from_secs(20_000));
    }

    #[test]
    fn shapes_of_no_size_are_seen_and_numbers_are_short() {
        let mut plot = Plot::new(30.0, "a plot");
        plot.boxes("failed", [[12.345, 6.0, 0.2, 2.04]]);
        plot.boxes("rest", []);
        plot.steps("users", [(10.0, 3.0), (20.0, 0.0)]);
        assert_eq!(
            plot.shapes,
            "<path class=\"failed\" d=\"M12 6h4v2h-4\"/><path class=\"users\" d=\"M0 30V27h10V30h20\"/>"
        );
    }
}
