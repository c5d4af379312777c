//! Rules for measured figures in our prose.

use std::path::{Path, PathBuf};

use super::tree::{File, Tree};

/// Begins a quotation of a table of results, and names it: `<!-- benches/results/limit.md -->`; or some of its rows, by their
/// ids or the beginnings of them: `<!-- benches/results/limit.md: limit/keyed, limit/try-acquire-fast -->`.
const BEGIN: &str = "<!-- benches/results/";
const BEGIN_END: &str = " -->\n";
const END: &str = "<!-- end -->";

/// Pages quote the committed results, as `cargo xtask report` wrote them down.
pub(super) fn pages_quote_the_results(tree: &Tree) -> Vec<String> {
    let mut found: Vec<String> = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .filter_map(|file| match quoting(&file.text, tree) {
            Ok(text) if text == file.text => None,
            Ok(_) => Some(format!("{}: it quotes older results: run `cargo xtask report`", file.path)),
            Err(error) => Some(format!("{}: {error}", file.path)),
        })
        .collect();
    let quotes = |readme: &File| readme.text.contains(&format!("{BEGIN}summary.md"));
    if tree.file("benches/results/summary.md").is_some() && !tree.file("README.md").is_some_and(quotes) {
        found.push(format!(
            "README.md: no `{BEGIN}summary.md{}` … `{END}`: quote the results there",
            BEGIN_END.trim_end()
        ));
    }
    found
}

/// Returns the pages whose quotations are not those of the results, with their text as it should be.
///
/// # Errors
///
/// If the files cannot be listed, or a quotation has no end or names no file.
pub(crate) fn outdated(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let tree = Tree::read(root).map_err(|error| format!("{}: {error}", root.display()))?;
    let mut pages = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let text = quoting(&file.text, &tree).map_err(|error| format!("{}: {error}", file.path))?;
        if text != file.text {
            pages.push((root.join(&file.path), text));
        }
    }
    Ok(pages)
}

/// Returns the text with the results of today in its quotations.
fn quoting(text: &str, tree: &Tree) -> Result<String, String> {
    let (mut quoting, mut rest) = (String::new(), text);
    // At the begin of a line: within one it is a sentence about a quotation.
    while let Some(start) = rest.match_indices(BEGIN).map(|found| found.0).find(|start| is_line(rest, *start))
    {
        let (before, after) = (&rest[..start], &rest[start + BEGIN.len()..]);
        let (name, after) = after.split_once(BEGIN_END).ok_or("a quotation of results names no file")?;
        let (file, rows) = name.split_once(": ").map_or((name, None), |(file, rows)| (file, Some(rows)));
        let path = format!("benches/results/{file}");
        let quoted = tree.file(&path).ok_or_else(|| format!("it quotes {path}, which does not exist"))?;
        let quoted =
            rows.map_or_else(|| Ok(quoted.text.clone()), |rows| some_rows(&quoted.text, &path, rows))?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("no `{END}` after {path}"))?;
        quoting.extend([before, BEGIN, name, BEGIN_END, &quoted, END]);
        rest = after;
    }
    Ok(quoting + rest)
}

/// Returns a table with its head and the rows that are named: each by its id, or by the parts of it up to a slash.
fn some_rows(table: &str, path: &str, rows: &str) -> Result<String, String> {
    let id = |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
    let named = |id: &str, name: &str| {
        id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for name in rows.split(", ") {
        if !table.lines().filter_map(id).any(|id| named(&id, name)) {
            return Err(format!("it quotes {name} of {path}, where no such row is"));
        }
    }
    let kept = |line: &&str| id(line).is_none_or(|id| rows.split(", ").any(|name| named(&id, name)));
    Ok(table.lines().filter(kept).map(|line| format!("{line}\n")).collect())
}

fn is_line(text: &str, start: usize) -> bool {
    start == 0 || text[..start].ends_with('\n')
}

/// A claim of speed or size names its data.
///
/// Limits and settings are written in seconds and milliseconds; what was measured is in nanoseconds, microseconds
/// or megabytes, or says how many times faster.
pub(super) fn figures_come_from_the_results(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let readme = |path: &str| path.ends_with("README.md") && path != "benches/results/README.md";
    let page = |path: &str| path.starts_with("docs/") && path.ends_with(".md");
    for file in tree.files.iter().filter(|file| readme(&file.path) || page(&file.path)) {
        let (mut code, mut quoted) = (false, false);
        for (index, line) in file.text.lines().enumerate() {
            code ^= line.starts_with("```");
            quoted = (quoted || line.starts_with(BEGIN)) && line != END;
            if !code && !quoted && claims(line) {
                found.push(file.finding(
                    index + 1,
                    "a measured figure: quote it from benches/results, or say it without",
                ));
            }
        }
    }
    found
}

/// Pages outside of that rule tell a figure in units of measuring beside its machine, in the same paragraph.
pub(super) fn figures_name_their_machine(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let page = |path: &str| path == "COMPARE.md" || path.ends_with("/GUIDE.md");
    for file in tree.files.iter().filter(|file| page(&file.path)) {
        let (mut code, mut quoted) = (false, false);
        // The line of the first figure of the paragraph, and whether a machine is in it.
        let (mut figure, mut machine) = (None, false);
        for (index, line) in file.text.lines().chain([""]).enumerate() {
            code ^= line.starts_with("```");
            quoted = (quoted || line.starts_with(BEGIN)) && line != END;
            if line.is_empty() || code || quoted {
                let missing = figure.take().filter(|_| !machine);
                found.extend(missing.map(|line| file.finding(line, NO_MACHINE)));
                machine = false;
            } else {
                machine |= MACHINES.iter().any(|machine| line.contains(machine));
                figure = figure.or(Some(index + 1).filter(|_| is_followed_by(line, &UNITS)));
            }
        }
    }
    found
}

const NO_MACHINE: &str =
    "a measured figure: name the machine in this paragraph, or quote it from benches/results";
const MACHINES: [&str; 4] = ["AMD", "Intel", "Apple", "Arm"];
const UNITS: [&str; 5] = ["ns", "µs", "us", "MB", "kB"];

/// Whether a number of a measuring unit follows a number.
fn claims(line: &str) -> bool {
    is_followed_by(line, &UNITS) || is_followed_by(line, &["times", "x"])
}

/// Whether one of these words follows a number.
fn is_followed_by(line: &str, units: &[&str]) -> bool {
    let words: Vec<&str> =
        line.split_whitespace().map(|word| word.trim_matches(['*', '(', ')', ',', '.', ';', '|'])).collect();
    let number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    words.windows(2).any(|pair| number(pair[0]) && units.contains(&pair[1]))
}

#[cfg(test)]
mod tests {
    use super::{
        claims, figures_come_from_the_results, figures_name_their_machine, pages_quote_the_results, quoting,
    };
    use crate::tidy::tree::{findings, in_tree};

    #[test]
    fn a_figure_of_ones_own_is_found_and_a_setting_is_not() {
        assert!(claims("A check takes 12 ns."));
        assert!(claims("It is 3.5 times as fast"));
        assert!(claims("needs (15 MB) of memory"));
        assert!(!claims("waits 30 s, or 100 ms, by default"));
        assert!(!claims("1000 calls of 200 ms in 2 s"));
        let readme =
            "It takes 12 ns.\n```\n12 ns\n```\n<!-- benches/results/summary.md -->\n12 ns\n<!-- end -->\n";
        let found = findings(figures_come_from_the_results, &[("crates/a/README.md", readme)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/a/README.md:1:"));
    }

    #[test]
    fn a_figure_without_its_machine_is_found() {
        let text = "It takes 12 ns,\nand no more.\n\nOn an AMD EPYC it\ntakes 12 ns.\n\nIt waits 30 s, 3 times.\n\n```\n12 ns\n```\n\
                    <!-- benches/results/a.md -->\n12 ns\n<!-- end -->\n\nIt has 4 MB.";
        let expected = [1, 16].map(|line| format!("crates/a/GUIDE.md:{line}: {}", super::NO_MACHINE));
        assert_eq!(findings(figures_name_their_machine, &[("crates/a/GUIDE.md", text)]), expected);
        assert_eq!(findings(figures_name_their_machine, &[("COMPARE.md", "12 ns")]).len(), 1);
        assert_eq!(findings(figures_name_their_machine, &[("ARCHITECTURE.md", "12 ns")]), [""; 0]);
    }

    #[test]
    fn pages_must_quote_the_results_word_for_word() {
        let results = ("benches/results/summary.md", "| 1 |\n");
        let others = ("benches/results/limit.md", "| 3 |\n");
        let quoted = "a\n<!-- benches/results/summary.md -->\n| 1 |\n<!-- end -->\n";
        let check = |readme: &str, compare: &str| {
            let files = [("README.md", readme), ("COMPARE.md", compare), results, others];
            findings(pages_quote_the_results, &files)
        };
        let limit = "b\n<!-- benches/results/limit.md -->\n| 3 |\n<!-- end -->\nc\n";
        assert_eq!(check(quoted, limit), Vec::<String>::new());
        for (readme, compare, expected) in [
            (quoted.replace("| 1 |", "| 2 |"), limit.to_owned(), "README.md: it quotes older results"),
            (
                quoted.to_owned(),
                format!("{limit}{}", limit.replace("| 3 |", "")),
                "COMPARE.md: it quotes older",
            ),
            (
                quoted.to_owned(),
                limit.replace("limit.md", "lost.md"),
                "benches/results/lost.md, which does not exist",
            ),
            (
                quoted.to_owned(),
                limit.replace("end", "END"),
                "no `<!-- end -->` after benches/results/limit.md",
            ),
            ("nothing\n".to_owned(), limit.to_owned(), "README.md: no `<!-- benches/results/summary.md -->`"),
        ] {
            let found = check(&readme, &compare);
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn some_rows_of_a_table_can_be_quoted() {
        let table =
            "As measured.\n\n| row | time |\n|---|---|\n| `a/b/x` | 1 |\n| `a/b/y` | 2 |\n| `a/bc` | 3 |\n";
        let page =
            |rows: &str, text: &str| format!("<!-- benches/results/a.md: {rows} -->\n{text}<!-- end -->\n");
        let quoted =
            |rows: &str| in_tree(&[("benches/results/a.md", table)], |tree| quoting(&page(rows, ""), tree));
        let head = "As measured.\n\n| row | time |\n|---|---|\n";
        assert_eq!(quoted("a/b"), Ok(page("a/b", &format!("{head}| `a/b/x` | 1 |\n| `a/b/y` | 2 |\n"))));
        assert_eq!(
            quoted("a/b/y, a/bc"),
            Ok(page("a/b/y, a/bc", &format!("{head}| `a/b/y` | 2 |\n| `a/bc` | 3 |\n")))
        );
        let lost = "it quotes a/d of benches/results/a.md, where no such row is";
        assert_eq!(quoted("a/b, a/d"), Err(lost.to_owned()));
    }

    #[test]
    fn a_page_is_rewritten_in_its_quotations_alone() {
        let results = [("benches/results/a.md", "A\n"), ("benches/results/b.md", "B\n")];
        let quoted = |name, text| format!("<!-- benches/results/{name}.md -->\n{text}<!-- end -->\n");
        let page = format!(
            "x `<!-- benches/results/none`\n{}y\n{}<!-- end -->z",
            quoted("a", "old\n"),
            quoted("b", "")
        );
        let expected = format!(
            "x `<!-- benches/results/none`\n{}y\n{}<!-- end -->z",
            quoted("a", "A\n"),
            quoted("b", "B\n")
        );
        for text in [&page, &expected] {
            assert_eq!(in_tree(&results, |tree| quoting(text, tree)), Ok(expected.clone()));
        }
    }
}
