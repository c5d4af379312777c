//! Links between the Markdown files of the project.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    markdown::{Kind, anchors, lines, targets},
    place,
};

/// Markdown files with their links and anchors.
pub(super) struct Pages<'a> {
    root: &'a Path,
    files: BTreeSet<&'a str>,
    pages: Vec<(String, String)>,
    anchors: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Pages<'a> {
    /// Takes the tracked files, and the texts of those whose links are to be checked.
    pub(super) fn new(root: &'a Path, files: &'a [String], pages: Vec<(String, String)>) -> Self {
        let anchors = pages.iter().map(|(path, text)| (path.clone(), anchors(text))).collect();
        Pages { root, files: files.iter().map(String::as_str).collect(), pages, anchors }
    }

    /// Returns the paths and the texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pages.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the links that lead nowhere.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in &self.pages {
            for line in lines(text).filter(|line| line.kind == Kind::Prose) {
                for target in targets(line.text) {
                    let link = &line.text[target];
                    if let Err(why) = self.leads(path, link) {
                        found.push(format!("{path}:{}: the link `{link}` is broken: {why}", line.number));
                    }
                }
            }
        }
        found
    }

    fn leads(&self, from: &str, link: &str) -> Result<(), String> {
        if let Some((scheme, rest)) = link.split_once("://") {
            return is_address(scheme, rest).then_some(()).ok_or_else(|| "it is no address".to_owned());
        }
        if link.contains("::")
            || link.starts_with("crate#")
            || (from.starts_with("crates/") && !link.contains(['/', '.', '#']))
        {
            // Rustdoc resolves it, and fails where it cannot.
            return if from.starts_with("crates/") {
                Ok(())
            } else {
                Err("rustdoc does not read this page".to_owned())
            };
        }
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let path = if file.is_empty() { from.to_owned() } else { place::joined(place::folder(from), file) };
        if !self.files.contains(path.as_str()) && !self.root.join(&path).is_dir() {
            return Err(format!("there is no {path}"));
        }
        match (anchor, self.anchors.get(&path)) {
            (Some(anchor), Some(known)) if !known.contains(anchor) => {
                Err(format!("{path} has no heading `{anchor}`"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an address has the form of one; it is not called.
pub(super) fn is_address(scheme: &str, rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let named = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let name = host.split(':').next().unwrap_or_default();
    matches!(scheme, "http" | "https")
        && (name == "localhost" || name.contains('.'))
        && name.split('.').all(named)
        && !rest.contains([' ', '`'])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Pages, is_address};

    #[test]
    fn broken_links_are_found() {
        let files = ["docs/a.md", "docs/b.md", "src/lib.rs", "crates/c/README.md"].map(str::to_owned);
        let good = "# Top\n[a](b.md) [b](../src/lib.rs) [c](b.md#one-two) [d](#top) [e](https://example.com/x) `[f](no.md)`\n";
        let bad = "# One two\n[a](c.md) [b](a.md#low)\n[c](#three) [d](https://exa mple)\n[e](crate::X)\n```text\n[f](no.md)\n```\n";
        let crates = "[a](crate::X::y()) [b](X) [c](no.md) [d](crate#top)\n";
        let pages = [("docs/a.md", good), ("docs/b.md", bad), ("crates/c/README.md", crates)];
        let pages = pages.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
        let found = Pages::new(Path::new("nowhere"), &files, pages).broken();
        let expected = [
            "docs/b.md:2: the link `c.md` is broken: there is no docs/c.md",
            "docs/b.md:2: the link `a.md#low` is broken: docs/a.md has no heading `low`",
            "docs/b.md:3: the link `#three` is broken: docs/b.md has no heading `three`",
            "docs/b.md:3: the link `https://exa mple` is broken: it is no address",
            "docs/b.md:4: the link `crate::X` is broken: rustdoc does not read this page",
            "crates/c/README.md:1: the link `no.md` is broken: there is no crates/c/no.md",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn addresses_have_a_scheme_and_a_host() {
        for good in ["https://docs.rs/a/latest/?search=A::b", "http://localhost:3000", "https://example.com"]
        {
            let (scheme, rest) = good.split_once("://").unwrap();
            assert!(is_address(scheme, rest), "{good}");
        }
        for bad in ["htps://docs.rs", "https://", "https://docs", "https://docs..rs", "https://docs.rs/a b"] {
            let (scheme, rest) = bad.split_once("://").unwrap();
            assert!(!is_address(scheme, rest), "{bad}");
        }
    }
}
