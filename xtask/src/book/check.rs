//! Rules for the pages of the book, which need no mdBook.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    expand::{PAGES, expanded, included, is_rust},
    links::Pages,
    markdown::{Kind, heading, lines, targets},
    rules,
};
use crate::Result;

/// The sections of a pattern, in this order.
const SECTIONS: [&str; 6] =
    ["The problem", "In asyncio", "Here", "What can go wrong?", "Numbers", "When to take something else"];

const PATTERNS: &str = "docs/book/src/patterns/";
const OUTPUT: &str = "docs/book/src/output/";

/// Returns the findings in the pages, and in the links of all Markdown of the project.
pub(crate) fn findings(root: &Path, files: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let (mut pages, mut used) = (Vec::new(), BTreeSet::new());
    for path in files.iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        if !path.starts_with(PAGES) {
            pages.push((path.clone(), text));
            continue;
        }
        found.extend(listings(root, path, &text));
        found.extend(unlinked(path, &text));
        found.extend(sections(path, &text));
        match expanded(root, path, &text) {
            Ok(page) => {
                used.extend(shown(path, &page));
                used.extend(text.lines().filter_map(|line| Some(target(path, included(line)?.0))));
                pages.push((path.clone(), page));
            }
            Err(error) => found.push(error),
        }
    }
    // Pages that are made are linked to, and have links, as those that are committed.
    let mut known = files.to_vec();
    for page in rules::pages(root)? {
        known.push(page.path.clone());
        pages.push((page.path, page.text));
    }
    let pages = Pages::new(root, &known, pages);
    found.extend(pages.broken());
    let summary = format!("{PAGES}/SUMMARY.md");
    let listed: BTreeSet<String> = pages
        .texts()
        .filter(|(path, _)| *path == summary)
        .flat_map(|(path, text)| shown(path, text))
        .collect();
    for path in files.iter().filter(|path| path.starts_with(PAGES) && **path != summary) {
        let is_page = path.ends_with(".md");
        // The narrow form of a picture is shown where the wide one is.
        let wide = path.replace("-narrow.svg", ".svg");
        if is_page && !listed.contains(path) {
            found.push(format!("{path}: it is not in the summary: list it, or delete it"));
        } else if !is_page && !used.contains(&wide) {
            found.push(format!("{path}: no page shows it: show it, or delete it"));
        }
    }
    Ok(found)
}

/// The files that the links of a page lead to.
fn shown(path: &str, page: &str) -> Vec<String> {
    let prose = lines(page).filter(|line| line.kind == Kind::Prose);
    let targets =
        prose.flat_map(|line| targets(line.text).into_iter().map(move |range| line.text[range].to_owned()));
    targets.map(|link| target(path, link.split('#').next().unwrap_or_default())).collect()
}

fn target(path: &str, link: &str) -> String {
    super::place::joined(super::place::folder(path), link)
}

/// Listings are included: Rust from a file that is compiled, and the output of a program from the file that a test compares.
fn listings(root: &Path, path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut finding = |number: usize, message: &str| found.push(format!("{path}:{number}: {message}"));
    for line in lines(text) {
        match (line.kind, included(line.text)) {
            (Kind::Opens(""), _) => finding(line.number, "a block without a language: name it, or `text`"),
            (Kind::Code(language), None) if is_rust(language) => {
                finding(line.number, "Rust that nothing compiles: include it from a file of the cookbook");
            }
            (Kind::Code(language), Some((file, _))) if is_rust(language) && !file.ends_with(".rs") => {
                finding(line.number, "this file is not compiled: include a file of the cookbook");
            }
            (Kind::Code("text"), None) => {
                finding(line.number, "output that no test compares: include it from docs/book/src/output");
            }
            (Kind::Code("text"), Some((file, _))) if !target(path, file).starts_with(OUTPUT) => {
                finding(line.number, "output that no test compares: include it from docs/book/src/output");
            }
            (Kind::Prose, Some((file, _))) if file.ends_with(".md") => {
                // An include that fails is told elsewhere.
                let shown = expanded(root, path, line.text).unwrap_or_default();
                if lines(&shown).any(|line| line.kind == Kind::Opens("rust"))
                    && !is_tested(root, &target(path, file))
                {
                    finding(
                        line.number,
                        "examples that nothing compiles: include the page by `include_str!` in its crate",
                    );
                }
            }
            _ => {}
        }
    }
    found
}

/// A forge shows a page without what it includes, so the page has to link to it.
fn unlinked(path: &str, text: &str) -> Vec<String> {
    let linked: BTreeSet<String> = shown(path, text).into_iter().collect();
    let includes = lines(text).filter_map(|line| Some((line.number, included(line.text)?.0)));
    includes
        .filter(|(_, file)| !linked.contains(&target(path, file)))
        .map(|(number, file)| {
            format!("{path}:{number}: who reads this page on a forge does not see {file}: link to it, too")
        })
        .collect()
}

/// Whether the examples of a page are doc tests of its crate.
fn is_tested(root: &Path, file: &str) -> bool {
    let Some((package, name)) = file.rsplit_once('/') else { return false };
    let include = format!("#![doc = include_str!(\"../{name}\")]");
    let sources = fs::read_dir(root.join(package).join("src")).into_iter().flatten().flatten();
    sources
        .into_iter()
        .any(|source| fs::read_to_string(source.path()).is_ok_and(|text| text.contains(&include)))
}

/// The sections of a page about a pattern.
fn sections(path: &str, text: &str) -> Option<String> {
    if !path.starts_with(PATTERNS) {
        return None;
    }
    let prose = lines(text).filter(|line| line.kind == Kind::Prose);
    let headings: Vec<&str> = prose
        .filter_map(|line| heading(line.text))
        .filter(|(level, _)| *level == 2)
        .map(|(_, text)| text)
        .collect();
    (headings != SECTIONS)
        .then(|| format!("{path}: its sections are {headings:?}: they have to be {SECTIONS:?}"))
}

#[cfg(test)]
mod tests {
    use super::unlinked;

    #[test]
    fn a_page_links_to_what_it_includes() {
        let page = "[`a.rs`](../x/a.rs):\n\n```rust\n{{#include ../x/a.rs}}\n```\n\nFrom [b](b.md#part):\n\n{{#include b.md:part}}\n";
        assert_eq!(unlinked("docs/book/src/a.md", page), Vec::<String>::new());
        let bare = page.replace("[`a.rs`](../x/a.rs)", "[`a.rs`](../x/other.rs)");
        let found = unlinked("docs/book/src/a.md", &bare);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("docs/book/src/a.md:4: "), "{found:?}");
        // A link in a listing is none.
        let quoted = "```text\n[a](a.txt)\n{{#include a.txt}}\n```\n";
        assert_eq!(unlinked("docs/book/src/a.md", quoted).len(), 1);
    }
}
