//! The results as data, which is written, committed and shown.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

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

/// The result of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
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

impl Line {
    /// Returns the meaning of the ratio; empty if noise hides it.
    pub(crate) fn verdict(&self) -> &'static str {
        let (Some(ratio), Some(noise)) = (self.ratio, self.noise) else { return "" };
        match () {
            () if (ratio - 1.0).abs() <= noise * ratio => "no difference",
            () if ratio < 1.0 => "better",
            () => "worse",
        }
    }
}

/// All rows of a run, and its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) rows: Vec<Line>,
}

impl Results {
    /// Reads all committed files of a folder.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut all = Self { machine: BTreeMap::new(), rows: Vec::new() };
        let mut paths: Vec<_> =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        for path in paths {
            let Self { machine, rows } = serde_json::from_slice(&fs::read(path)?)?;
            all.machine = machine;
            all.rows.extend(rows);
        }
        Ok(all)
    }

    /// Writes the file completely or not at all.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        let partial = path.with_extension("json.partial");
        fs::write(&partial, text)?;
        fs::rename(partial, path)
    }

    /// Updates the committed files, one for each pattern: rows that were not measured this time stay as they are.
    pub(crate) fn save(&self, folder: &Path) -> io::Result<()> {
        let mut patterns: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
        for row in &self.rows {
            patterns.entry(row.id.split('/').next().unwrap_or_default()).or_default().push(row.clone());
        }
        for (pattern, rows) in patterns {
            let path = folder.join(format!("{pattern}.json"));
            let mut kept = match fs::read(&path) {
                Ok(text) => serde_json::from_slice::<Self>(&text)?.rows,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            kept.retain(|old| rows.iter().all(|new| new.id != old.id));
            kept.extend(rows);
            kept.sort_by(|a, b| a.id.cmp(&b.id));
            Self { machine: self.machine.clone(), rows: kept }.write(&path)?;
        }
        Ok(())
    }
}
