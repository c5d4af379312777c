//! Ratios to the best peer as bars: to the left of the line of 1 is cheaper.

use crate::{
    results::Line,
    svg::{Anchor, Ink, Svg, Theme},
};

const WIDTH: f64 = 760.0;
const ROW: f64 = 22.0;
const TOP: f64 = 34.0;
/// Where the labels end and the bars may begin.
const LEFT: f64 = 270.0;
const RIGHT: f64 = WIDTH - 110.0;
/// The axis reaches from a tenth to ten times; what lies beyond is drawn to its end, with its number beside it.
const DECADES: f64 = 1.0;

/// The bars of all rows that have a peer.
pub(crate) fn ratios(rows: &[&Line], theme: Theme, title: &str) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| row.ratio.is_some()).collect();
    let height = TOP + ROW * rows.len() as f64 + 10.0;
    let mut svg = Svg::new(WIDTH, height, theme);
    let middle = position(1.0);
    for (value, label) in [
        (0.1, "1/10"),
        (0.25, "1/4"),
        (0.5, "1/2"),
        (1.0, "best peer"),
        (2.0, "2 x"),
        (4.0, "4 x"),
        (10.0, "10 x"),
    ] {
        svg.line((position(value), TOP - 8.0), (position(value), height - 8.0), Ink::Faint);
        svg.text((position(value), TOP - 14.0), Anchor::Middle, Ink::Faint, label);
    }
    for (index, row) in rows.iter().enumerate() {
        let ratio = row.ratio.unwrap_or(1.0);
        let y = TOP + ROW * index as f64;
        let (start, end) = (middle.min(position(ratio)), middle.max(position(ratio)));
        let ink = match row.verdict() {
            "better" => Ink::Better,
            "worse" => Ink::Worse,
            _ => Ink::Same,
        };
        let tip = format!("{}: {} of {}", row.id, ratio, row.best_peer.as_deref().unwrap_or_default());
        svg.text((LEFT - 14.0, y + 14.0), Anchor::End, Ink::Text, &row.id);
        svg.bar((start, y + 3.0), ((end - start).max(1.5), ROW - 7.0), ink, &tip);
        let number = format!("{} of {}", short(ratio), row.best_peer.as_deref().unwrap_or_default());
        svg.text((RIGHT + 8.0, y + 14.0), Anchor::Start, Ink::Text, &number);
    }
    svg.finish(title)
}

fn position(ratio: f64) -> f64 {
    let decades = ratio.log10().clamp(-DECADES, DECADES);
    f64::midpoint(LEFT, RIGHT) + decades / DECADES * (RIGHT - LEFT) / 2.0
}

fn short(ratio: f64) -> String {
    match ratio {
        small if small < 0.01 => format!("1/{:.0}", 1.0 / small),
        other => format!("{other:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_symmetric_and_has_ends() {
        assert_eq!(position(0.1), LEFT);
        assert_eq!(position(1e-9), LEFT);
        assert_eq!(position(10.0), RIGHT);
        assert!((position(2.0) + position(0.5) - LEFT - RIGHT).abs() < 1e-9);
    }

    #[test]
    fn numbers_stay_short() {
        assert_eq!(short(0.000_1), "1/10000");
        assert_eq!(short(0.7512), "0.75");
    }
}
