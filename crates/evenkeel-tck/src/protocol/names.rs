//! The names that an adapter may use in its facts, and the one that was meant by another.

use std::fmt::Display;

use crate::{limit, pool, retry, shutdown, stream, task, testkit};

/// The patterns whose rules can be put to another process.
pub(crate) const PATTERNS: [&str; 7] = ["retry", "limit", "task", "shutdown", "stream", "pool", "testkit"];

/// The capabilities of a pattern, as in `"retry"`, each with a few words about it. Empty for a pattern that has no messages.
///
/// # Examples
/// ```
/// let known = evenkeel_tck::protocol::capabilities("retry");
/// assert_eq!(known[0], ("jitter".to_owned(), "Chance in the delays."));
/// ```
#[must_use]
pub fn capabilities(pattern: &str) -> Vec<(String, &'static str)> {
    fn named<C: Copy + Display>(all: &[C], about: fn(C) -> &'static str) -> Vec<(String, &'static str)> {
        all.iter().map(|capability| (capability.to_string(), about(*capability))).collect()
    }
    match pattern {
        "retry" => named(retry::Capability::ALL, retry::Capability::about),
        "limit" => named(limit::Capability::ALL, limit::Capability::about),
        "task" => named(task::Capability::ALL, task::Capability::about),
        "shutdown" => named(shutdown::Capability::ALL, shutdown::Capability::about),
        "stream" => named(stream::Capability::ALL, stream::Capability::about),
        "pool" => named(pool::Capability::ALL, pool::Capability::about),
        "testkit" => named(testkit::Capability::ALL, testkit::Capability::about),
        _ => Vec::new(),
    }
}

/// Says that a name is unknown, and which known one is the nearest.
pub(crate) fn unknown(what: &str, name: &str, known: &[impl AsRef<str>]) -> String {
    let nearest = known.iter().map(AsRef::as_ref).min_by_key(|known| strsim::osa_distance(name, known));
    let meant = nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest:?}"));
    format!("there is no {what} {name:?}{meant}")
}
