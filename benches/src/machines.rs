//! The committed results of all machines, and each row over them.

use std::{cmp::Ordering, collections::BTreeMap, fs, io, path::Path};

use crate::results::{Build, Line, Results, verdict};

/// The results of a machine: a folder of files.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) folder: String,
    pub(crate) about: BTreeMap<String, String>,
    pub(crate) rows: Vec<Line>,
}

impl Machine {
    /// Returns the processor and its cores, for people.
    pub(crate) fn name(&self) -> String {
        let part = |key: &str| self.about.get(key).map_or("unknown", String::as_str);
        format!("{}, {} cores", part("processor").replace("(R)", "").replace("(TM)", ""), part("cores"))
    }

    /// Whether it has more than instructions, which are the same on every machine.
    pub(crate) fn has_times(&self) -> bool {
        self.rows.iter().any(|line| !line.is_counted())
    }
}

/// Reads a folder that has a folder for each machine.
///
/// # Errors
///
/// If it cannot be read, if a file in it is broken or of another format, or if there are no results.
pub(crate) fn read(results: &Path) -> io::Result<Vec<Machine>> {
    let mut machines = Vec::new();
    for folder in entries(results)? {
        if folder.extension().is_some_and(|extension| extension == "json") {
            let advice = "results lie in a folder for each machine, where `--save` writes them";
            return Err(io::Error::other(format!("{}: {advice}", folder.display())));
        }
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut machine = Machine { folder: name, about: BTreeMap::new(), rows: Vec::new() };
        for file in entries(&folder)?.iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
            let read = Results::read(file)?;
            machine.about = read.machine;
            machine.rows.extend(read.rows);
        }
        if !machine.rows.is_empty() {
            machines.push(machine);
        }
    }
    if machines.is_empty() {
        let advice = "no results in it; `cargo xtask bench --save` writes them";
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: {advice}", results.display())));
    }
    Ok(machines)
}

fn entries(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(named)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A row of time or memory on all machines, and its instructions, which do not depend on the machine.
#[derive(Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) id: &'a str,
    /// In the order of the machines; none for a machine that did not measure it.
    pub(crate) lines: Vec<Option<&'a Line>>,
    /// From the newest build.
    pub(crate) counted: Option<&'a Line>,
}

/// Returns all rows of time and memory, by id.
pub(crate) fn compare(machines: &[Machine]) -> Vec<Compared<'_>> {
    let all = || machines.iter().flat_map(|machine| &machine.rows);
    let mut counted: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in all().filter(|line| line.is_counted()) {
        let newest = counted.entry(line.row()).or_insert(line);
        if newest.build < line.build {
            *newest = line;
        }
    }
    let mut ids: Vec<_> = all().filter(|line| !line.is_counted()).map(|line| line.id.as_str()).collect();
    let timed: Vec<_> = all().filter(|line| !line.is_counted()).map(Line::row).collect();
    ids.extend(counted.keys().filter(|row| !timed.contains(row)));
    ids.sort_unstable();
    ids.dedup();
    let of = |machine: &'_ &Machine, id: &str| machine.rows.iter().position(|line| line.id == id);
    ids.into_iter()
        .map(|id| {
            let lines: Vec<_> =
                machines.iter().map(|machine| Some(&machine.rows[of(&machine, id)?])).collect();
            let row = lines.iter().flatten().next().map_or(id, |line| line.row());
            Compared { id, lines, counted: counted.get(row).copied() }
        })
        .collect()
}

impl<'a> Compared<'a> {
    pub(crate) fn measured(&self) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().copied().flatten()
    }

    pub(crate) fn metric(&self) -> &'a str {
        self.measured().next().map_or("", |line| &line.metric)
    }

    /// Returns the least and the largest ratio of all machines.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let ratios = || self.measured().filter_map(|line| line.ratio);
        Some((ratios().min_by(f64::total_cmp)?, ratios().max_by(f64::total_cmp)?))
    }

    /// Returns the peer that is best on all machines.
    pub(crate) fn best_peer(&self) -> Option<&'a str> {
        let mut peers = self.measured().filter_map(|line| line.best_peer.as_deref());
        let first = peers.next()?;
        peers.all(|peer| peer == first).then_some(first)
    }

    /// Whether another machine measured this row with newer code.
    pub(crate) fn is_stale(&self, line: &Line) -> bool {
        self.newest().is_some_and(|newest| line.build.time < newest.time)
    }

    fn newest(&self) -> Option<&'a Build> {
        self.measured().map(|line| &line.build).max()
    }

    /// Returns the differences that change the winner: below 1 in one place, above it in another.
    pub(crate) fn flips(&self) -> Option<&'static str> {
        use Ordering::{Greater, Less};
        let on = |side| self.measured().any(|line| line.side() == Some(side));
        let between_machines = on(Less) && on(Greater);
        let counted = self.counted.filter(|_| self.metric() != "bytes").and_then(Line::side);
        let from_time = (counted == Some(Less) && on(Greater)) || (counted == Some(Greater) && on(Less));
        match (between_machines, from_time) {
            (true, _) => Some("between machines"),
            (false, true) => Some("between time and instructions"),
            (false, false) => None,
        }
    }

    /// Returns the side of 1 on which all machines are; the middle if they differ.
    pub(crate) fn side(&self) -> Option<Ordering> {
        let mut sides = self.measured().filter_map(Line::side);
        let first = sides.next()?;
        Some(if sides.all(|side| side == first) { first } else { Ordering::Equal })
    }

    /// Returns the meaning of the ratios in words.
    pub(crate) fn verdict(&self) -> String {
        let mut verdicts: Vec<_> = self.measured().filter_map(Line::side).map(verdict).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        match self.flips() {
            Some(flips) if verdicts.contains(&"better") && verdicts.contains(&"worse") => {
                format!("**flips** {flips}")
            }
            Some(flips) => format!("{}, **flips** {flips}", verdicts.join(" or ")),
            None => verdicts.join(" or "),
        }
    }
}

/// Returns one ratio, or the range of several.
pub(crate) fn range_text((least, most): (f64, f64)) -> String {
    let (least, most) = (short(least), short(most));
    if least == most { least } else { format!("{least} to {most}") }
}

pub(crate) fn short(ratio: f64) -> String {
    match ratio {
        small if small < 0.01 => format!("1/{:.0}", 1.0 / small),
        other => format!("{other:.2}"),
    }
}
