//! Rules for measured figures in our prose.

use super::tree::Tree;

const SUMMARY: &str = "benches/results/summary.md";
const BEGIN: &str = "<!-- benches/results/summary.md -->\n";
const END: &str = "<!-- end -->";

/// The front page quotes the committed results, as `cargo xtask report` wrote them down.
pub(super) fn the_front_page_quotes_the_results(tree: &Tree) -> Vec<String> {
    let (Some(readme), Some(summary)) = (tree.file("README.md"), tree.file(SUMMARY)) else {
        return Vec::new();
    };
    let quoted = readme.text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    match quoted {
        Some((quoted, _)) if quoted == summary.text => Vec::new(),
        Some(_) => {
            vec![format!("README.md: the table after `{}` is not {SUMMARY}: copy it", BEGIN.trim_end())]
        }
        None => vec![format!("README.md: no `{}` … `{END}`: quote the results there", BEGIN.trim_end())],
    }
}

/// A claim of speed or size names its data.
///
/// Limits and settings are written in seconds and milliseconds; what was measured is in nanoseconds, microseconds
/// or megabytes, or says how many times faster.
pub(super) fn figures_come_from_the_results(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let readme = |path: &str| path.ends_with("README.md") && path != "benches/results/README.md";
    for file in tree.files.iter().filter(|file| readme(&file.path)) {
        let (mut code, mut quoted) = (false, false);
        for (index, line) in file.text.lines().enumerate() {
            code ^= line.starts_with("```");
            quoted = (quoted || line == BEGIN.trim_end()) && line != END;
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

/// Whether a number of a measuring unit follows a number.
fn claims(line: &str) -> bool {
    let words: Vec<&str> =
        line.split_whitespace().map(|word| word.trim_matches(['*', '(', ')', ',', '.', ';', '|'])).collect();
    let number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    words
        .windows(2)
        .any(|pair| number(pair[0]) && matches!(pair[1], "ns" | "µs" | "us" | "MB" | "kB" | "times" | "x"))
}

#[cfg(test)]
mod tests {
    use super::{claims, figures_come_from_the_results, the_front_page_quotes_the_results};
    use crate::tidy::tree::findings;

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
    fn the_front_page_must_quote_the_results_word_for_word() {
        let results = ("benches/results/summary.md", "| 1 |\n");
        let quoted = "a\n<!-- benches/results/summary.md -->\n| 1 |\n<!-- end -->\n";
        let check = |readme: &str| {
            findings(the_front_page_quotes_the_results, &[("README.md", readme), results]).len()
        };
        assert_eq!(check(quoted), 0);
        assert_eq!(check(&quoted.replace("| 1 |", "| 2 |")), 1);
        assert_eq!(check("nothing\n"), 1);
    }
}
