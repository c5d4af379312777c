//! The results as a table for the terminal.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use crate::{results::Line, row::OURS};

/// Returns a table of the rows; clock reads have a column if they were counted.
pub(crate) fn render(rows: &[Line]) -> String {
    let counted = rows.iter().any(Line::is_counted);
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    let mut header =
        vec!["row", "unit", "ours", "best peer", "", "ratio", "noise", "target", "floor", "verdict"];
    if counted {
        header.push("clock reads");
    }
    table.set_header(header);
    for row in rows {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let best = row.best_peer.clone().unwrap_or_default();
        let missed = row.ratio.zip(row.target).is_some_and(|(ratio, target)| ratio > target);
        let mut cells = vec![
            row.id.clone(),
            format!("{} {}", row.metric, row.unit),
            number(row.ours),
            number(row.peers.get(&best).copied()),
            best,
            number(row.ratio),
            row.noise.map(|noise| format!("±{:.1} %", noise * 100.0)).unwrap_or_default(),
            number(row.target) + if missed { " missed" } else { "" },
            number(row.floor),
            row.verdict().to_owned(),
        ];
        if counted {
            cells.push(clock_reads(row).unwrap_or_default());
        }
        table.add_row(cells);
    }
    table.to_string()
}

/// Returns our clock reads and the best peer's, if they were counted.
fn clock_reads(row: &Line) -> Option<String> {
    let reads = |name: &str| row.costs.get(name)?.clock_reads;
    Some(format!("{}, {}", reads(OURS)?, reads(row.best_peer.as_deref()?)?))
}
