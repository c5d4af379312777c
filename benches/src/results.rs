//! The results of one run as data, which is written, committed and shown.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
};

use command_line::{Output, is_stdout};
use serde::{Deserialize, Serialize};

/// The version of the files' format.
const SCHEMA: u32 = 2;

/// One entrant's cost of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) min: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) max: f64,
    /// Nanoseconds of wall time.
    pub(crate) wall: f64,
    /// Nanoseconds of processor time, of all threads.
    pub(crate) cpu: f64,
    pub(crate) allocations: f64,
    /// Reads of the operating system's clock; known where instructions are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock_reads: Option<f64>,
}

/// The code that was measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Build {
    /// The time of the commit, in UTC and RFC 3339, which sorts as text does.
    pub(crate) time: String,
    pub(crate) commit: String,
}

/// The result of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) build: Build,
    pub(crate) unit: String,
    pub(crate) metric: String,
    pub(crate) ours: Option<f64>,
    pub(crate) peers: BTreeMap<String, f64>,
    pub(crate) best_peer: Option<String>,
    /// Our cost divided by the best peer's, as the median over the rounds: below 1 is better.
    pub(crate) ratio: Option<f64>,
    /// The relative error of the ratio.
    pub(crate) noise: Option<f64>,
    pub(crate) floor: Option<f64>,
    pub(crate) target: Option<f64>,
    pub(crate) costs: BTreeMap<String, Cost>,
}

/// The end of the id of a row that counts instructions.
pub(crate) const COUNTED: &str = "/instructions";

impl Line {
    /// Returns the side of 1 on which the ratio is, or that noise hides it; an unknown noise hides nothing.
    pub(crate) fn side(&self) -> Option<Ordering> {
        let (ratio, noise) = (self.ratio?, self.noise.unwrap_or(0.0));
        let hidden = (ratio - 1.0).abs() <= noise * ratio;
        Some(if hidden { Ordering::Equal } else { ratio.total_cmp(&1.0) })
    }

    /// Returns the meaning of the ratio in words; empty if there is none.
    pub(crate) fn verdict(&self) -> &'static str {
        self.side().map(verdict).unwrap_or_default()
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.id.ends_with(COUNTED)
    }

    /// Returns the id of the row whose instructions or time this is.
    pub(crate) fn row(&self) -> &str {
        let ends = [COUNTED, "/cpu", "/wall"];
        ends.iter().find_map(|end| self.id.strip_suffix(end)).unwrap_or(&self.id)
    }

    /// Adds what peers cost in an earlier run, which this one could not measure.
    fn keep(&mut self, old: &Self, is_kept: impl Fn(&str) -> bool) {
        for (name, value) in old.peers.iter().filter(|(name, _)| is_kept(name)) {
            if self.peers.contains_key(name) {
                continue;
            }
            self.peers.insert(name.clone(), *value);
            self.costs.extend(old.costs.get(name).map(|cost| (name.clone(), *cost)));
            let best = self.best_peer.as_ref().and_then(|best| self.peers.get(best));
            if best.is_none_or(|best| value < best) {
                self.best_peer = Some(name.clone());
                // They did not take turns: the ratio is that of the medians, and its error is not known.
                self.ratio = self.ours.map(|ours| crate::run::round(ours / value));
                self.noise = None;
            }
        }
    }
}

pub(crate) const fn verdict(side: Ordering) -> &'static str {
    match side {
        Ordering::Less => "better",
        Ordering::Greater => "worse",
        Ordering::Equal => "no difference",
    }
}

/// Rows of a run, and its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    schema: u32,
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) rows: Vec<Line>,
}

/// The rows that the program has, which decide what a saved file keeps.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// All ids that a run can write.
    pub(crate) ids: Vec<String>,
    /// The peers that not every run can measure.
    pub(crate) optional_peers: Vec<String>,
}

impl Results {
    pub(crate) fn new(machine: BTreeMap<String, String>, rows: Vec<Line>) -> Self {
        Self { schema: SCHEMA, machine, rows }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is no JSON, or was written by a program with another format; the error names the file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            schema: Option<u32>,
        }
        let failed = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
        let text = fs::read(path).map_err(|error| io::Error::new(error.kind(), failed(&error)))?;
        let broken = |error| {
            failed(&format!(
                "not a file of results: {error}; restore it with git, or delete it and measure again"
            ))
        };
        let header: Header = serde_json::from_slice(&text).map_err(broken)?;
        if header.schema != Some(SCHEMA) {
            let schema = header.schema.map_or("no schema".to_owned(), |schema| format!("schema {schema}"));
            let advice = "use the program of the commit that wrote it, or delete it and measure again";
            return Err(failed(&format!(
                "it has {schema}, and this program reads schema {SCHEMA}: {advice}"
            )));
        }
        serde_json::from_slice(&text).map_err(broken)
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        write(path, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    /// Updates the committed files of a machine, one for each pattern.
    ///
    /// Rows that were not measured this time stay as they are, and so do the costs of peers that this run could not
    /// measure. Rows that the program no longer has are dropped.
    pub(crate) fn save(&self, folder: &Path, known: &Known) -> io::Result<()> {
        let mut patterns: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
        for row in &self.rows {
            patterns.entry(row.id.split('/').next().unwrap_or_default()).or_default().push(row.clone());
        }
        let path = |pattern: &str| folder.join(format!("{pattern}.json"));
        // All files are read before one is written, so that a broken one changes nothing.
        let merged: Vec<_> = patterns
            .into_iter()
            .map(|(pattern, rows)| {
                let old = match Self::read(&path(pattern)) {
                    Ok(results) => results.rows,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                    Err(error) => return Err(error),
                };
                Ok((pattern, merged(old, rows, known)))
            })
            .collect::<io::Result<_>>()?;
        merged
            .into_iter()
            .try_for_each(|(pattern, rows)| Self::new(self.machine.clone(), rows).write(&path(pattern)))
    }
}

/// Checks that a file can be written, and changes nothing of it.
pub(crate) fn check_file(path: &Path) -> io::Result<()> {
    if is_stdout(path) {
        return Ok(());
    }
    let probe = path.with_added_extension("probe");
    write(&probe, "")?;
    fs::remove_file(probe)
}

/// Writes a file completely or not at all, in a folder that need not exist. A path of `-` is stdout.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    if is_stdout(path) {
        let mut stdout = Output::Stdout;
        stdout.write_all(text.as_bytes())?;
        return stdout.flush();
    }
    let partial = path.with_added_extension("partial");
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        fs::write(&partial, text)?;
        fs::rename(&partial, path)
    };
    written().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("{} cannot be written: {error}", path.display()))
    })
}

/// Checks that results can be saved in a folder: that it can be written, and that this program can read its files.
pub(crate) fn check(folder: &Path) -> io::Result<()> {
    let probe = folder.join("probe");
    let written = write(&probe, "").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: nothing can be saved there: {error}", folder.display()))
    })?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            Results::read(&path)?;
        }
    }
    Ok(())
}

fn merged(old: Vec<Line>, mut rows: Vec<Line>, known: &Known) -> Vec<Line> {
    for old in old {
        match rows.iter_mut().find(|new| new.id == old.id) {
            Some(new) => new.keep(&old, |peer| known.optional_peers.iter().any(|name| name == peer)),
            None if known.ids.contains(&old.id) => rows.push(old),
            None => {}
        }
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows
}
