//! The results as one self-contained page.

use std::fmt::Write as _;

use crate::{
    chart,
    machines::{Compared, Machine, compare},
    markdown::{humane, patterns},
    results::Line,
    row::FLOOR,
    svg::{Escaped, Ink, Theme},
};

/// Returns the page, which loads no script, font or picture.
pub(crate) fn page(machines: &[Machine]) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Evenkeel beside its peers</title><style>{}</style><h1>Evenkeel beside its peers</h1>\
         <p>Each row was measured in one process, ours and the peers in turn. The ratio is ours to the best peer, the \
         median over all rounds: below 1 is cheaper. Where the noise is larger than the difference there is no \
         verdict. A thin bar is the range over the machines, and a mark across the ratio of instructions, which do \
         not depend on the machine. A ratio flips if it is below 1 on one machine and above it on another, or by \
         time and by instructions.",
        style()
    );
    for machine in machines {
        let about: Vec<_> = machine.about.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let _ =
            write!(page, "<br><small>{}: {}</small>", Escaped(&machine.folder), Escaped(&about.join("; ")));
    }
    page += "</p>";
    let rows = compare(machines);
    for (pattern, rows) in patterns(&rows) {
        let _ = write!(page, "<h2>{}</h2>", Escaped(pattern));
        page += &chart::ratios(&rows, Theme::Page, &format!("{pattern}: ratios to the best peer"));
        page += "<div class=wide><table><tr><th>row<th>measured on<th>entrant<th>median<th>spread of the rounds<th>ratio<th>target<th>least<th>quartiles<th>wall<th>cpu<th>allocations<th>clock reads</tr>";
        for (index, row) in rows.iter().enumerate() {
            for (machine, line) in machines.iter().zip(&row.lines) {
                let Some(line) = line else { continue };
                let stale = if row.is_stale(line) { ", an older build" } else { "" };
                page += &cells(line, &format!("{}{stale}", machine.folder), row);
            }
            let next = rows.get(index + 1).and_then(|next| next.counted);
            // A row of several metrics was counted once.
            let counted = row.counted.filter(|line| next.is_none_or(|next| next.id != line.id));
            page += &counted.map(|line| cells(line, "any machine", row)).unwrap_or_default();
        }
        page += "</table></div>";
    }
    page + "</html>\n"
}

fn cells(row: &Line, machine: &str, all: &Compared<'_>) -> String {
    // An unknown floor of a metric is 0.
    let mut costs: Vec<_> =
        row.costs.iter().filter(|(name, cost)| *name != FLOOR || cost.median > 0.0).collect();
    costs.sort_by(|a, b| a.1.median.total_cmp(&b.1.median));
    let unit = row.unit.trim_end_matches("/op");
    let mut cells = String::new();
    for (index, (name, cost)) in costs.iter().enumerate() {
        let (id, machine, verdict, target) = if index == 0 {
            let noise = row.noise.map(|noise| format!(" ±{:.1} %", noise * 100.0)).unwrap_or_default();
            let flips = all.flips().map(|flips| format!(", flips {flips}")).unwrap_or_default();
            let verdict = |ratio| format!("{ratio}{noise} {}{flips}", row.verdict());
            let ratio = row.ratio.map(verdict).unwrap_or_default();
            let target = row.target.map(|target| target.to_string()).unwrap_or_default();
            (row.id.as_str(), machine, ratio, target)
        } else {
            ("", "", String::new(), String::new())
        };
        let time = |value| if unit == "ns" { humane(value, unit) } else { String::new() };
        let _ = write!(
            cells,
            "<tr{}><td>{}<td>{}<td>{}<td><b>{}</b><td>{}<td>{}<td>{}<td>{}<td>{} – {}<td>{}<td>{}<td>{}<td>{}</tr>",
            if index == 0 { " class=first" } else { "" },
            Escaped(id),
            Escaped(machine),
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
            if row.is_counted() { String::new() } else { format!("{:.2}", cost.allocations) },
            cost.clock_reads.map(|reads| format!("{reads:.2}")).unwrap_or_default(),
        );
    }
    cells
}

/// Whether a row is in the README's picture. Of the places where a future is driven, it shows the usual one: a task of the
/// multi-threaded runtime.
pub(crate) fn is_shown_first(id: &str) -> bool {
    let others = ["current/block_on", "current/task", "multi/block_on"];
    others.iter().all(|other| !id.ends_with(other))
}

fn style() -> String {
    let variables = |dark| Ink::ALL.map(|ink| format!("{}:{}", ink.variable(), ink.color(dark))).join(";");
    format!(
        ":root{{color-scheme:light dark;--page:#fff;{}}}@media(prefers-color-scheme:dark){{:root{{--page:#0d1117;{}}}}}\
         body{{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:1240px;margin:0 auto;padding:1rem}}\
         svg{{width:100%;max-width:920px;height:auto}}td svg{{width:180px}}.wide{{overflow-x:auto}}table{{border-collapse:collapse;font-size:13px;white-space:nowrap}}\
         td,th{{text-align:left;padding:.1rem .6rem}}td:nth-child(n+4){{font-variant-numeric:tabular-nums}}\
         .first td{{border-top:1px solid var(--faint)}}small,th{{color:var(--faint);font-weight:normal}}",
        variables(false),
        variables(true)
    )
}
