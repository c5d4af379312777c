//! Patterns of paths.

/// A path with wildcards, in the notation of axum: `/users/{id}`, `/files/{*path}`.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Text(String),
    One(String),
    Rest(String),
}

impl Pattern {
    #[track_caller]
    pub(super) fn new(pattern: &str) -> Self {
        assert!(pattern.starts_with('/'), "a path begins with a slash: {pattern:?}");
        assert!(!pattern.contains('?'), "a path has no query: {pattern:?}");
        let segments: Vec<&str> = pattern[1..].split('/').collect();
        let last = segments.len() - 1;
        let segment = |(at, text): (usize, &&str)| {
            let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name.map(|name| (name, name.strip_prefix('*'))) {
                None => {
                    assert!(!text.contains(['{', '}']), "a wildcard is a whole segment: {pattern:?}");
                    Segment::Text((*text).to_owned())
                }
                Some((_, Some(rest))) => {
                    assert!(at == last, "`{{*name}}` is the last segment: {pattern:?}");
                    Segment::Rest(rest.to_owned())
                }
                Some((name, None)) => Segment::One(name.to_owned()),
            }
        };
        Pattern(segments.iter().enumerate().map(segment).collect())
    }

    /// Returns the values of the wildcards, if the path matches.
    pub(super) fn matches(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut parameters = Vec::new();
        let mut rest = Some(path.strip_prefix('/')?);
        for segment in &self.0 {
            let remaining = rest?;
            let (first, after) = match remaining.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (remaining, None),
            };
            let value = match segment {
                Segment::Rest(_) => remaining,
                Segment::Text(_) | Segment::One(_) => first,
            };
            rest = after;
            match segment {
                Segment::Text(text) if text == value => {}
                Segment::One(name) if !value.is_empty() => parameters.push((name.clone(), value.to_owned())),
                Segment::Rest(name) if !value.is_empty() => {
                    parameters.push((name.clone(), value.to_owned()));
                    rest = None;
                }
                _ => return None,
            }
        }
        rest.is_none().then_some(parameters)
    }
}
