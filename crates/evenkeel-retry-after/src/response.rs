//! Collects the headers of one response, and returns the wait until the next request.
//!
//! # How it works
//!
//! Headers come in any order, so [`Response::add`] only sorts them: values of `Retry-After`, and for each scope
//! the permits that remain and the resets. [`Response::wait`] then decides: a `Retry-After` above zero first; else the
//! longest reset of the limits that have nothing left; else a `Retry-After` of zero.
//!
//! A scope without a reset of its own takes the reset of a shared one: a limit with a reset and no permits, all of
//! whose words are in the scope.
//!
//! Invariants: at most [`MOST_VALUES`] values are kept, whatever the size of the response, and a value that cannot be read,
//! or asks for more than the bound, is ignored rather than the end of the search.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    name::{Field, Scope},
    value::{SECOND, When, date, is_used_up, split, trimmed},
};

/// The maximum number of values that are read of one response: bounds the time and the memory.
const MOST_VALUES: usize = 256;

/// The maximum number of parameters that are read of an item.
const MOST_PARAMETERS: usize = 16;

#[derive(Default)]
pub(crate) struct Response {
    /// The number of values that were read.
    values: usize,
    /// The server's clock, in nanoseconds since 1970.
    date: Option<i128>,
    retry_after: Vec<(Scope, Option<When>)>,
    limits: BTreeMap<Scope, Limit>,
    /// The resets of items of structured fields that have nothing left.
    used_up: Vec<When>,
}

/// The fields of one scope.
#[derive(Default)]
struct Limit {
    used_up: Vec<Option<bool>>,
    reset: Vec<Option<When>>,
    /// Resets that count from now, and need no clock.
    reset_after: Vec<Option<When>>,
}

impl Response {
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        let Some(field) = Field::of(name) else { return };
        let value = &text(value);
        let room = MOST_VALUES - self.values;
        self.values += match field {
            Field::Date => {
                self.date = self.date.or_else(|| date(trimmed(value)));
                0
            }
            Field::RetryAfter { scope, unit } => {
                let times = When::read_all(value, unit).take(room);
                push(&mut self.retry_after, times.map(|when| (scope.clone(), when)))
            }
            Field::Remaining(scope) if room > 0 => {
                let limit = self.limits.entry(scope).or_default();
                push(&mut limit.used_up, split(value, ',').take(room).map(is_used_up))
            }
            Field::Reset { scope, unit, relative } if room > 0 => {
                let limit = self.limits.entry(scope).or_default();
                let list = if relative { &mut limit.reset_after } else { &mut limit.reset };
                push(list, When::read_all(value, unit).take(room))
            }
            Field::Limit(scope) => {
                split(value, ',').take(room).map(|item| self.add_structured(&scope, item)).count()
            }
            _ => 0,
        };
    }

    /// Adds an item of a structured field: `"name";r=0;t=9` or, in earlier drafts, one of `limit=10, remaining=0, reset=9`.
    fn add_structured(&mut self, scope: &Scope, item: &str) {
        let (mut left, mut reset) = (None, None);
        for (name, value) in split(item, ';').take(MOST_PARAMETERS).filter_map(|part| part.split_once('=')) {
            match Field::of(name) {
                Some(Field::Remaining(_)) => left = is_used_up(value),
                Some(Field::Reset { unit, .. }) => reset = When::read(value, unit),
                _ if name.trim().eq_ignore_ascii_case("r") => left = is_used_up(value),
                _ if name.trim().eq_ignore_ascii_case("t") => reset = When::read(value, SECOND),
                _ => {}
            }
        }
        match (left, reset) {
            (Some(used_up), Some(reset)) => self.used_up.extend(used_up.then_some(reset)),
            (None, None) => {}
            // An earlier draft has the permits and the reset in two items.
            _ => {
                let limit = self.limits.entry(scope.clone()).or_default();
                limit.used_up.extend(left.map(Some));
                limit.reset.extend(reset.map(Some));
            }
        }
    }

    /// Returns the time to wait; values above `longest` are ignored.
    pub(crate) fn wait(&self, now: i128, longest: Duration) -> Option<Duration> {
        let now = self.date.unwrap_or(now);
        let wait = |when: When| Some(when.from(now)).filter(|wait| *wait <= longest);
        // `X-RateLimit-Retry-After` comes with each response of some servers, and is a reset then.
        let is_meant = |scope: &Scope| {
            let is_of_limit = scope.iter().any(|word| word.contains("limit"));
            let has_permits =
                |limit: &Limit| limit.used_up.contains(&Some(false)) && !limit.used_up.contains(&Some(true));
            !is_of_limit || !self.limits.get(scope).is_some_and(has_permits)
        };
        let told = self.retry_after.iter().filter(|(scope, _)| is_meant(scope));
        let told = told.filter_map(|(_, when)| when.and_then(wait)).max();
        if told.is_some_and(|told| !told.is_zero()) {
            return told;
        }
        let structured = self.used_up.iter().copied().filter_map(wait);
        let resets = self.limits.iter().filter_map(|(scope, limit)| {
            let own = limit.wait(limit, wait);
            own.or_else(|| self.shared(scope).filter_map(|shared| limit.wait(shared, wait)).max())
        });
        structured.chain(resets).chain(told).max()
    }

    /// Returns the limits that cover this scope: with a reset, without permits of their own.
    fn shared<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Limit> {
        let covers = |shared: &Scope| {
            let mut words = shared.iter().filter(|word| *word != "x").peekable();
            words.peek().is_some() && words.all(|word| scope.binary_search(word).is_ok())
        };
        let lonely = self.limits.iter().filter(|(_, limit)| limit.used_up.is_empty());
        lonely.filter(move |(shared, _)| covers(shared)).map(|(_, limit)| limit)
    }
}

impl Limit {
    /// Returns the wait for the permits of this limit, by the resets of `other`.
    fn wait(&self, other: &Self, wait: impl Fn(When) -> Option<Duration>) -> Option<Duration> {
        let longest = |resets: &[Option<When>]| {
            // Lists of one length belong together, value by value.
            let paired = resets.len() == self.used_up.len();
            let is_empty = |at: usize| {
                if paired { self.used_up[at] == Some(true) } else { self.used_up.contains(&Some(true)) }
            };
            let resets = resets.iter().enumerate().filter(|(at, _)| is_empty(*at));
            resets.filter_map(|(_, reset)| reset.and_then(&wait)).max()
        };
        longest(&other.reset_after).or_else(|| longest(&other.reset))
    }
}

/// Appends the values, and returns their number.
fn push<T>(list: &mut Vec<T>, values: impl Iterator<Item = T>) -> usize {
    let before = list.len();
    list.extend(values);
    list.len() - before
}

/// Decodes UTF-8; other bytes are read as Latin-1, as in earlier versions of HTTP.
fn text(value: &[u8]) -> String {
    std::str::from_utf8(value)
        .map_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}
