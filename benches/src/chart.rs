//! Ratios to the best peer as bars: a bar to the left of the line at 1 means cheaper.

use crate::{
    results::{Cost, Line},
    svg::{Anchor, Ink, Svg, Theme},
};

const WIDTH: f64 = 860.0;
const ROW: f64 = 22.0;
const TOP: f64 = 34.0;
/// The end of the labels, where the bars may begin.
const LEFT: f64 = 270.0;
const RIGHT: f64 = WIDTH - 225.0;
/// The axis reaches from a tenth to ten times; a longer bar is drawn to its end, with its number beside it.
const DECADES: f64 = 1.0;

/// Draws the bars of all rows that have a peer.
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

/// Draws the spread of one entrant's rounds: a line from minimum to maximum, a box from quartile to quartile, the median.
///
/// The axis is logarithmic and reaches over `all`, which are the entrants of one row.
pub(crate) fn spread<'a>(cost: &Cost, all: impl Iterator<Item = &'a Cost> + Clone) -> String {
    const SIZE: (f64, f64) = (180.0, 14.0);
    let least = all.clone().map(|cost| cost.min).fold(f64::MAX, f64::min).max(f64::MIN_POSITIVE);
    let most = all.map(|cost| cost.max).fold(least, f64::max);
    let decades = (most / least).log10().max(0.1);
    let place = |value: f64| 2.0 + (value.max(least) / least).log10() / decades * (SIZE.0 - 4.0);
    let mut svg = Svg::new(SIZE.0, SIZE.1, Theme::Page);
    let tip = format!("{} – {}", cost.min, cost.max);
    svg.line((place(cost.min), 7.0), (place(cost.max), 7.0), Ink::Faint);
    let (from, to) = (place(cost.lower_quartile), place(cost.upper_quartile));
    svg.bar((from, 2.0), ((to - from).max(1.5), 10.0), Ink::Same, &tip);
    svg.bar((place(cost.median) - 0.75, 1.0), (1.5, 12.0), Ink::Text, &tip);
    svg.finish("from the least to the most, logarithmic")
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
    fn a_spread_stays_in_its_picture() {
        let cost = |value| Cost {
            min: value,
            lower_quartile: value * 2.0,
            median: value * 3.0,
            upper_quartile: value * 4.0,
            max: value * 5.0,
            wall: 0.0,
            cpu: 0.0,
            allocations: 0.0,
            clock_reads: None,
        };
        let all = [cost(1.0), cost(1000.0)];
        assert!(spread(&all[0], all.iter()).contains("M2.0 7.0"));
        assert!(spread(&all[1], all.iter()).contains("L178.0 7.0"));
        assert!(!spread(&cost(0.0), [cost(0.0)].iter()).contains("NaN"));
    }

    #[test]
    fn numbers_stay_short() {
        assert_eq!(short(0.000_1), "1/10000");
        assert_eq!(short(0.7512), "0.75");
    }
}
