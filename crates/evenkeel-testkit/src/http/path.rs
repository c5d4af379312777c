//! Patterns of paths, by axum's router.

use matchit::{InsertError, Router};

use super::call::Parameters;

/// Returns the function that matches paths with a pattern such as `/users/{id}` or `/files/{*path}`, and returns their
/// parameters.
#[track_caller]
pub(super) fn matcher(pattern: &str) -> impl Fn(&str) -> Option<Parameters> + use<> {
    assert!(pattern.starts_with('/'), "a path begins with a slash: {pattern:?}");
    let mut router = Router::new();
    match router.insert(pattern, ()) {
        Ok(()) => {}
        Err(InsertError::InvalidCatchAll) => panic!("`{{*name}}` is the last segment: {pattern:?}"),
        Err(_) => panic!("a wildcard is a whole segment: {pattern:?}"),
    }
    move |path| {
        let parameters = router.at(path).ok()?.params;
        Some(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
