//! A report as text, JSON, JUnit and TAP.

use std::{fmt::Write, str::FromStr};

use evenkeel_tck::{Finding, Report, Verdict, protocol::Process};
use serde_json::{Value, json};

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Junit,
    Tap,
}

/// The implementation that was tested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) pattern: &'a str,
    pub(crate) process: &'a Process,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "text" => Self::Text,
            "json" => Self::Json,
            "junit" => Self::Junit,
            "tap" => Self::Tap,
            other => return Err(format!("`{other}` is no format: text, json, junit or tap")),
        })
    }
}

impl Format {
    pub(crate) fn of(self, subject: &Subject<'_>, report: &Report, is_verbose: bool) -> String {
        match self {
            // Each rule was shown when it ran.
            Self::Text if is_verbose => format!("{}: {} rules hold\n", subject.name(), report.score()),
            Self::Text => text(subject, report),
            Self::Json => format!("{:#}\n", json(subject, report)),
            Self::Junit => junit(subject, report),
            Self::Tap => tap(subject, report),
        }
    }
}

impl Subject<'_> {
    fn name(&self) -> String {
        format!("{} {} ({})", self.process.library(), self.process.version(), self.process.runtime())
    }
}

/// Broken rules first, each with its timeline; the rules that were not tested in a line for each reason.
fn text(subject: &Subject<'_>, report: &Report) -> String {
    let mut text = format!("{}\n\n", subject.name());
    let mut untested: Vec<(String, Vec<&str>)> = Vec::new();
    for Finding { id, level, text: rule, verdict, .. } in &report.findings {
        match verdict {
            Verdict::Pass => {}
            Verdict::NotExpressible(_) | Verdict::Unsupported(_) | Verdict::Untested(_) => {
                let why = verdict.to_string();
                match untested.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, ids)) => ids.push(id),
                    None => untested.push((why, vec![id])),
                }
            }
            _ => {
                let indented = verdict.to_string().replace('\n', "\n    ");
                let _ = writeln!(text, "{id} ({level}): {rule}\n    {indented}");
                for line in timeline(verdict) {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
    }
    for (why, ids) in untested {
        let _ = writeln!(text, "{}: {why}", ids.join(" "));
    }
    let _ = writeln!(text, "\n{} rules hold", report.score());
    text
}

fn timeline(verdict: &Verdict) -> &[String] {
    match verdict {
        Verdict::Fail { timeline, .. } => timeline,
        _ => &[],
    }
}

fn json(subject: &Subject<'_>, report: &Report) -> Value {
    let rules = report.findings.iter().map(|Finding { id, level, text, verdict, .. }| {
        json!({
            "id": id, "level": level.to_string(), "text": text, "verdict": verdict.name(), "says": verdict.to_string(),
            "timeline": timeline(verdict),
        })
    });
    let score = report.score();
    json!({
        "library": subject.process.library(), "version": subject.process.version(), "runtime": subject.process.runtime(),
        "pattern": subject.pattern, "rules": rules.collect::<Vec<Value>>(), "passed": score.passed, "failed": score.failed,
    })
}

fn junit(subject: &Subject<'_>, report: &Report) -> String {
    let (mut cases, mut failures, mut errors, mut skipped) = (String::new(), 0, 0, 0);
    for Finding { id, text, verdict, .. } in &report.findings {
        let (class, name) =
            (xml(&format!("{}.{}", subject.pattern, subject.process.library())), format!("{id}: {text}"));
        let (says, body) = (xml(&verdict.to_string()), xml(&timeline(verdict).join("\n")));
        let outcome = match verdict {
            Verdict::Pass => String::new(),
            Verdict::NotExpressible(_) | Verdict::Unsupported(_) | Verdict::Untested(_) => {
                skipped += 1;
                format!("<skipped message=\"{says}\"/>")
            }
            Verdict::BadAdapter(_) => {
                errors += 1;
                format!("<error message=\"{says}\"/>")
            }
            _ => {
                failures += 1;
                format!("<failure message=\"{says}\">{body}</failure>")
            }
        };
        let _ = writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"{}\">{outcome}</testcase>",
            xml(&name)
        );
    }
    let (name, tests) = (xml(&subject.name()), report.findings.len());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{name}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

/// Text in XML. Characters that XML cannot have become a question mark.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            control if control.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn tap(subject: &Subject<'_>, report: &Report) -> String {
    let mut text =
        format!("TAP version 14\n# {}\n1..{}\n", subject.name().replace('\n', " "), report.findings.len());
    for (number, Finding { id, text: rule, verdict, .. }) in (1..).zip(&report.findings) {
        // A number sign begins a directive.
        let name = format!("{id} {rule}").replace('#', "\\#");
        let line = verdict.to_string().replace('\n', " ");
        let _ = match verdict {
            Verdict::Pass => writeln!(text, "ok {number} - {name}"),
            Verdict::NotExpressible(_) | Verdict::Unsupported(_) | Verdict::Untested(_) => {
                writeln!(text, "ok {number} - {name} # SKIP {line}")
            }
            _ => {
                // JSON is YAML, too.
                let (message, lines) = (json!(verdict.to_string()), json!(timeline(verdict)));
                writeln!(
                    text,
                    "not ok {number} - {name}\n  ---\n  message: {message}\n  timeline: {lines}\n  ..."
                )
            }
        };
    }
    text
}
