//! The results as one self-contained page.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    chart,
    results::{Line, Results},
    row::{FLOOR, OURS},
    svg::{Escaped, Ink, Theme},
};

/// Returns the page, which loads no script, font or picture.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Evenkeel beside its peers</title><style>{}</style><h1>Evenkeel beside its peers</h1>",
        style()
    );
    let machine =
        results.machine.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join("; ");
    let _ = write!(
        page,
        "<p>Each row was measured in one process, ours and the peers in turn. The ratio is ours to the best peer, the \
         median over all rounds: below 1 is cheaper. Where the noise is larger than the difference there is no \
         verdict. <small>{}</small></p>",
        Escaped(&machine)
    );
    for (pattern, rows) in patterns(&results.rows) {
        let _ = write!(page, "<h2>{}</h2>", Escaped(pattern));
        page += &chart::ratios(&rows, Theme::Page, &format!("{pattern}: ratios to the best peer"));
        page += "<div class=wide><table><tr><th>row<th>entrant<th>median<th>spread of the rounds<th>ratio<th>target<th>least<th>quartiles<th>wall<th>cpu<th>allocations</tr>";
        rows.iter().for_each(|row| page += &cells(row));
        page += "</table></div>";
    }
    page + "</html>\n"
}

/// Groups the rows by their first word, in their order.
fn patterns(rows: &[Line]) -> BTreeMap<&str, Vec<&Line>> {
    let mut patterns: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for row in rows {
        patterns.entry(row.id.split('/').next().unwrap_or_default()).or_default().push(row);
    }
    patterns
}

fn cells(row: &Line) -> String {
    // An unknown floor of a metric is 0.
    let mut costs: Vec<_> =
        row.costs.iter().filter(|(name, cost)| *name != FLOOR || cost.median > 0.0).collect();
    costs.sort_by(|a, b| a.1.median.total_cmp(&b.1.median));
    let unit = row.unit.trim_end_matches("/op");
    let mut cells = String::new();
    for (index, (name, cost)) in costs.iter().enumerate() {
        let (id, verdict, target) = if index == 0 {
            let noise = row.noise.map(|noise| format!(" ±{:.1} %", noise * 100.0)).unwrap_or_default();
            let ratio =
                row.ratio.map(|ratio| format!("{ratio}{noise} {}", row.verdict())).unwrap_or_default();
            (row.id.as_str(), ratio, row.target.map(|target| target.to_string()).unwrap_or_default())
        } else {
            ("", String::new(), String::new())
        };
        let time = |value| if unit == "ns" { humane(value, unit) } else { String::new() };
        let _ = write!(
            cells,
            "<tr{}><td>{}<td>{}<td><b>{}</b><td>{}<td>{}<td>{}<td>{}<td>{} – {}<td>{}<td>{}<td>{:.2}</tr>",
            if index == 0 { " class=first" } else { "" },
            Escaped(id),
            Escaped(name),
            humane(cost.median, unit),
            chart::spread(cost, costs.iter().map(|(_, cost)| *cost)),
            verdict,
            target,
            humane(cost.min, unit),
            humane(cost.lower_quartile, unit),
            humane(cost.upper_quartile, unit),
            time(cost.wall),
            time(cost.cpu),
            cost.allocations,
        );
    }
    cells
}

fn style() -> String {
    let variables = |dark| Ink::ALL.map(|ink| format!("{}:{}", ink.variable(), ink.color(dark))).join(";");
    format!(
        ":root{{color-scheme:light dark;--page:#fff;{}}}@media(prefers-color-scheme:dark){{:root{{--page:#0d1117;{}}}}}\
         body{{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:1240px;margin:0 auto;padding:1rem}}\
         svg{{width:100%;max-width:860px;height:auto}}td svg{{width:180px}}.wide{{overflow-x:auto}}table{{border-collapse:collapse;font-size:13px;white-space:nowrap}}\
         td,th{{text-align:left;padding:.1rem .6rem}}td:nth-child(n+3){{font-variant-numeric:tabular-nums}}\
         .first td{{border-top:1px solid var(--faint)}}small,th{{color:var(--faint);font-weight:normal}}",
        variables(false),
        variables(true)
    )
}

/// The rows of the front page: wins and losses of each pattern.
const FRONT: [&str; 8] = [
    "e2e/1000x200ms/100/cpu",
    "limit/ten-thousand-waiters/cpu",
    "limit/try-acquire-fast",
    "limit/try-acquire-granted",
    "pool/get/multi/task",
    "retry/success/multi/task",
    "stream/par-map-trivial/multi/task",
    "task/spawn-join/multi/task",
];

/// Returns the table of the front page.
pub(crate) fn front(rows: &[Line]) -> String {
    summary(rows.iter().filter(|row| FRONT.contains(&row.id.as_str())))
}

/// Returns all results as a page of Markdown, beside the data.
pub(crate) fn overview(results: &Results) -> String {
    let machine: Vec<_> = results.machine.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let (counted, timed): (Vec<&Line>, Vec<&Line>) =
        results.rows.iter().partition(|row| row.metric == "instructions");
    format!(
        "# Results\n\nWritten by `cargo xtask report` from the data in this folder, which `cargo xtask bench --save` \
         measures: ours\nbeside the best peer, in one process and in turn. The ratio is the median over all rounds; below 1 \
         ours is cheaper.\n\n{}.\n\n## Time and memory\n\n{}\n## Instructions\n\nCounted by callgrind, on one thread \
         (`cargo xtask bench --instructions --save`). Reads of the operating system's clock\nstand beside them, because \
         callgrind does not see what a read costs.\n\n{}",
        machine.join("; "),
        summary(timed),
        instructions(&counted),
    )
}

fn instructions(rows: &[&Line]) -> String {
    let mut table = String::from(
        "| row | ours | best peer | ratio | clock reads, ours and theirs |\n|---|---|---|---|---|\n",
    );
    for row in rows {
        let (Some(ours), Some(peer), Some(ratio)) = (row.ours, row.best_peer.as_ref(), row.ratio) else {
            continue;
        };
        let id = row.id.trim_end_matches("/instructions");
        let reads = |name: &str| row.costs.get(name).and_then(|cost| cost.clock_reads).unwrap_or_default();
        let _ = writeln!(
            table,
            "| `{id}` | {ours} | {}, {peer} | {ratio} | {:.1}, {:.1} |",
            row.peers[peer],
            reads(OURS),
            reads(peer)
        );
    }
    table
}

/// Returns a table of these rows.
fn summary<'a>(rows: impl IntoIterator<Item = &'a Line>) -> String {
    let mut table = String::from("| row | ours | best peer | ratio | |\n|---|---|---|---|---|\n");
    for row in rows {
        let (Some(ours), Some(peer), Some(ratio)) = (row.ours, row.best_peer.as_ref(), row.ratio) else {
            continue;
        };
        let unit = row.unit.trim_end_matches("/op");
        let (ours, theirs) = (humane(ours, unit), humane(row.peers[peer], unit));
        let _ = writeln!(
            table,
            "| `{}` ({}) | {ours} | {theirs}, {peer} | {ratio} | {} |",
            row.id,
            row.metric,
            row.verdict()
        );
    }
    table
}

fn humane(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1e9 => format!("{:.2} s", value / 1e9),
        "ns" if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        "ns" if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        "ns" if value < 10.0 => format!("{value:.2} ns"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// Whether a row is in the README's picture. Of the places where a future is driven, it shows the usual one: a task of the
/// multi-threaded runtime. Instructions are in [`overview`] and on the page.
pub(crate) fn is_shown_first(id: &str) -> bool {
    let others = ["current/block_on", "current/task", "multi/block_on", "/instructions"];
    others.iter().all(|other| !id.ends_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Cost;

    #[test]
    fn the_page_is_whole_and_takes_nothing_from_elsewhere() {
        let cost = Cost {
            min: 1.0,
            lower_quartile: 2.0,
            median: 3.0,
            upper_quartile: 4.0,
            max: 5.0,
            wall: 6.0,
            cpu: 7.0,
            allocations: 0.0,
            clock_reads: None,
        };
        let row = Line {
            id: "retry/<b>".into(),
            unit: "ns/op".into(),
            metric: "cpu".into(),
            ours: Some(3.0),
            peers: BTreeMap::from([("peer".into(), 3.0)]),
            best_peer: Some("peer".into()),
            ratio: Some(1.0),
            noise: Some(0.1),
            floor: None,
            target: Some(0.8),
            costs: BTreeMap::from([("evenkeel".into(), cost), ("peer".into(), cost)]),
        };
        let page = page(&Results { machine: BTreeMap::new(), rows: vec![row] });
        assert!(page.contains("retry/&lt;b&gt;") && !page.contains("<b>\""));
        assert!(page.contains("no difference") && page.contains("<svg"));
        for foreign in ["<script", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn times_are_written_as_people_say_them() {
        assert_eq!(humane(2.063e9, "ns"), "2.06 s");
        assert_eq!(humane(35_040_000.0, "ns"), "35.0 ms");
        assert_eq!(humane(44.2, "ns"), "44 ns");
        assert_eq!(humane(1.17, "ns"), "1.17 ns");
        assert_eq!(humane(283.3, "B"), "283 B");
    }

    /// The committed pages are what `cargo xtask report` writes, so that no figure is older than its data.
    #[test]
    fn the_committed_summary_and_pictures_are_those_of_the_committed_results() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        // A checkout without results makes no claims.
        let Ok(results) = Results::read(&folder) else { return };
        for (name, text) in crate::pictures(&results) {
            let committed = std::fs::read_to_string(folder.join(name)).expect("it is committed");
            assert!(committed == text, "{name} is out of date: run `cargo xtask report`");
        }
    }

    #[test]
    fn one_place_of_each_row_is_shown_first() {
        assert!(is_shown_first("retry/success/multi/task") && is_shown_first("limit/try-acquire-granted"));
        assert!(!is_shown_first("retry/success/current/task") && !is_shown_first("limit/keyed/instructions"));
    }
}
