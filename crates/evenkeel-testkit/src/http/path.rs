//! Patterns of paths, by axum's router.

use matchit::{InsertError, Router};

/// A path with wildcards: `/users/{id}`, `/files/{*path}`.
pub(super) struct Pattern(Router<()>);

impl Pattern {
    #[track_caller]
    pub(super) fn new(pattern: &str) -> Self {
        assert!(pattern.starts_with('/'), "a path begins with a slash: {pattern:?}");
        assert!(!pattern.contains('?'), "a path has no query: {pattern:?}");
        let mut router = Router::new();
        match router.insert(pattern, ()) {
            Ok(()) => Pattern(router),
            Err(InsertError::InvalidCatchAll) => panic!("`{{*name}}` is the last segment: {pattern:?}"),
            Err(_) => panic!("a wildcard is a whole segment: {pattern:?}"),
        }
    }

    /// Returns the values of the wildcards, if the path matches.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<(String, String)>> {
        let parameters = self.0.at(path).ok()?.params;
        Some(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
