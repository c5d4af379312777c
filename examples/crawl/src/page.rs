//! The links of a page, resolved: absolute, canonical, each once.

use std::collections::{HashMap, HashSet};

use reqwest::Url;

use crate::{
    anchors::Anchors,
    canonical::{canonical, fragment},
    html::Found,
};

/// The longest address, and the longest fragment, in bytes: an index of the store has both.
pub(crate) const MAX_URL: usize = 2000;

/// A link to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The canonical URL.
    pub(crate) url: String,
    /// The fragment as the URL standard writes it; empty if there is none.
    pub(crate) fragment: String,
}

/// The content of a page that matters here.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The links to other pages, and those to a missing place on this one.
    pub(crate) links: Vec<Link>,
    /// The number of all links.
    pub(crate) count: i64,
    /// The number of those that are too long to be stored.
    pub(crate) too_long: i64,
    pub(crate) anchors: Anchors,
}

impl Document {
    /// Resolves everything that was found on the page at this URL.
    pub(crate) fn new(page: &Url, found: Found) -> Self {
        let Found { base, links: raw, mut anchors } = found;
        anchors.sort();
        let base = base.and_then(|base| page.join(&base).ok()).filter(|base| canonical(base).is_some());
        let base = base.as_ref().unwrap_or(page);
        // The index of the target of each text, and of each target.
        let mut texts: HashMap<&str, Option<usize>> = HashMap::new();
        let mut indices: HashMap<String, usize> = HashMap::new();
        let mut targets: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        let mut links = Vec::new();
        let (mut count, mut too_long) = (0, 0);
        for raw in &raw {
            let (text, raw_fragment) = raw.split_once('#').unwrap_or((raw, ""));
            let target = texts.entry(text).or_insert_with(|| {
                let url = canonical(&base.join(text).ok()?)?;
                Some(*indices.entry(url.into()).or_insert_with_key(|url| {
                    targets.push(url.clone());
                    targets.len() - 1
                }))
            });
            let Some(target) = *target else { continue };
            count += 1;
            let fragment = fragment(raw_fragment);
            if fragment.len() > MAX_URL || targets[target].len() > MAX_URL {
                too_long += 1;
                continue;
            }
            if targets[target] == page.as_str() && anchors.have(&fragment) {
                continue;
            }
            if seen.insert((target, fragment.clone())) {
                links.push((target, fragment.into_owned()));
            }
        }
        let links =
            links.into_iter().map(|(target, fragment)| Link { url: targets[target].clone(), fragment });
        Self { links: links.collect(), count, too_long, anchors }
    }
}

/// Returns the target of a redirect. A fragment of its own replaces that of the link.
pub(crate) fn redirect(from: &Url, location: &str) -> Option<Link> {
    let to = from.join(location).ok()?;
    let url = String::from(canonical(&to)?);
    let fragment = fragment(to.fragment().unwrap_or_default()).into_owned();
    (url.len() <= MAX_URL && fragment.len() <= MAX_URL).then_some(Link { url, fragment })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(base: Option<&str>, raw: &[&str]) -> Vec<String> {
        let mut anchors = Anchors::default();
        anchors.insert("here");
        let links = raw.iter().map(|&raw| raw.to_owned()).collect();
        let found = Found { base: base.map(Into::into), links, anchors };
        let document = Document::new(&Url::parse("http://h/d/p?q").unwrap(), found);
        document.links.into_iter().map(|link| format!("{}#{}", link.url, link.fragment)).collect()
    }

    #[test]
    fn links_are_absolute_and_each_is_there_once() {
        let raw = ["a", "./a", "/d/a#x", "a#x", "../b?c#%7e", "http:e", "//other/", "HTTPS://H/"];
        let right = [
            "http://h/d/a#",
            "http://h/d/a#x",
            "http://h/b?c#%7e",
            "http://h/d/e#",
            "http://other/#",
            "https://h/#",
        ];
        assert_eq!(links(None, &raw), right);
    }

    #[test]
    fn links_to_a_place_on_the_page_are_checked_at_once() {
        let raw = ["", "#", "#here", "#top", "p?q#here", "#gone", "p#here"];
        assert_eq!(links(None, &raw), ["http://h/d/p?q#gone", "http://h/d/p#here"]);
    }

    #[test]
    fn the_base_counts_for_all_links() {
        assert_eq!(links(Some("/x/"), &["a", "#here"]), ["http://h/x/a#", "http://h/x/#here"]);
        assert_eq!(links(Some("data:x"), &["a"]), ["http://h/d/a#"]);
    }

    #[test]
    fn anything_that_is_no_page_is_no_link() {
        assert_eq!(links(None, &["javascript:x", "mailto:a@b", "data:,x", "http://["]), [""; 0]);
    }

    #[test]
    fn a_link_that_is_too_long_is_counted() {
        let long = |prefix: &str| format!("{prefix}{}", "x".repeat(MAX_URL + 1));
        let links = vec![long("/"), long("#"), "a".into()];
        let page = Url::parse("http://h/").unwrap();
        let document = Document::new(&page, Found { links, ..Found::default() });
        assert_eq!((document.links.len(), document.count, document.too_long), (1, 3, 2));
    }

    #[test]
    fn a_redirect_is_a_link_with_the_last_fragment() {
        let from = Url::parse("http://h/d/p").unwrap();
        let to = |location| redirect(&from, location).map(|link| format!("{}#{}", link.url, link.fragment));
        assert_eq!(to("../x#y").as_deref(), Some("http://h/x#y"));
        assert_eq!(to("https://other"), Some("https://other/#".into()));
        assert_eq!((to("javascript:x"), to("http://[")), (None, None));
    }
}
