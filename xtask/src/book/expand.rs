//! A page of the book with all that it includes.
//!
//! `{{#include FILE}}` and `{{#include FILE:PART}}` are mdBook's, with two additions, for which the pages go through this
//! file instead of mdBook's own preprocessor: a part of a Markdown file is a section, by the anchor of its heading; and a
//! page of a crate, whose links are rustdoc's, has links into the documentation of that crate.

use std::{fs, path::Path};

use super::{
    markdown::{Kind, anchor, code_spans, heading, lines, targets},
    place,
};

/// The folder of the pages, from the root.
pub(crate) const PAGES: &str = "docs/book/src";

const INCLUDE: &str = "{{#include ";

/// Returns the file and the part that a line includes.
pub(super) fn included(line: &str) -> Option<(&str, Option<&str>)> {
    let inner = line.trim().strip_prefix(INCLUDE)?.strip_suffix("}}")?;
    Some(inner.split_once(':').map_or((inner, None), |(file, part)| (file, Some(part))))
}

/// Returns the text of a page, which lies at `path` from the root, with all that it includes.
///
/// # Errors
///
/// If a file or a part does not exist: the line, and why.
pub(super) fn expanded(root: &Path, path: &str, text: &str) -> Result<String, String> {
    let mut page = String::new();
    for (index, line) in text.lines().enumerate() {
        match included(line) {
            None => page.push_str(line),
            Some((file, part)) => {
                let failed = |error: String| format!("{path}:{}: {error}", index + 1);
                let file = place::joined(place::folder(path), file);
                let text =
                    fs::read_to_string(root.join(&file)).map_err(|e| failed(format!("{file}: {e}")))?;
                let text = content(&file, part, &text).map_err(failed)?;
                let text = if file.ends_with(".md") { of_crate(&text, &file, path) } else { text };
                page.push_str(text.trim_matches('\n'));
            }
        }
        page.push('\n');
    }
    Ok(page)
}

/// Returns what a file, or its part, shows.
fn content(file: &str, part: Option<&str>, text: &str) -> Result<String, String> {
    let missing = |part: &str| format!("{file} has no part `{part}`");
    match (file.rsplit_once('.').map_or("", |(_, kind)| kind), part) {
        ("md", Some(part)) => section(text, part).ok_or_else(|| missing(part)),
        ("rs", None) => {
            let head = |line: &&str| line.is_empty() || line.starts_with("//!") || line.starts_with("#![");
            Ok(dedented(text.lines().skip_while(head).filter(|line| !is_mark(line))))
        }
        (_, Some(part)) => {
            let begin = format!("ANCHOR: {part}");
            let end = format!("ANCHOR_END: {part}");
            let mut after = text.lines().skip_while(|line| !line.trim().ends_with(&begin)).skip(1).peekable();
            if after.peek().is_none() || !text.lines().any(|line| line.trim().ends_with(&end)) {
                return Err(missing(part));
            }
            let inner = after.take_while(|line| !line.trim().ends_with(&end)).filter(|line| !is_mark(line));
            Ok(dedented(inner))
        }
        (_, None) => Ok(text.to_owned()),
    }
}

fn is_mark(line: &str) -> bool {
    let comment = line.trim_start().trim_start_matches(['/', '#', '<', '!', '-']).trim_start();
    comment.starts_with("ANCHOR: ") || comment.starts_with("ANCHOR_END: ")
}

fn dedented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or_default().to_owned() + "\n").collect()
}

/// Returns the section below the heading with this anchor, without the heading.
fn section(text: &str, part: &str) -> Option<String> {
    let (mut level, mut found) = (0, None::<String>);
    for line in lines(text) {
        let head = if line.kind == Kind::Prose { heading(line.text) } else { None };
        match (&mut found, head) {
            (None, Some((its, text))) if anchor(text) == part => {
                level = its;
                found = Some(String::new());
            }
            (Some(_), Some((its, _))) if its <= level => break,
            (Some(section), _) => section.extend([line.text, "\n"]),
            (None, _) => {}
        }
    }
    found
}

/// Rewrites a page of a crate, which rustdoc shows as well, for the page of the book at `path`: without the hidden lines of its
/// examples, with headings one level down, and with links that lead from there to where they led.
fn of_crate(text: &str, file: &str, path: &str) -> String {
    let package = file.strip_prefix("crates/").and_then(|rest| rest.split('/').next());
    let mut page = String::new();
    for line in lines(text) {
        let is_hidden = |line: &str| line == "#" || line.starts_with("# ");
        let shown = match line.kind {
            Kind::Code(language) if is_rust(language) && is_hidden(line.text.trim_start()) => continue,
            Kind::Opens(language) if is_rust(language) => "```rust".to_owned(),
            Kind::Code(_) | Kind::Opens(_) | Kind::Closes => line.text.to_owned(),
            Kind::Prose => {
                let level = if heading(line.text).is_some() { "#" } else { "" };
                let prose =
                    package.map_or_else(|| line.text.to_owned(), |package| documented(line.text, package));
                format!("{level}{}", moved(&prose, file, path))
            }
        };
        page.extend([&shown, "\n"]);
    }
    page
}

/// Whether rustdoc compiles a block, whose language it need not be told.
pub(super) fn is_rust(language: &str) -> bool {
    matches!(
        language.split(',').next(),
        Some("" | "rust" | "no_run" | "should_panic" | "ignore" | "compile_fail")
    )
}

/// Links to items of a crate, with a path or with the name of the item alone, as links into its documentation.
fn documented(line: &str, package: &str) -> String {
    let address = |package: &str, item: &str| {
        let item = item.trim_end_matches("()");
        format!("https://docs.rs/{package}/latest/{}/?search={item}", package.replace('-', "_"))
    };
    let mut line = line.to_owned();
    for target in targets(&line).into_iter().rev() {
        let to = match line[target.clone()].split_once("::") {
            None => match line[target.clone()].strip_prefix("crate#") {
                Some(heading) => {
                    format!("https://docs.rs/{package}/latest/{}/#{heading}", package.replace('-', "_"))
                }
                None => continue,
            },
            Some(("crate", item)) => address(package, item),
            Some((of, item)) => address(&of.replace('_', "-"), item),
        };
        line.replace_range(target, &to);
    }
    for span in code_spans(&line).into_iter().rev() {
        let (before, after) = (&line[..span.start], &line[span.end..]);
        if before.ends_with('[')
            && after.starts_with(']')
            && !after.starts_with("](")
            && !after.starts_with("][")
        {
            let to = format!("({})", address(package, line[span.clone()].trim_matches('`')));
            line.insert_str(span.end + 1, &to);
        }
    }
    line
}

/// Relative links of `file` as links of the page at `path`.
fn moved(line: &str, file: &str, path: &str) -> String {
    let mut line = line.to_owned();
    for target in targets(&line).into_iter().rev() {
        let to = line[target.clone()].to_owned();
        if !to.contains(':') && !to.starts_with('#') {
            let to = place::relative(place::folder(path), &place::joined(place::folder(file), &to));
            line.replace_range(target, &to);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{content, included, of_crate};

    #[test]
    fn includes_are_lines_of_their_own() {
        assert_eq!(included("{{#include ../a.rs}}"), Some(("../a.rs", None)));
        assert_eq!(included("  {{#include a.md:some-part}}"), Some(("a.md", Some("some-part"))));
        assert_eq!(included("text {{#include a.rs}}"), None);
    }

    #[test]
    fn programs_are_shown_without_their_heads_and_marks() {
        let program = "//! Head.\n#![expect(lint)]\n\nuse a;\n// ANCHOR: one\nfn one() {\n    // ANCHOR: two\n    two();\n\n        three();\n    \
                       // ANCHOR_END: two\n}\n// ANCHOR_END: one\n";
        assert_eq!(
            content("a.rs", None, program).unwrap(),
            "use a;\nfn one() {\n    two();\n\n        three();\n}\n"
        );
        assert_eq!(
            content("a.rs", Some("one"), program).unwrap(),
            "fn one() {\n    two();\n\n        three();\n}\n"
        );
        assert_eq!(content("a.rs", Some("two"), program).unwrap(), "two();\n\n    three();\n");
        assert_eq!(content("a.rs", Some("three"), program).unwrap_err(), "a.rs has no part `three`");
        assert_eq!(content("a.txt", None, "//! text\n").unwrap(), "//! text\n");
    }

    #[test]
    fn sections_end_at_the_next_heading_of_their_level() {
        let page = "# A\na\n# B c\nb\n```sh\n# no heading\n```\n## C\nc\n# D\nd\n";
        assert_eq!(content("a.md", Some("b-c"), page).unwrap(), "b\n```sh\n# no heading\n```\n## C\nc\n");
        assert!(content("a.md", Some("e"), page).is_err());
    }

    #[test]
    fn pages_of_crates_lead_into_the_documentation() {
        let page = "# A\n\nsee [`x`](crate::B::c()), [`D::e`], [`g`](evenkeel_task::group()), [f](img/f.svg), [h](#a), [i](crate#b)\n```\n# hidden\n\
                    shown();\n```\n```no_run\n# hidden\n```\n```sh\n# a comment\n```\n";
        let expected = "## A\n\nsee [`x`](https://docs.rs/evenkeel-limit/latest/evenkeel_limit/?search=B::c), \
                        [`D::e`](https://docs.rs/evenkeel-limit/latest/evenkeel_limit/?search=D::e), \
                        [`g`](https://docs.rs/evenkeel-task/latest/evenkeel_task/?search=group), \
                        [f](../../../crates/evenkeel-limit/img/f.svg), [h](#a), [i](https://docs.rs/evenkeel-limit/latest/evenkeel_limit/#b)\n```rust\nshown();\n```\n```rust\n```\n```sh\n# a comment\n```\n";
        assert_eq!(of_crate(page, "crates/evenkeel-limit/GUIDE.md", "docs/book/src/limit.md"), expected);
    }
}
