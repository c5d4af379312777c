//! Links that are not reported, by patterns.

use std::fmt;

use regex::RegexSet;

/// The patterns of links that are not reported.
#[derive(Clone, Debug)]
pub(crate) struct Ignore(RegexSet);

impl Ignore {
    /// # Errors
    ///
    /// One line about the pattern that is none.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        RegexSet::new(patterns).map(Self).map_err(|error| {
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default().trim();
            format!("--ignore takes regular expressions: {last}")
        })
    }

    /// Whether a pattern matches somewhere in the target with its fragment.
    pub(crate) fn matches(&self, url: &str, fragment: &str) -> bool {
        !self.0.is_empty() && self.0.is_match(&link(url, fragment).to_string())
    }
}

/// Returns a target with its fragment, as people write it.
pub(crate) fn link<'a>(url: &'a str, fragment: &'a str) -> impl fmt::Display + 'a {
    let separator = if fragment.is_empty() { "" } else { "#" };
    fmt::from_fn(move |f| write!(f, "{url}{separator}{fragment}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_sees_the_whole_link() {
        let ignore = Ignore::new(&[r"/src/.*\.html#\d+(-\d+)?$".into(), "^http://h/old/".into()]).unwrap();
        assert!(
            ignore.matches("http://h/src/a.rs.html", "12-34")
                && ignore.matches("http://h/src/a.rs.html", "7")
        );
        assert!(ignore.matches("http://h/old/x", "") && ignore.matches("http://h/old/x", "y"));
        assert!(!ignore.matches("http://h/src/a.rs.html", "method.x"));
        assert!(!ignore.matches("http://h/src/a.rs.html", "") && !ignore.matches("http://h/x", "12-34"));
        assert!(!Ignore::new(&[]).unwrap().matches("", ""));
    }

    #[test]
    fn a_pattern_that_is_none_is_told_in_one_line() {
        assert_eq!(Ignore::new(&["(".into()]).unwrap_err().lines().count(), 1);
    }
}
