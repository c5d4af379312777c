//! A page of the book for each rule of the reference suite.
//!
//! The pages are made anew each time the book is: their words are those of the specifications in `crates/evenkeel-tck/spec`, and
//! who keeps a rule is read from the scoreboards in `tests/`, with the reasons that they give. Nothing of it is committed a
//! second time. The page `rules.md` is their parent; mdBook gets them from the preprocessor.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use super::{
    expand::PAGES,
    markdown::{heading, targets},
    place,
    verdicts::{Verdicts, verdicts},
};
use crate::Result;

/// The folder of the specifications.
const SPECS: &str = "crates/evenkeel-tck/spec";

/// The specification that has no rules.
const PROTOCOL: &str = "PROTOCOL.md";

/// The committed page that is their parent, from [`PAGES`].
const PARENT: &str = "rules.md";

/// A specification, as a page with a page for each of its rules.
pub(super) struct Chapter {
    pub(super) page: Page,
    pub(super) rules: Vec<Page>,
}

/// A page that is made, with its path from the root.
pub(super) struct Page {
    title: String,
    pub(super) path: String,
    pub(super) text: String,
}

/// A rule, as its specification has it.
struct Rule<'a> {
    id: &'a str,
    level: &'a str,
    sentence: &'a str,
    reason: Vec<&'a str>,
    after: Option<&'a str>,
    section: &'a str,
}

/// Returns the pages of all specifications.
pub(super) fn chapters(root: &Path) -> Result<Vec<Chapter>> {
    let verdicts = verdicts(root)?;
    let mut names: Vec<String> = Vec::new();
    for file in fs::read_dir(root.join(SPECS))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && name != PROTOCOL {
            names.push(name);
        }
    }
    names.sort();
    let chapter = |name: &String| {
        let text = fs::read_to_string(root.join(SPECS).join(name))?;
        Ok(chapter(name.trim_end_matches(".md"), &text, &verdicts))
    };
    names.iter().map(chapter).collect()
}

/// All pages, one after the other.
pub(super) fn pages(root: &Path) -> Result<Vec<Page>> {
    Ok(chapters(root)?
        .into_iter()
        .flat_map(|chapter| [chapter.page].into_iter().chain(chapter.rules))
        .collect())
}

/// Puts the pages below their parent in this part of the book.
pub(super) fn insert(root: &Path, part: &mut Value) -> Result {
    if part["path"] == PARENT {
        let chapters = chapters(root)?;
        let parents = json!([part["name"]]);
        let items = chapters.iter().map(|chapter| {
            let names = json!([part["name"], chapter.page.title]);
            let rules: Vec<Value> =
                chapter.rules.iter().map(|page| page.chapter(&names, Vec::new())).collect();
            chapter.page.chapter(&parents, rules)
        });
        part["sub_items"] = items.collect();
        return Ok(());
    }
    match part {
        Value::Array(parts) => parts.iter_mut().try_for_each(|part| insert(root, part)),
        Value::Object(parts) => parts.values_mut().try_for_each(|part| insert(root, part)),
        _ => Ok(()),
    }
}

/// The page of the rule whose heading in a specification this path and anchor name, from the root.
pub(super) fn page_of(path: &str) -> Option<String> {
    let (file, anchor) = path.strip_prefix(SPECS)?.strip_prefix('/')?.split_once(".md#")?;
    let number = anchor.strip_prefix(&file.to_lowercase())?.strip_prefix('-')?;
    let is_rule = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    is_rule.then(|| rule_path(&format!("{file}-{number}")))
}

fn rule_path(id: &str) -> String {
    format!("{PAGES}/rules/{id}.md")
}

impl Page {
    /// As mdBook has it.
    fn chapter(&self, parents: &Value, rules: Vec<Value>) -> Value {
        let path = self.path.strip_prefix(PAGES).unwrap_or_default().trim_start_matches('/');
        json!({"Chapter": {
            "name": self.title, "content": self.text, "number": null, "sub_items": rules, "path": path,
            "source_path": null, "parent_names": parents,
        }})
    }
}

fn chapter(pattern: &str, text: &str, verdicts: &Verdicts) -> Chapter {
    let (intro, rules) = rules_of(text);
    let path = format!("{PAGES}/rules/{pattern}.md");
    let moved = |line: &str| moved(line, pattern, &path);
    let mut index = format!("# {pattern}\n\n{}\n", moved(intro.trim()));
    let mut section = "";
    for rule in &rules {
        if rule.section != section {
            section = rule.section;
            let _ = write!(index, "\n## {section}\n\n");
        }
        let _ = writeln!(index, "- [{}]({}.md): {}", rule.id, rule.id, moved(rule.sentence));
    }
    let rules = rules.iter().map(|rule| {
        let Rule { id, level, sentence, reason, after, section } = rule;
        let mut page =
            format!("# {id}\n\n**{}**\n\n{level} · [{pattern}]({pattern}.md): {section}\n", moved(sentence));
        for paragraph in reason {
            let _ = write!(page, "\n{}\n", moved(paragraph));
        }
        if let Some(after) = after {
            let _ = write!(
                page,
                "\nBuilds on [{after}]({after}.md): where that does not hold, this one is not tested.\n"
            );
        }
        page.push_str(&who_keeps_it(verdicts.get(*id)));
        let _ = write!(page, "\n[The text in the specification](../../../../{SPECS}/{pattern}.md)\n");
        Page { title: (*id).to_owned(), path: rule_path(id), text: page }
    });
    let rules = rules.collect();
    Chapter { page: Page { title: pattern.to_owned(), path, text: index }, rules }
}

/// The verdicts on a rule: a section for each scoreboard.
fn who_keeps_it(verdicts: Option<&Vec<super::verdicts::Verdict>>) -> String {
    let mut boards: BTreeMap<&str, Vec<&super::verdicts::Verdict>> = BTreeMap::new();
    for verdict in verdicts.into_iter().flatten() {
        boards.entry(&verdict.board).or_default().push(verdict);
    }
    let mut text = String::new();
    for (board, verdicts) in boards {
        let _ = write!(text, "\n## {board}\n\n| | | |\n|:-:|---|---|\n");
        for verdict in verdicts {
            let why = verdict.why.as_deref().unwrap_or_default().replace('|', "\\|");
            let _ = writeln!(text, "| {} | {} | {why} |", verdict.mark, verdict.implementation);
        }
    }
    if text.is_empty() {
        text.push_str("\nNo scoreboard has this rule.\n");
    }
    text
}

/// The text before the first rule and section, and the rules.
fn rules_of(text: &str) -> (&str, Vec<Rule<'_>>) {
    let intro = text.split("\n## ").next().unwrap_or_default();
    let (mut section, mut rules) = ("", Vec::new());
    for part in text.split("\n#").skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        if let Some(name) = head.strip_prefix("# ") {
            section = name;
        } else if let Some(id) = head.strip_prefix("## ") {
            let mut paragraphs = body.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
            let (level, sentence) =
                (paragraphs.next().unwrap_or_default(), paragraphs.next().unwrap_or_default());
            let (after, reason): (Vec<&str>, Vec<&str>) =
                paragraphs.partition(|paragraph| paragraph.starts_with("Builds on "));
            let after = after.first().and_then(|line| line.strip_prefix("Builds on ")?.strip_suffix('.'));
            rules.push(Rule { id, level, sentence, reason, after, section });
        }
    }
    (intro, rules)
}

/// Links of a specification, for a page of the book. Links to items of the crate lead into its documentation.
fn moved(text: &str, pattern: &str, path: &str) -> String {
    let mut page = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for target in targets(&line).into_iter().rev() {
            let to = &line[target.clone()];
            let moved = match to.split_once("::") {
                Some((_, item)) => {
                    format!(
                        "https://docs.rs/evenkeel-tck/latest/evenkeel_tck/?search={}",
                        item.trim_end_matches("()")
                    )
                }
                None if to.contains("://") => continue,
                None => {
                    let file = format!("{SPECS}/{pattern}.md");
                    let to =
                        if to.starts_with('#') { format!("{file}{to}") } else { place::joined(SPECS, to) };
                    place::relative(place::folder(path), &to)
                }
            };
            line.replace_range(target, &moved);
        }
        // A heading of the text before the rules is below that of the page.
        let deeper = if heading(&line).is_some() { "#" } else { "" };
        page.extend([deeper, &line, "\n"]);
    }
    page.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{chapter, page_of};
    use crate::book::verdicts::Verdict;

    const SPEC: &str = "The duties.\n\nMore [on it](crate::a::B).\n\n## First\n\n### X-01\n\nMUST · paused\n\nIt holds.\n\nA reason\n(tokio #1).\n\n\
                        ### X-02\n\nSHOULD · threads\n\nIt holds, too.\n\nBuilds on X-01.\n";

    #[test]
    fn each_rule_has_a_page_with_its_words_and_its_verdicts() {
        let verdict = |mark: &str, why: Option<&str>| Verdict {
            board: "Rust".to_owned(),
            implementation: "peer 1.0.0".to_owned(),
            mark: mark.to_owned(),
            why: why.map(str::to_owned),
        };
        let verdicts = BTreeMap::from([("X-01".to_owned(), vec![verdict("✗", Some("It a|b."))])]);
        let chapter = chapter("X", SPEC, &verdicts);
        assert_eq!(
            chapter.page.text,
            "# X\n\nThe duties.\n\nMore [on it](https://docs.rs/evenkeel-tck/latest/evenkeel_tck/?search=a::B).\n\n## First\n\n\
             - [X-01](X-01.md): It holds.\n- [X-02](X-02.md): It holds, too.\n"
        );
        assert_eq!(
            chapter.rules[0].text,
            "# X-01\n\n**It holds.**\n\nMUST · paused · [X](X.md): First\n\nA reason\n(tokio #1).\n\n## Rust\n\n| | | |\n|:-:|---|---|\n\
             | ✗ | peer 1.0.0 | It a\\|b. |\n\n[The text in the specification](../../../../crates/evenkeel-tck/spec/X.md)\n"
        );
        assert_eq!(chapter.rules[1].path, "docs/book/src/rules/X-02.md");
        assert!(chapter.rules[1].text.contains("\nBuilds on [X-01](X-01.md): "));
        assert!(chapter.rules[1].text.contains("\nNo scoreboard has this rule.\n"));
    }

    #[test]
    fn anchors_of_rules_are_pages() {
        let page = |path| page_of(path);
        assert_eq!(
            page("crates/evenkeel-tck/spec/RETRY.md#retry-01").unwrap(),
            "docs/book/src/rules/RETRY-01.md"
        );
        for other in [
            "crates/evenkeel-tck/spec/RETRY.md",
            "crates/evenkeel-tck/spec/RETRY.md#delays",
            "a/RETRY.md#retry-01",
        ] {
            assert_eq!(page(other), None, "{other}");
        }
    }
}
