//! Classifies headers by the words of their names.

use crate::value::{MICROSECOND, MILLISECOND, NANOSECOND, SECOND};

/// The words that the fields of one limit share, sorted: vendor, scope, `ratelimit`.
pub(crate) type Scope = Vec<String>;

/// The maximum length of a name in bytes; the longest known names have half of it.
const LONGEST: usize = 128;

#[derive(Debug, PartialEq)]
pub(crate) enum Field {
    /// The clock of the server.
    Date,
    /// The time of the next request. A plain number is in units of `unit` nanoseconds.
    RetryAfter { scope: Scope, unit: i128 },
    /// The permits that remain in this scope.
    Remaining(Scope),
    /// The time at which the permits are renewed; `relative` if its name says that it counts from now.
    Reset { scope: Scope, unit: i128, relative: bool },
    /// A limit as a whole: a structured field.
    Limit(Scope),
}

impl Field {
    pub(crate) fn of(name: &str) -> Option<Self> {
        if name.len() > LONGEST {
            return None;
        }
        let words = words(name);
        if words == ["date"] {
            return Some(Self::Date);
        }
        if let Some((before, after)) = retry_after(&words) {
            // The one name that implies a unit.
            let implied = if words.iter().any(|word| word == "amz") { MILLISECOND } else { SECOND };
            let unit = after.iter().find_map(|word| unit(word)).unwrap_or(implied);
            return Some(Self::RetryAfter {
                scope: sorted(before, String::new(), &unqualified(after)),
                unit,
            });
        }
        if let Some((at, scope)) = position(&words, &["remaining", "remain", "left", "available"]) {
            return Some(Self::Remaining(sorted(&words[..at], scope, &words[at + 1..])));
        }
        if let Some((at, rest)) = position(&words, &["resets", "reset"]) {
            let qualifies = is_qualifier(&rest);
            let mut qualifiers: Vec<&String> =
                words[at + 1..].iter().filter(|word| is_qualifier(word)).collect();
            qualifiers.extend(qualifies.then_some(&rest));
            let before: Vec<String> = words[..at].iter().filter(|word| *word != "time").cloned().collect();
            let after = unqualified(&words[at + 1..]);
            let unit = qualifiers.iter().find_map(|word| unit(word)).unwrap_or(SECOND);
            let relative = qualifiers.iter().any(|word| ["after", "in", "ttl"].contains(&word.as_str()));
            let scope = sorted(&before, if qualifies { String::new() } else { rest }, &after);
            return Some(Self::Reset { scope, unit, relative });
        }
        words
            .iter()
            .any(|word| word.contains("ratelimit"))
            .then(|| Self::Limit(sorted(&words, String::new(), &[])))
    }
}

/// Splits a name into words in lower case; `rate` and `limit` become one word in every spelling.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in name.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()) {
        match words.last_mut() {
            Some(last) if last == "rate" && word.starts_with("limit") => last.push_str(word),
            _ if word.is_empty() => {}
            _ => words.push(word.to_owned()),
        }
    }
    for word in &mut words {
        if word == "ratelimits" {
            word.pop();
        }
    }
    words
}

/// Returns the words before and behind `retry-after`, `retry-in` or `retry-at`.
fn retry_after(words: &[String]) -> Option<(&[String], &[String])> {
    if let Some(at) = words.iter().position(|word| word == "retryafter") {
        return Some((&words[..at], &words[at + 1..]));
    }
    let is_it = |two: &[String]| two[0] == "retry" && ["after", "in", "at"].contains(&two[1].as_str());
    let at = words.windows(2).position(is_it)?;
    Some((&words[..at], &words[at + 2..]))
}

fn unqualified(words: &[String]) -> Vec<String> {
    words.iter().filter(|word| !is_qualifier(word)).cloned().collect()
}

/// Finds the first word that begins or ends with one of the `marks`, and its rest: `userremaining`, `resettime`.
fn position(words: &[String], marks: &[&str]) -> Option<(usize, String)> {
    words.iter().enumerate().find_map(|(at, word)| {
        let rest = marks.iter().find_map(|mark| word.strip_prefix(mark).or_else(|| word.strip_suffix(mark)));
        rest.map(|rest| (at, rest.to_owned()))
    })
}

fn sorted(before: &[String], rest: String, after: &[String]) -> Scope {
    let mut scope = [before, &[rest], after].concat();
    scope.retain(|word| !word.is_empty());
    scope.sort_unstable();
    scope
}

/// Returns whether a word describes the notation of a reset, and not its scope.
fn is_qualifier(word: &str) -> bool {
    const FORMS: [&str; 12] =
        ["after", "at", "date", "epoch", "in", "iso", "on", "time", "timestamp", "ttl", "unix", "utc"];
    FORMS.contains(&word) || unit(word).is_some()
}

/// Returns a unit in nanoseconds. Units are plural or abbreviated: `-minute` is a scope.
fn unit(word: &str) -> Option<i128> {
    Some(match word {
        "hours" => 3600 * SECOND,
        "minutes" | "mins" => 60 * SECOND,
        "seconds" | "secs" | "sec" | "s" => SECOND,
        "milliseconds" | "millis" | "msec" | "msecs" | "ms" => MILLISECOND,
        "microseconds" | "micros" | "us" => MICROSECOND,
        "nanoseconds" | "nanos" | "ns" => NANOSECOND,
        _ => return None,
    })
}
