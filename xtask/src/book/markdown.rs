//! The parts of Markdown that the checks look at: fences, links, headings.

use std::{collections::BTreeSet, ops::Range};

/// A line of a page.
pub(super) struct Line<'a> {
    /// From 1 on.
    pub(super) number: usize,
    pub(super) text: &'a str,
    pub(super) kind: Kind<'a>,
}

/// The place of a line in the fenced blocks; each has a language, or an empty text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    Prose,
    Opens(&'a str),
    Code(&'a str),
    Closes,
}

/// Returns the lines of a text.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open: Option<(&str, &str)> = None;
    text.lines().enumerate().map(move |(index, text)| {
        let start = text.trim_start();
        let marks = start.len() - start.trim_start_matches('`').len();
        let kind = match open {
            Some((fence, _)) if marks >= fence.len() && start.len() == marks => {
                open = None;
                Kind::Closes
            }
            Some((_, language)) => Kind::Code(language),
            None if marks >= 3 => {
                let language = start[marks..].trim();
                open = Some((&start[..marks], language));
                Kind::Opens(language)
            }
            None => Kind::Prose,
        };
        Line { number: index + 1, text, kind }
    })
}

/// Returns where the targets of the links and images of a line of prose are.
pub(super) fn targets(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
    {
        found.push(line.len() - target.len()..line.len());
    }
    let spans = code_spans(line);
    for (at, mark) in line.match_indices("](") {
        let start = at + mark.len();
        // Within a target parentheses are balanced: `crate::group()`.
        let mut depth = 1;
        let end = line[start..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        if let Some(length) = end
            && !spans.iter().any(|span| span.contains(&at))
        {
            found.push(start..start + length);
        }
    }
    found
}

/// Returns where the inline code of a line is, with its backticks.
pub(super) fn code_spans(line: &str) -> Vec<Range<usize>> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some(found) = line[at..].find('`') {
        let start = at + found;
        let marks = line[start..].len() - line[start..].trim_start_matches('`').len();
        let inside = start + marks;
        let Some(length) = line[inside..].find(&line[start..inside]) else { break };
        at = inside + length + marks;
        spans.push(start..at);
    }
    spans
}

/// Returns the level and the text of a heading.
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let text = line[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| (level, text.trim()))
}

/// Returns the anchors of the headings of a text; the second of the same name ends with `-1`.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in lines(text).filter(|line| line.kind == Kind::Prose) {
        let Some((_, text)) = heading(line.text) else { continue };
        let name = anchor(text);
        let again = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

/// Returns the anchor of a heading: letters, digits and dashes.
pub(super) fn anchor(heading: &str) -> String {
    let mut text = heading.to_owned();
    for target in targets(heading).into_iter().rev() {
        text.replace_range(target.start - 1..=target.end, "");
    }
    let kept = text.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || matches!(c, '_' | '-') => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, anchor, anchors, code_spans, lines, targets};

    #[test]
    fn lines_know_the_block_that_they_lie_in() {
        let text = "a\n```rust,no_run\nfn\n```\n````\n```\nx\n````\nb\n  ```text\n  y\n  ```\n";
        let kinds: Vec<_> = lines(text).map(|line| line.kind).collect();
        let rust = "rust,no_run";
        let expected = [
            Kind::Prose,
            Kind::Opens(rust),
            Kind::Code(rust),
            Kind::Closes,
            Kind::Opens(""),
            Kind::Code(""),
            Kind::Code(""),
            Kind::Closes,
            Kind::Prose,
            Kind::Opens("text"),
            Kind::Code("text"),
            Kind::Closes,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn targets_are_found_outside_of_code() {
        let targets = |line| targets(line).into_iter().map(|range| &line[range]).collect::<Vec<_>>();
        assert_eq!(
            targets("a [b](c.md#d), ![e](f.svg) and [`g`](crate::h())"),
            ["c.md#d", "f.svg", "crate::h()"]
        );
        assert_eq!(targets("[![picture](a.svg)](b.html)"), ["a.svg", "b.html"]);
        assert_eq!(targets("`[no](link)` and ``a ` [no](link)`` but [x](y)"), ["y"]);
        assert_eq!(targets("[name]: https://example.com"), ["https://example.com"]);
        assert_eq!(targets("an [open](end"), [""; 0]);
        assert_eq!(code_spans("`a` `` ` `` `").len(), 2);
    }

    #[test]
    fn anchors_are_those_of_the_tool() {
        assert_eq!(anchor("What can go wrong?"), "what-can-go-wrong");
        assert_eq!(anchor("Coming from `JoinSet`"), "coming-from-joinset");
        assert_eq!(anchor("A [link](x.md) in it"), "a-link-in-it");
        let found: Vec<_> = anchors("# A b\n```sh\n# no heading\n```\n## A b\n#no\n").into_iter().collect();
        assert_eq!(found, ["a-b", "a-b-1"]);
    }
}
