//! The results as tables of Markdown: for the front page, for each pattern, and all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    machines::{Compared, Machine, compare, range_text, short},
    results::Line,
    row::{FLOOR, OURS},
    rows,
};

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

/// The first word of the rows whose objects can be inspected.
const INSPECT: &str = "inspect";

/// Returns the pages by name; other pages quote all but the overview.
pub(crate) fn pages(machines: &[Machine]) -> Vec<(String, String)> {
    let rows = compare(machines);
    let mut pages = vec![
        ("README.md".to_owned(), overview(machines, &rows)),
        ("summary.md".to_owned(), quoted(machines, rows.iter().filter(|row| FRONT.contains(&row.id)))),
    ];
    for (pattern, of_pattern) in patterns(&rows) {
        // Of the four places where a future is driven, one of each runtime.
        let one_of_each = |id: &str| !id.ends_with("current/task") && !id.ends_with("multi/block_on");
        let shown = of_pattern.into_iter().filter(|row| one_of_each(row.id));
        let page = if pattern == INSPECT { inspected(shown, &rows) } else { quoted(machines, shown) };
        pages.push((format!("{pattern}.md"), page));
    }
    pages
}

/// Returns the instructions of rows with the feature `inspect` beside those without it, and then beside other observers.
fn inspected<'a>(rows: impl Iterator<Item = &'a Compared<'a>>, all: &[Compared<'_>]) -> String {
    let mut table = "Instructions with the feature `inspect`, on one thread, as counted by `cargo xtask bench --inspect --instructions`, and \
                     without it, by `cargo xtask bench --instructions`.\n\n| row | without | with | ratio |\n|---|---:|---:|---:|\n"
        .to_owned();
    let mut beside_peers = Vec::new();
    for row in rows {
        let Some(line) = row.counted else { continue };
        if row.id.contains("/beside-peers/") {
            beside_peers.push((row.id, line));
            continue;
        }
        let Some(with) = line.ours else { continue };
        let id = row.id.strip_prefix(INSPECT).unwrap_or(row.id).trim_start_matches('/');
        let plain = all.iter().find(|other| other.id == id).and_then(|other| other.counted?.ours);
        let without = plain.map_or("–".to_owned(), |plain| format!("{plain:.0}"));
        let ratio = plain.map_or_else(String::new, |plain| short(with / plain));
        let _ = writeln!(table, "| `{id}` | {without} | {with:.0} | {ratio} |");
    }
    if beside_peers.is_empty() { table } else { table + &observers(&beside_peers) }
}

/// Returns the table of other observers: a column for each that any of these rows has.
fn observers(rows: &[(&str, &Line)]) -> String {
    let peers: BTreeSet<&str> =
        rows.iter().flat_map(|(_, line)| line.peers.keys()).map(String::as_str).collect();
    let (mut names, mut rule) = (String::new(), String::new());
    for peer in &peers {
        let _ = write!(names, " {peer} |");
        rule += "---:|";
    }
    let head = format!("| row | without one | evenkeel |{names}\n|---|---:|---:|{rule}\n");
    let rows: String = rows.iter().map(|(id, line)| observed(id, line, &peers)).collect();
    format!("\nBeside other observers:\n\n{head}{rows}")
}

fn observed(id: &str, line: &Line, peers: &BTreeSet<&str>) -> String {
    let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
    let id = id.strip_prefix(INSPECT).unwrap_or(id).trim_start_matches('/');
    let mut row = format!("| `{id}` | {} | {} |", value(line.floor), value(line.ours));
    for peer in peers {
        let _ = write!(row, " {} |", value(line.peers.get(*peer).copied()));
    }
    row + "\n"
}

/// Groups the rows by their first word, in their order.
pub(crate) fn patterns<'a, 'b>(rows: &'b [Compared<'a>]) -> BTreeMap<&'a str, Vec<&'b Compared<'a>>> {
    let mut patterns: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        patterns.entry(row.id.split('/').next().unwrap_or_default()).or_default().push(row);
    }
    patterns
}

fn quoted<'a>(machines: &[Machine], rows: impl Iterator<Item = &'a Compared<'a>>) -> String {
    let names = names_with_times(machines);
    let times = match &*names {
        [name] => format!("Costs and ratios as measured on {name}"),
        names => format!("Costs as measured on {}, and the range of their ratios", names.join(" and on ")),
    };
    let counts =
        "Instructions are the same on every machine, and leave out what a reading of the clock costs.";
    format!("{times}. {counts}\n\n{}", table(machines, rows))
}

fn names_with_times(machines: &[Machine]) -> Vec<String> {
    machines.iter().filter(|machine| machine.has_times()).map(Machine::name).collect()
}

/// Returns a table of these rows: the costs on each machine that has times, the range of the ratios, and the ratio of
/// instructions.
fn table<'a>(machines: &[Machine], rows: impl IntoIterator<Item = &'a Compared<'a>>) -> String {
    let names = names_with_times(machines);
    let mut table = format!(
        "| row | {} | ratio | in instructions | |\n|---|{}---|---|---|\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for row in rows {
        let Some(range) = row.range() else { continue };
        let lines = machines.iter().zip(&row.lines).filter(|(machine, _)| machine.has_times());
        let costs = lines.map(|(_, line)| line.map_or("–".to_owned(), |line| costs(row, line)));
        let counted = match row.counted.and_then(|line| line.ratio) {
            Some(ratio) => short(ratio),
            None if row.metric() == "bytes" => String::new(),
            None => "not counted".to_owned(),
        };
        let _ = writeln!(
            table,
            "| `{}` ({}) | {} | {} | {counted} | {} |",
            row.id,
            row.metric(),
            costs.collect::<Vec<_>>().join(" | "),
            range_text(range),
            row.verdict()
        );
    }
    table
}

/// Returns our cost and those of all peers, the best peer first.
fn costs(row: &Compared<'_>, line: &Line) -> String {
    let unit = line.unit.trim_end_matches("/op");
    let mut peers: Vec<_> = line.peers.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
    peers.sort_by(|a, b| a.1.total_cmp(&b.1));
    peers.extend(line.floor.map(|floor| (FLOOR, floor)));
    let ours = line.ours.map_or("–".to_owned(), |ours| humane(ours, unit));
    let stale = if row.is_stale(line) { " (an older build)" } else { "" };
    let peers = peers.into_iter().map(|(name, cost)| format!("{name} {}", humane(cost, unit)));
    [ours + stale].into_iter().chain(peers).collect::<Vec<_>>().join("; ")
}

/// Returns all results as a page, beside the data.
fn overview(machines: &[Machine], rows: &[Compared<'_>]) -> String {
    format!(
        "# Results\n\nWritten by `cargo xtask report` from the data in this folder, which `cargo xtask bench --save` \
         measures: ours\nbeside the best peer, in one process and in turn. The ratio is the median over all rounds; below 1 \
         ours is cheaper. A ratio\n**flips** if it is below 1 on one machine and above it on another, or by time and by \
         instructions.\n\n## Machines\n\n{}\n## Time and memory\n\n{}\n## Instructions\n\nCounted by callgrind \
         (`cargo xtask bench --instructions --save`), which runs one thread at a time: rows of two threads have no\n\
         contention, and differ by a hundredth from run to run. Reads of the operating system's clock stand beside them, \
         because\ncallgrind does not see what a read costs.\n\n{}\nNot counted:\n\n{}",
        about(machines, rows),
        table(machines, rows),
        instructions(rows),
        not_counted(),
    )
}

/// Returns the machines with the code that each of them measured.
fn about(machines: &[Machine], rows: &[Compared<'_>]) -> String {
    let mut table = String::from(
        "| folder | processor | system | compiler | build, and its rows |\n|---|---|---|---|---|\n",
    );
    for (index, machine) in machines.iter().enumerate() {
        let part = |key: &str| machine.about.get(key).map_or("unknown", String::as_str);
        let mut builds: BTreeMap<_, usize> = BTreeMap::new();
        machine.rows.iter().for_each(|line| *builds.entry(&line.build).or_default() += 1);
        let builds = builds.into_iter().rev().map(|(build, count)| {
            let day = build.time.split('T').next().unwrap_or_default();
            format!("`{}` of {day}: {count}", build.commit)
        });
        let lines = rows.iter().filter_map(|row| Some((row, row.lines[index]?)));
        let stale = lines.filter(|(row, line)| row.is_stale(line)).count();
        let stale = if stale == 0 { String::new() } else { format!("; **older than another's: {stale}**") };
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {}{stale} |",
            machine.folder,
            machine.name(),
            part("system"),
            part("rustc"),
            builds.collect::<Vec<_>>().join(", ")
        );
    }
    table
}

fn instructions(rows: &[Compared<'_>]) -> String {
    let mut table = String::from(
        "| row | ours | best peer | ratio | clock reads, ours and theirs |\n|---|---|---|---|---|\n",
    );
    let mut counted: Vec<&Line> = rows.iter().filter_map(|row| row.counted).collect();
    // A row of several metrics was counted once.
    counted.dedup_by(|a, b| a.id == b.id);
    for row in counted {
        let (Some(ours), Some(peer), Some(ratio)) = (row.ours, row.best_peer.as_ref(), row.ratio) else {
            continue;
        };
        let reads = |name: &str| row.costs.get(name).and_then(|cost| cost.clock_reads).unwrap_or_default();
        let _ = writeln!(
            table,
            "| `{}` | {ours} | {}, {peer} | {ratio} | {:.1}, {:.1} |",
            row.row(),
            row.peers[peer],
            reads(OURS),
            reads(peer)
        );
    }
    table
}

/// Returns the rows of time without instructions, with the reason.
fn not_counted() -> String {
    let rows = rows::all();
    let reasons = rows.iter().filter_map(|row| Some((&row.id, row.not_counted.filter(|_| row.timed())?)));
    let mut list: String = reasons.map(|(id, reason)| format!("- `{id}`: {reason}\n")).collect();
    list += "- the peers in Python: they run in a process of their own\n";
    list
}

/// Returns a cost as people say it.
pub(crate) fn humane(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1e9 => format!("{:.2} s", value / 1e9),
        "ns" if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        "ns" if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        "ns" if value < 10.0 => format!("{value:.2} ns"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_say_them() {
        assert_eq!(humane(2.063e9, "ns"), "2.06 s");
        assert_eq!(humane(35_040_000.0, "ns"), "35.0 ms");
        assert_eq!(humane(44.2, "ns"), "44 ns");
        assert_eq!(humane(1.17, "ns"), "1.17 ns");
        assert_eq!(humane(283.3, "B"), "283 B");
    }
}
