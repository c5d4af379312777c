//! The ids of messages that were stored within the window.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::time::after;

#[derive(Debug)]
pub(super) struct Ids {
    window: Duration,
    /// Each is known until an instant.
    known: HashMap<String, Instant>,
    /// The last time at which all were looked through.
    checked: Instant,
}

impl Ids {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self { window, known: HashMap::new(), checked: now }
    }

    /// Returns whether the id is new, and keeps it.
    pub(super) fn insert(&mut self, id: &str, now: Instant) -> bool {
        if now.duration_since(self.checked) >= self.window {
            self.checked = now;
            self.known.retain(|_, until| *until > now);
        }
        let is_new = self.known.get(id).is_none_or(|until| *until <= now);
        if is_new {
            self.known.insert(id.to_owned(), after(now, self.window));
        }
        is_new
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// Moves the times by the clock, which is set.
    pub(super) fn move_times(&mut self, moved: impl Fn(Instant) -> Instant) {
        self.known.values_mut().for_each(|until| *until = moved(*until));
    }
}
