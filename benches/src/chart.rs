//! Ratios to the best peer as bars: a bar to the left of the line at 1 means cheaper.

use std::cmp::Ordering;

use crate::{
    machines::{Compared, range_text, short},
    results::Cost,
    svg::{Anchor, Ink, Svg, Theme},
};

const WIDTH: f64 = 920.0;
const ROW: f64 = 22.0;
const TOP: f64 = 34.0;
/// The end of the labels, where the bars may begin.
const LEFT: f64 = 270.0;
const RIGHT: f64 = WIDTH - 285.0;
/// The axis reaches from a tenth to ten times; a longer bar is drawn to its end, with its number beside it.
const DECADES: f64 = 1.0;

/// Draws the bars of all rows that have a peer.
///
/// A bar reaches to the ratio that is nearest to 1, and a line over it from the least to the largest of all machines. A
/// row whose machines disagree has no bar. The ratio of instructions is a mark across.
pub(crate) fn ratios(rows: &[&Compared<'_>], theme: Theme, title: &str) -> String {
    let rows: Vec<_> = rows.iter().filter_map(|row| Some((*row, row.range()?))).collect();
    let height = TOP + ROW * rows.len() as f64 + 10.0;
    let mut svg = Svg::new(WIDTH, height, theme);
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
    for (index, (row, range)) in rows.into_iter().enumerate() {
        bar(&mut svg, TOP + ROW * index as f64, row, range);
    }
    svg.finish(title)
}

fn bar(svg: &mut Svg, y: f64, row: &Compared<'_>, (least, most): (f64, f64)) {
    let peer = row.best_peer().unwrap_or("the best peer");
    let flips = if row.flips().is_some() { "flips: " } else { "" };
    let counted = row.counted.and_then(|line| line.ratio);
    let against = counted.filter(|ratio| row.flips().is_some() && (least > 1.0) != (*ratio > 1.0));
    let counts = against.map(|ratio| format!(", {} counted", short(ratio))).unwrap_or_default();
    let number = format!("{flips}{} of {peer}{counts}", range_text((least, most)));
    let on_machines = format!("{}: {number}", row.id);
    let ink = match row.side() {
        Some(Ordering::Less) => Ink::Better,
        Some(Ordering::Greater) => Ink::Worse,
        _ => Ink::Same,
    };
    svg.text((LEFT - 14.0, y + 14.0), Anchor::End, Ink::Text, row.id);
    let (middle, nearest) = (position(1.0), position(1.0_f64.clamp(least, most)));
    let (start, end) = (middle.min(nearest), middle.max(nearest));
    svg.bar((start, y + 3.0), ((end - start).max(1.5), ROW - 7.0), ink, &on_machines);
    if least < most {
        let (start, end) = (position(least), position(most));
        svg.bar((start, y + 9.0), ((end - start).max(1.5), 3.0), ink, &on_machines);
    }
    if let Some(ratio) = counted {
        let tip = format!("{}: {} in instructions", row.id, short(ratio));
        svg.bar((position(ratio) - 1.0, y + 1.0), (2.0, ROW - 3.0), Ink::Text, &tip);
    }
    svg.text((RIGHT + 8.0, y + 14.0), Anchor::Start, Ink::Text, &number);
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
}
