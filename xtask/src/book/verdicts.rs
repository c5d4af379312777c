//! The verdicts of the committed scoreboards, with the reasons that they give.

use std::{collections::BTreeMap, fs, path::Path};

use crate::Result;

/// The scoreboards, each with the name of its verdicts on Rust.
const BOARDS: [(&str, &str); 3] = [
    ("tests/scoreboard.md", "Rust"),
    ("tests/scoreboard_languages.md", "Other languages"),
    ("tests/scoreboard_real.md", "Rust, on real servers"),
];

/// The verdicts on each rule, in the order of the scoreboards.
pub(super) type Verdicts = BTreeMap<String, Vec<Verdict>>;

#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// The language and the tier.
    pub(super) board: String,
    /// Its name and its version.
    pub(super) implementation: String,
    pub(super) mark: String,
    /// Why it fails, or was not tested.
    pub(super) why: Option<String>,
}

/// Reads the scoreboards.
pub(super) fn verdicts(root: &Path) -> Result<Verdicts> {
    let mut verdicts = Verdicts::new();
    for (file, board) in BOARDS {
        let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        read(&text, board, &mut verdicts);
    }
    Ok(verdicts)
}

/// Reads one scoreboard: tables of marks, and lists of reasons below a heading for each implementation.
fn read(text: &str, board: &str, verdicts: &mut Verdicts) {
    let (mut language, mut names, mut peer) = (board, Vec::new(), "");
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("## ") {
            language = head.split_once(" · ").map_or(board, |(_, language)| language);
            (names, peer) = (Vec::new(), "");
        } else if let Some(name) = line.strip_prefix("### ") {
            peer = name;
        } else if let Some(row) = line.strip_prefix("| rule | level | | ") {
            names = row.trim_end_matches(" |").split(" | ").collect();
        } else if let Some((id, rest)) = line.strip_prefix("| [").and_then(|row| row.split_once("] | ")) {
            let cells: Vec<&str> = rest.trim_end_matches(" |").split(" | ").collect();
            // The text of a rule may have a bar of its own.
            let marks = &cells[cells.len().saturating_sub(names.len())..];
            let found = names.iter().zip(marks).map(|(name, mark)| Verdict {
                board: language.to_owned(),
                implementation: (*name).to_owned(),
                mark: (*mark).to_owned(),
                why: None,
            });
            verdicts.entry(id.to_owned()).or_default().extend(found);
        } else if let Some((rules, why)) = line.strip_prefix("- ").and_then(|line| line.split_once(": ")) {
            for rule in rules.split(", ") {
                let rule = rule.trim_start_matches("✗ ").trim_start_matches('[').trim_end_matches(']');
                let of_peer = |verdict: &&mut Verdict| {
                    let name = verdict.implementation.rsplit_once(' ').map_or("", |(name, _)| name);
                    verdict.board == language && name == peer
                };
                let verdict = verdicts.get_mut(rule).and_then(|found| found.iter_mut().find(of_peer));
                if let Some(verdict) = verdict {
                    verdict.why = Some(why.to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdicts, read};

    #[test]
    fn marks_and_reasons_are_read() {
        let text = "# Scoreboard\n\n## X · Python\n\n| rule | level | | one 1.0 | other one 2.0 |\n|---|---|---|:-:|:-:|\n\
                    | [X-01] | must | It holds. | ✓ | ✗ |\n| [X-02] | must | It | too | holds. | ✓ | – |\n| **score** | | | 2 of 2 | 0 of 1 |\n\n\
                    ### other one\n\nBy [its documentation](https://example.com).\n\n- ✗ [X-01]: It does not: see `it`.\n\
                    - [X-02], [X-03]: unsupported: jitter\n";
        let mut verdicts = Verdicts::new();
        read(text, "Other languages", &mut verdicts);
        let found = |rule: &str| -> Vec<(String, Option<String>)> {
            let found = verdicts[rule].iter();
            found.map(|v| (format!("{} {} {}", v.board, v.implementation, v.mark), v.why.clone())).collect()
        };
        let why = |text: &str| Some(text.to_owned());
        assert_eq!(
            found("X-01"),
            [
                ("Python one 1.0 ✓".to_owned(), None),
                ("Python other one 2.0 ✗".to_owned(), why("It does not: see `it`."))
            ]
        );
        assert_eq!(
            found("X-02"),
            [
                ("Python one 1.0 ✓".to_owned(), None),
                ("Python other one 2.0 –".to_owned(), why("unsupported: jitter"))
            ]
        );
        assert_eq!(verdicts.len(), 2);
    }
}
