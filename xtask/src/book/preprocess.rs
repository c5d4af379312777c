//! The preprocessor of the book: mdBook hands it all pages, and takes them back with all that they include.

use std::{
    io::{self, Read as _},
    path::Path,
};

use serde_json::Value;

use super::{
    expand::{PAGES, expanded},
    markdown::{Kind, lines, targets},
    place, rules,
};
use crate::{Result, outcome::Outcome};

/// Files of the project that are no pages.
const REPOSITORY: &str = "https://github.com/evenkeel/evenkeel";

pub(super) fn run(root: &Path) -> Result<Outcome> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let [_context, mut book]: [Value; 2] = serde_json::from_str(&input)?;
    rules::insert(root, &mut book)?;
    chapters(root, &mut book)?;
    say!("{book}");
    Ok(Outcome::Done)
}

/// Expands each chapter in this part of the book: whatever the parts are called, a chapter has a text and a path.
fn chapters(root: &Path, part: &mut Value) -> Result {
    if let (Some(text), Some(path)) = (part["content"].as_str(), part["path"].as_str()) {
        let path = format!("{PAGES}/{}", path.replace('\\', "/"));
        part["content"] = outward(root, &path, &expanded(root, &path, text)?).into();
    }
    match part {
        Value::Array(parts) => parts.iter_mut().try_for_each(|part| chapters(root, part)),
        Value::Object(parts) => parts.values_mut().try_for_each(|part| chapters(root, part)),
        _ => Ok(()),
    }
}

/// Links that leave the book, as addresses; the rules of the reference suite have pages in it.
fn outward(root: &Path, path: &str, text: &str) -> String {
    let mut page = String::new();
    for line in lines(text) {
        if let Some(picture) = picture(line.text) {
            page.push_str(&picture);
            continue;
        }
        let mut shown = line.text.to_owned();
        let targets = if line.kind == Kind::Prose { targets(line.text) } else { Vec::new() };
        for target in targets.into_iter().rev() {
            let to = place::joined(place::folder(path), &line.text[target.clone()]);
            if let Some(page) = rules::page_of(&to) {
                shown.replace_range(target, &place::relative(place::folder(path), &page));
            } else if !line.text[target.clone()].contains(':')
                && !line.text[target.clone()].starts_with('#')
                && !to.starts_with(PAGES)
            {
                let kind = if root.join(&to).is_dir() { "tree" } else { "blob" };
                shown.replace_range(target, &format!("{REPOSITORY}/{kind}/main/{to}"));
            }
        }
        page.extend([&shown, "\n"]);
    }
    page
}

/// A timeline alone in its line, as a picture that has a narrow form for phones, and opens by itself.
fn picture(line: &str) -> Option<String> {
    let (text, file) = line.strip_prefix("![")?.strip_suffix(".svg)")?.split_once("](")?;
    let text = text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    file.contains("timelines/").then(|| {
        format!(
            "<a class=\"timeline\" href=\"{file}.svg\"><picture><source media=\"(max-width: 600px)\" srcset=\"{file}-narrow.svg\">\
             <img src=\"{file}.svg\" alt=\"{text}\"></picture></a>\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{chapters, outward, picture};

    #[test]
    fn links_out_of_the_book_are_addresses() {
        let page = "[a](../b.md) ![b](../timelines/c.svg) [c](../../../../Cargo.toml) [d](https://example.com) [e](#f)\n";
        let expected = page
            .replace("../../../../Cargo.toml", "https://github.com/evenkeel/evenkeel/blob/main/Cargo.toml");
        assert_eq!(outward(Path::new("nowhere"), "docs/book/src/patterns/a.md", page), expected);
    }

    #[test]
    fn links_to_rules_lead_to_their_pages() {
        let page = "[RETRY-01]: ../../../crates/evenkeel-tck/spec/RETRY.md#retry-01\n";
        let shown = outward(Path::new("nowhere"), "docs/book/src/scoreboard.md", page);
        assert_eq!(shown, "[RETRY-01]: rules/RETRY-01.md\n");
    }

    #[test]
    fn timelines_are_pictures_of_two_widths() {
        let expected = "<a class=\"timeline\" href=\"../timelines/a.svg\"><picture><source media=\"(max-width: 600px)\" \
                        srcset=\"../timelines/a-narrow.svg\"><img src=\"../timelines/a.svg\" alt=\"Two &quot;calls&quot;\"></picture></a>\n";
        assert_eq!(picture("![Two \"calls\"](../timelines/a.svg)").unwrap(), expected);
        assert_eq!(picture("see ![Two](../timelines/a.svg)"), None);
        assert_eq!(picture("![Two](other/a.svg)"), None);
    }

    #[test]
    fn chapters_are_found_at_every_depth() {
        let chapter = json!({ "Chapter": { "content": "[a](../../../a.rs)", "path": "a.md", "sub_items": [
            { "Chapter": { "content": "text", "path": "b.md", "sub_items": [] } }, "Separator" ] } });
        let mut book = json!({ "items": [chapter, { "PartTitle": "content" }] });
        chapters(Path::new("nowhere"), &mut book).unwrap();
        let first = &book["items"][0]["Chapter"];
        assert_eq!(first["content"], "[a](https://github.com/evenkeel/evenkeel/blob/main/a.rs)\n");
        assert_eq!(first["sub_items"][0]["Chapter"]["content"], "text\n");
        let mut lost = json!({ "content": "{{#include no.rs}}", "path": "a.md" });
        assert!(chapters(Path::new("nowhere"), &mut lost).is_err());
    }
}
