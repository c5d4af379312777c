//! The requests of one limit, in the order in which they came: first come, first served.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// The requests that wait, and those that were granted.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    granted: Vec<(u64, Instant)>,
    /// The instants at which requests were granted or have left.
    moves: Vec<(u64, Instant)>,
    /// The last instant at which permits came back.
    returned: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    permits: u32,
    since: Instant,
    only_tries: bool,
}

impl Queue {
    /// A request comes; returns its number.
    pub(super) fn comes(&mut self, permits: u32, only_tries: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, Waiting { permits, since: Instant::now(), only_tries });
        number
    }

    /// A request leaves without its permits.
    pub(super) fn leaves(&mut self, number: u64) {
        self.waiting.remove(&number);
        self.moves.push((number, Instant::now()));
    }

    /// A request is granted; returns the instant from which it was the first, or the promise that was broken.
    pub(super) fn is_granted(&mut self, number: u64) -> Result<Instant, String> {
        let now = Instant::now();
        let Some(Waiting { since, permits, only_tries }) = self.waiting.remove(&number) else {
            return Err(format!("request {number} is granted, and does not wait"));
        };
        let overtakes = self.granted.iter().find(|(later, at)| *later > number && *at < now && since <= *at);
        let overtakes = overtakes.map(|(later, _)| *later);
        let first_since = self.moves.iter().filter(|(before, _)| *before < number).map(|(_, at)| *at);
        let first_since = first_since.chain([since]).chain(self.returned).max().unwrap_or(since);
        self.granted.push((number, now));
        self.moves.push((number, now));
        match overtakes {
            Some(later) if !only_tries => {
                Err(format!("request {number} for {permits} permits was overtaken by request {later}"))
            }
            _ => Ok(first_since),
        }
    }

    /// Permits come back.
    pub(super) fn returns(&mut self) {
        self.returned = Some(Instant::now());
    }

    /// Returns the permits that are waited for.
    pub(super) fn wanted(&self) -> u64 {
        self.waiting.values().map(|waiting| u64::from(waiting.permits)).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the permits of the first request that waits.
    pub(super) fn first(&self) -> Option<u32> {
        self.waiting.values().next().map(|waiting| waiting.permits)
    }
}
