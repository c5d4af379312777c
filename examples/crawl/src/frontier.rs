//! The order of the work: breadth first, with a bounded number of URLs of each host in flight.
//!
//! The store has the frontier. Here is a window of it for each host, behind which the store is asked for more. A URL
//! gets a higher position than all before it, so the next one of a host is always behind the last one, and those in
//! flight need no list. A URL is in flight until its outcome is stored: a crash repeats only those.
//!
//! One reader takes URLs ([`Frontier::next`]), and waits while each host has enough in flight or nothing left. A guard
//! that is dropped, and outcomes that were stored, wake it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use evenkeel::task::Stop;
use tokio::sync::Notify;

use crate::{error::Fatal, outcome::Entry, store::Store};

/// The maximum number of URLs of a host that are read from the store at a time.
const WINDOW: i64 = 64;

/// The queue of URLs.
#[derive(Debug)]
pub(crate) struct Frontier {
    store: Store,
    /// The maximum number of URLs of one host in flight.
    per_host: usize,
    /// Whether a level is complete before the next one begins, so that no URL is reached by a longer way than needed.
    by_level: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    hosts: Vec<Host>,
    /// The host whose turn it is.
    turn: usize,
    /// The depths of the URLs in flight.
    depths: Vec<i64>,
}

/// The window of one host.
#[derive(Debug)]
struct Host {
    name: String,
    window: VecDeque<Entry>,
    /// The position of the last URL that was read from the store.
    last: i64,
    in_flight: usize,
    /// Whether the store may have more.
    has_more: bool,
}

/// The next step of the reader.
enum Step {
    Take(Entry, InFlight),
    /// Read more of this host from the store.
    Refill(usize, String, i64),
    Wait,
    End,
}

/// A slot among the URLs of a host in flight, until the outcome is stored.
#[derive(Debug)]
pub(crate) struct InFlight {
    frontier: Arc<Frontier>,
    host: usize,
    depth: i64,
}

impl Frontier {
    pub(crate) fn new(store: Store, hosts: &[String], per_host: usize, by_level: bool) -> Self {
        let host = |name: &String| Host {
            name: name.clone(),
            window: VecDeque::new(),
            last: 0,
            in_flight: 0,
            has_more: true,
        };
        let state = State { hosts: hosts.iter().map(host).collect(), ..State::default() };
        Self { store, per_host, by_level, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Returns the next URL; `None` if there is none left, or `stop` drains.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no URL is taken, and the frontier is of no more use: it may have been about to read
    /// the store.
    pub(crate) async fn next(self: &Arc<Self>, stop: &Stop) -> Result<Option<(Entry, InFlight)>, Fatal> {
        loop {
            if stop.is_draining() {
                return Ok(None);
            }
            let step = self.step();
            match step {
                Step::Take(entry, in_flight) => return Ok(Some((entry, in_flight))),
                Step::Refill(host, name, last) => {
                    let entries = self.store.take(&name, last, WINDOW).await?;
                    self.refill(host, entries);
                }
                Step::Wait => tokio::select! {
                    () = self.changed.notified() => {}
                    () = stop.draining() => {}
                },
                Step::End => return Ok(None),
            }
        }
    }

    /// Looks for more URLs in the store: some were added.
    pub(crate) fn added(&self) {
        self.state().hosts.iter_mut().for_each(|host| host.has_more = true);
        self.changed.notify_one();
    }

    fn step(self: &Arc<Self>) -> Step {
        let mut state = self.state();
        let State { hosts, turn, depths } = &mut *state;
        let level = if self.by_level {
            // The next level may begin when no host has anything left of this one.
            let unread =
                hosts.iter_mut().enumerate().find(|(_, host)| host.window.is_empty() && host.has_more);
            if let Some((index, host)) = unread {
                return host.refill(index);
            }
            let fronts = hosts.iter().filter_map(|host| host.window.front()).map(|entry| entry.depth);
            depths.iter().copied().chain(fronts).min()
        } else {
            None
        };
        let count = hosts.len();
        for index in (0..count).map(|offset| (*turn + offset) % count) {
            let host = &mut hosts[index];
            if host.in_flight >= self.per_host {
                continue;
            }
            let Some(first) = host.window.front() else {
                if host.has_more {
                    return host.refill(index);
                }
                continue;
            };
            if level.is_some_and(|level| first.depth > level) {
                continue;
            }
            let Some(entry) = host.window.pop_front() else { continue };
            host.in_flight += 1;
            depths.push(entry.depth);
            *turn = index + 1;
            let in_flight = InFlight { frontier: self.clone(), host: index, depth: entry.depth };
            return Step::Take(entry, in_flight);
        }
        let is_idle = hosts.iter().all(|host| host.in_flight == 0);
        // With none in flight every host was asked for more, and has none.
        if is_idle { Step::End } else { Step::Wait }
    }

    fn refill(&self, index: usize, entries: Vec<Entry>) {
        let mut state = self.state();
        let host = &mut state.hosts[index];
        host.has_more |= entries.len() as i64 == WINDOW;
        host.last = entries.last().map_or(host.last, |entry| entry.position);
        host.window.extend(entries);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn refill(&mut self, index: usize) -> Step {
        // URLs that are added from now on set it again.
        self.has_more = false;
        Step::Refill(index, self.name.clone(), self.last)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.frontier.state();
        state.hosts[self.host].in_flight -= 1;
        if let Some(at) = state.depths.iter().position(|depth| *depth == self.depth) {
            state.depths.swap_remove(at);
        }
        drop(state);
        self.frontier.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::*;
    use crate::{
        outcome::Validators,
        scope::{Role, Scope},
        stats::Stats,
        store::Location,
    };

    async fn frontier(hosts: &[&str], per_host: usize, by_level: bool) -> Arc<Frontier> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let scope = Arc::new(Scope { hosts: hosts.clone(), prefixes: vec![], depth: None });
        let location = Location::Sqlite(":memory:".into());
        let store = Store::open(&location, scope, Arc::new(Stats::default())).await.unwrap();
        Arc::new(Frontier::new(store, &hosts, per_host, by_level))
    }

    fn entries(depths: &[i64]) -> Vec<Entry> {
        let entry = |(position, depth): (usize, &i64)| Entry {
            position: position as i64 + 1,
            id: position as i64,
            url: Url::parse("http://h/").unwrap(),
            role: Role::Follow,
            depth: *depth,
            validators: Validators::default(),
        };
        depths.iter().enumerate().map(entry).collect()
    }

    fn take(frontier: &Arc<Frontier>) -> Option<(i64, InFlight)> {
        match frontier.step() {
            Step::Take(entry, in_flight) => Some((entry.position, in_flight)),
            _ => None,
        }
    }

    #[tokio::test]
    async fn urls_that_are_added_while_the_store_is_read_are_not_lost() {
        let frontier = frontier(&["h"], 4, false).await;
        assert!(matches!(frontier.step(), Step::Refill(0, _, 0)));
        frontier.added();
        frontier.refill(0, vec![]);
        assert!(matches!(frontier.step(), Step::Refill(0, _, 0)), "the store has more by now");
        frontier.refill(0, vec![]);
        assert!(matches!(frontier.step(), Step::End));
    }

    #[tokio::test]
    async fn each_host_has_its_own_slots_and_they_take_turns() {
        let frontier = frontier(&["h", "i"], 2, false).await;
        frontier.refill(0, entries(&[0, 0, 0]));
        frontier.refill(1, entries(&[0, 0, 0]));
        let mut taken: Vec<_> = std::iter::from_fn(|| take(&frontier)).collect();
        let order: Vec<_> = taken.iter().map(|(position, in_flight)| (in_flight.host, *position)).collect();
        assert_eq!(order, [(0, 1), (1, 1), (0, 2), (1, 2)]);
        assert!(matches!(frontier.step(), Step::Wait));
        taken.remove(1);
        let (position, next) = take(&frontier).unwrap();
        assert_eq!((next.host, position), (1, 3));
    }

    #[tokio::test]
    async fn a_level_ends_on_all_hosts_before_the_next_begins() {
        let frontier = frontier(&["h", "i"], 4, true).await;
        frontier.state().hosts.iter_mut().for_each(|host| host.has_more = false);
        frontier.refill(0, entries(&[2]));
        frontier.refill(1, entries(&[1, 1, 2]));
        let first = [take(&frontier).unwrap(), take(&frontier).unwrap()];
        assert_eq!(
            first.each_ref().map(|(_, in_flight)| (in_flight.host, in_flight.depth)),
            [(1, 1), (1, 1)]
        );
        assert!(matches!(frontier.step(), Step::Wait));
        drop(first);
        let second = [take(&frontier).unwrap(), take(&frontier).unwrap()];
        assert!(second.iter().all(|(_, in_flight)| in_flight.depth == 2));
        drop(second);
        assert!(matches!(frontier.step(), Step::End));
    }

    #[tokio::test]
    async fn the_end_of_the_work_wakes_the_reader() {
        let frontier = frontier(&["h"], 1, false).await;
        frontier.refill(0, entries(&[0]));
        let (_, in_flight) = take(&frontier).unwrap();
        let stop = Stop::new();
        let (next, ()) = tokio::join!(frontier.next(&stop), async {
            tokio::task::yield_now().await;
            drop(in_flight);
        });
        assert!(next.unwrap().is_none());
        stop.drain("test");
        assert!(frontier.next(&stop).await.unwrap().is_none());
    }
}
