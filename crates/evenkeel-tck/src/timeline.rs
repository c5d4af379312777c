//! The recorded events of one run, and the failures that quote them.

use std::{
    cell::RefCell,
    fmt::{Debug, Display},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::Instant;

use crate::{Verdict, clock::Clock, verdict::Checked};

/// A longer timeline is cut in the middle when it is printed.
const PRINTED: usize = 24;

thread_local! {
    /// The lines of all timelines of this thread, while they are wanted.
    static TRACE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs a rule, and returns the lines of all its timelines, uncut, in the order in which they were noted.
pub(crate) fn traced<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    TRACE.set(Some(Vec::new()));
    let output = run();
    (output, TRACE.take().unwrap_or_default())
}

/// Adds lines that are no events of a timeline, while they are wanted.
pub(crate) fn add_to_trace(lines: &[String]) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            trace.extend_from_slice(lines);
        }
    });
}

/// Whether the lines of all timelines of this thread are wanted.
pub(crate) fn is_traced() -> bool {
    TRACE.with_borrow(Option::is_some)
}

/// Events with their times, shared by all clones.
#[derive(Debug)]
pub(crate) struct Timeline<E> {
    clock: Clock,
    shared: Arc<Mutex<Shared<E>>>,
}

#[derive(Debug)]
struct Shared<E> {
    start: Instant,
    events: Vec<(Duration, E)>,
    is_over: bool,
}

impl<E> Clone for Timeline<E> {
    fn clone(&self) -> Self {
        Self { clock: self.clock, shared: self.shared.clone() }
    }
}

fn line(at: &Duration, event: &impl Display) -> String {
    format!("{:>10} {event}", format!("{at:?}"))
}

impl<E: Clone + Display> Timeline<E> {
    /// An empty timeline, which begins now.
    pub(crate) fn start() -> Self {
        Self::on(Clock::VIRTUAL)
    }

    /// An empty timeline on a clock.
    pub(crate) fn on(clock: Clock) -> Self {
        let shared = Shared { start: Instant::now(), events: Vec::new(), is_over: false };
        Self { clock, shared: Arc::new(Mutex::new(shared)) }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.tells(self.state().start.elapsed())
    }

    /// Leaves out a real time that has passed.
    pub(crate) fn leave_out(&self, real: Duration) {
        self.state().start += real;
    }

    /// The rule is over: what comes later is not noted.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
    }

    pub(crate) fn note(&self, event: E) {
        self.note_at(self.elapsed(), event);
    }

    /// Notes an event whose time another clock has told.
    pub(crate) fn note_at(&self, at: Duration, event: E) {
        if self.state().is_over {
            return;
        }
        TRACE.with_borrow_mut(|trace| {
            if let Some(lines) = trace {
                lines.push(line(&at, &event));
            }
        });
        self.state().events.push((at, event));
    }

    /// Maps each event by `pick`, and drops `None`, in the order of time.
    pub(crate) fn pick<T>(&self, pick: impl Fn(Duration, &E) -> Option<T>) -> Vec<T> {
        self.state().events.iter().filter_map(|(at, event)| pick(*at, event)).collect()
    }

    /// A line for each event.
    pub(crate) fn lines(&self) -> Vec<String> {
        let events = &self.state().events;
        let line = |(at, event): &(Duration, E)| line(at, event);
        if events.len() <= PRINTED {
            return events.iter().map(line).collect();
        }
        let (head, rest) = events.split_at(PRINTED / 2);
        let (cut, tail) = rest.split_at(rest.len() - PRINTED / 2);
        let dots = format!("{:>10} {} more", "...", cut.len());
        head.iter().map(line).chain([dots]).chain(tail.iter().map(line)).collect()
    }

    /// A failure, with the whole timeline.
    pub(crate) fn failure(&self, expected: impl Display, got: impl Display) -> Verdict {
        Verdict::Fail { expected: expected.to_string(), got: got.to_string(), timeline: self.lines() }
    }

    /// The rule asks for this.
    pub(crate) fn require(&self, holds: bool, expected: impl Display, got: impl Display) -> Checked {
        if holds { Ok(()) } else { Err(self.failure(expected, got)) }
    }

    /// The rule asks for equality.
    pub(crate) fn equal<T: PartialEq + Debug>(&self, what: &str, got: T, want: T) -> Checked {
        self.require(got == want, format_args!("{what} {want:?}"), format_args!("{got:?}"))
    }

    fn state(&self) -> MutexGuard<'_, Shared<E>> {
        lock(&self.shared)
    }
}
