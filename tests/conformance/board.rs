//! The scoreboard: the verdicts of all rules on all peers, as a table and as data.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use evenkeel_tck::{Finding, Score, Tier, Verdict};
use serde_json::{Map, Value, json};

use crate::{
    parallel::in_parallel,
    pattern::{Column, Pattern},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

const PREFACE: &str = "# Scoreboard

This page shows which rules of [evenkeel-tck](../crates/evenkeel-tck) our crates and their peers keep.
`cargo xtask conformance --save` writes it, and a test compares it with a new run. `cargo xtask conformance --peer NAME` shows
how a peer breaks a rule.

✓ the rule holds · ✗ the rule is broken · – the implementation lacks the feature · ○ its interface cannot express the
settings of the rule · ? not tested

A score counts ✓ and ✗ alone. An adapter ([adapters/](adapters)) follows its peer's documentation, and the reason of each ✗
was found in the peer's source. A wrong ✗ is our bug, and a correction is welcome.
";

const REAL_PREFACE: &str = "# Scoreboard of real servers

This page shows which rules of [evenkeel-tck](../crates/evenkeel-tck) hold in real time, on real servers.
`cargo xtask conformance --real --save` writes it, and `cargo xtask conformance --real` runs them again. The marks are those of
[the scoreboard of virtual time](scoreboard.md).
";

const LANGUAGES_PREFACE: &str = "# Scoreboard of other languages

This page shows which rules of [evenkeel-tck](../crates/evenkeel-tck) libraries of Python, Node and Go keep, through
[its protocol](../crates/evenkeel-tck/spec/PROTOCOL.md). `cargo xtask conformance --languages --save` writes it, and
`cargo xtask conformance --languages` runs the rules again. Their adapters are in [languages/](languages). The marks are those of
[the scoreboard of Rust](scoreboard.md); a rule about polls, threads or other tasks cannot be put to another process (○).
Reasons of failures are read from the timelines of the runs, and for some in the source. A wrong ✗ is our bug.
";

pub(crate) struct Board {
    patterns: Vec<(&'static str, Vec<Column>)>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Virtual,
    Real,
    Languages,
}

impl Board {
    /// Runs the rules of all patterns, or of one, for all peers, or for one.
    pub(crate) fn of(patterns: &[&dyn Pattern], name: Option<&str>, peer: Option<&str>) -> Self {
        let wanted = |pattern: &&&dyn Pattern| name.is_none_or(|name| pattern.name() == name);
        let wanted: Vec<_> = patterns.iter().filter(wanted).collect();
        let patterns = in_parallel(&wanted, |pattern| (pattern.name(), pattern.columns(peer)));
        let patterns = patterns.into_iter().filter(|(_, columns)| !columns.is_empty()).collect();
        Self { patterns, kind: Kind::Virtual }
    }

    /// The columns of peers of other languages, a table for each pattern and language.
    pub(crate) fn of_languages(patterns: Vec<(&'static str, Vec<Column>)>) -> Self {
        Self { patterns, kind: Kind::Languages }
    }

    /// The columns of real servers.
    #[cfg(unix)]
    pub(crate) fn in_real_time(columns: Vec<Column>) -> Self {
        let patterns = if columns.is_empty() { Vec::new() } else { vec![("PIPELINE", columns)] };
        Self { patterns, kind: Kind::Real }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.patterns.iter().flat_map(|(_, columns)| columns)
    }

    /// The reports in full.
    pub(crate) fn reports(&self) -> String {
        self.columns().map(|column| format!("{}: {}", column.name, column.report)).collect()
    }

    pub(crate) fn save(&self) -> Result<(), String> {
        self.unexplained()?;
        for (name, text) in self.files()? {
            fs::write(Path::new(FOLDER).join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }

    /// Ours break no rule, and every failure of a peer is explained.
    pub(crate) fn check_ours(&self) -> Result<(), String> {
        let mut ours = self
            .columns()
            .filter(|column| column.package == "evenkeel-pipeline" || column.name == "evenkeel");
        if let Some(ours) = ours.find(|column| !column.report.is_clean()) {
            return Err(format!("{} breaks a rule\n{}", ours.name, ours.report));
        }
        self.unexplained()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_ours()?;
        for (name, text) in self.files()? {
            let committed = fs::read_to_string(Path::new(FOLDER).join(name)).unwrap_or_default();
            if let Some(difference) = difference(&committed, &text) {
                return Err(format!(
                    "tests/{name} differs: run `cargo xtask conformance --save`, and read the changes\n\
                     {difference}"
                ));
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<[(&'static str, String); 2], String> {
        let [json, markdown] = match self.kind {
            Kind::Virtual => ["scoreboard.json", "scoreboard.md"],
            Kind::Real => ["scoreboard_real.json", "scoreboard_real.md"],
            Kind::Languages => ["scoreboard_languages.json", "scoreboard_languages.md"],
        };
        Ok([(json, self.json()?), (markdown, self.markdown()?)])
    }

    /// Every failure of a peer is explained in its adapter, and nothing else is.
    fn unexplained(&self) -> Result<(), String> {
        let mut wrong = String::new();
        for Column { name, fails, report, .. } in self.columns() {
            for finding in &report.findings {
                let is_explained = fails.iter().any(|(rule, _)| *rule == finding.id);
                if finding.verdict.failed() && !is_explained {
                    let _ = writeln!(
                        wrong,
                        "{name} fails {}; say why in its adapter: {}",
                        finding.id, finding.verdict
                    );
                }
                // In real time a race need not be lost in each run.
                if self.kind != Kind::Real
                    && finding.tier == Tier::Paused
                    && is_explained
                    && !finding.verdict.failed()
                {
                    let _ = writeln!(
                        wrong,
                        "{name}'s adapter says why it fails {}; it does not: {}",
                        finding.id, finding.verdict
                    );
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn json(&self) -> Result<String, String> {
        let (mut rules, mut versions) = (BTreeMap::new(), BTreeMap::new());
        for (_, columns) in &self.patterns {
            for column in columns {
                versions.insert(column.name, version_of(column)?);
                for finding in &column.report.findings {
                    let results: &mut BTreeMap<_, _> =
                        &mut rules.entry(finding.id).or_insert_with(|| (finding, BTreeMap::new())).1;
                    results.insert(column.name, verdict(column, finding).name());
                }
            }
        }
        let rules = rules.into_iter().map(|(id, (finding, results))| {
            let Finding { level, tier, text, .. } = finding;
            let (level, tier) = (level.to_string(), tier.to_string());
            (id.to_owned(), json!({"level": level, "results": results, "text": text, "tier": tier}))
        });
        let board = json!({"rules": rules.collect::<Map<String, Value>>(), "versions": versions});
        Ok(format!("{board:#}\n"))
    }

    pub(crate) fn markdown(&self) -> Result<String, String> {
        let preface = match self.kind {
            Kind::Virtual => PREFACE,
            Kind::Real => REAL_PREFACE,
            Kind::Languages => LANGUAGES_PREFACE,
        };
        let (mut text, mut linked) = (preface.to_owned(), None);
        for (pattern, columns) in &self.patterns {
            let names: Vec<String> = columns
                .iter()
                .map(|column| Ok(format!("{} {}", column.name, version_of(column)?)))
                .collect::<Result<_, String>>()?;
            let language = columns[0].language.map(|language| format!(" · {language}")).unwrap_or_default();
            let _ = writeln!(text, "\n## {pattern}{language}\n\n| rule | level | | {} |", names.join(" | "));
            let _ = writeln!(text, "|---|---|---|{}", ":-:|".repeat(columns.len()));
            for (row, Finding { id, level, text: rule, .. }) in columns[0].report.findings.iter().enumerate()
            {
                let cells = columns.iter().map(|column| mark(&verdict(column, &column.report.findings[row])));
                let cells = cells.collect::<Vec<_>>().join(" | ");
                let _ = writeln!(text, "| [{id}] | {level} | {rule} | {cells} |");
            }
            let scores = columns.iter().map(|column| score(column).to_string()).collect::<Vec<_>>();
            let _ = writeln!(text, "| **score** | | | {} |", scores.join(" | "));
            for column in columns {
                text.push_str(&remarks(column));
            }
            if linked.replace(*pattern) == Some(*pattern) {
                continue;
            }
            text.push('\n');
            for Finding { id, .. } in &columns[0].report.findings {
                let anchor = id.to_lowercase();
                let _ = writeln!(text, "[{id}]: ../crates/evenkeel-tck/spec/{pattern}.md#{anchor}");
            }
        }
        Ok(text)
    }
}

/// A race on threads or in real time need not be found in each run: where the source shows it, the rule is broken all the
/// same.
fn verdict(column: &Column, finding: &Finding) -> Verdict {
    let known = column.fails.iter().find(|(rule, _)| *rule == finding.id);
    match known {
        Some((_, why)) if finding.tier != Tier::Paused && finding.verdict.passed() => {
            Verdict::Fail { expected: finding.text.to_owned(), got: (*why).to_owned(), timeline: Vec::new() }
        }
        _ => finding.verdict.clone(),
    }
}

fn score(column: &Column) -> Score {
    let verdicts: Vec<Verdict> =
        column.report.findings.iter().map(|finding| verdict(column, finding)).collect();
    Score::of(&verdicts)
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Unsupported(_) => "–",
        Verdict::NotExpressible(_) => "○",
        failed if failed.failed() => "✗",
        _ => "?",
    }
}

/// The reasons for which a peer fails, and the rules that it was not asked; empty for a peer that keeps all rules.
fn remarks(column: &Column) -> String {
    let mut text = String::new();
    for (rule, why) in column.fails {
        let _ = writeln!(text, "- ✗ [{rule}]: {why}");
    }
    let mut unasked: Vec<(String, Vec<&str>)> = Vec::new();
    for finding in &column.report.findings {
        let why = match finding.verdict {
            Verdict::Pass => continue,
            ref failed if failed.failed() => continue,
            ref other => other.to_string(),
        };
        match unasked.iter_mut().find(|(known, _)| *known == why) {
            Some((_, rules)) => rules.push(finding.id),
            None => unasked.push((why, vec![finding.id])),
        }
    }
    for (why, rules) in unasked {
        let rules: Vec<String> = rules.iter().map(|rule| format!("[{rule}]")).collect();
        let _ = writeln!(text, "- {}: {why}", rules.join(", "));
    }
    if text.is_empty() {
        text
    } else {
        format!("\n### {}\n\nBy [its documentation]({}).\n\n{text}", column.name, column.docs)
    }
}

fn version_of(column: &Column) -> Result<String, String> {
    column.version.clone().map_or_else(|| version(column.package), Ok)
}

/// The version that is locked. Where there are several, the dependencies of this package name their own.
fn version(package: &str) -> Result<String, String> {
    let read = |lock: &str| {
        fs::read_to_string(Path::new(FOLDER).join(lock)).map_err(|error| format!("{lock}: {error}"))
    };
    // The last ones are the dependencies of a program of their own.
    let lock = read("../Cargo.lock")? + &read("queues/Cargo.lock")?;
    let ours = lock.split("[[package]]").find(|entry| entry.starts_with("\nname = \"evenkeel-tests\"\n"));
    let named = ours.and_then(|entry| entry.split_once(&format!("\n \"{package} ")));
    if let Some((version, _)) = named.and_then(|(_, rest)| rest.split_once('"')) {
        return Ok(version.to_owned());
    }
    let entry = format!("name = \"{package}\"\nversion = \"");
    let found = lock.split_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    found.map(|(version, _)| version.to_owned()).ok_or_else(|| format!("{package} is not in Cargo.lock"))
}

/// The first line that is not the same.
fn difference(committed: &str, fresh: &str) -> Option<String> {
    let (mut old, mut new) = (committed.lines(), fresh.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => {}
            (old, new) => {
                let (old, new) = (old.unwrap_or("(the end)"), new.unwrap_or("(the end)"));
                return Some(format!("line {number}\n- {old}\n+ {new}"));
            }
        }
    }
}
