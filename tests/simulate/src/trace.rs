//! The trace of a run: each step with its virtual time, as a hash and on request as text.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

/// The factor of FxHash, which takes eight bytes at a time.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

/// Counts of events that show what the seeds have reached.
pub type Reached = BTreeMap<&'static str, u64>;

/// The trace of one run; clones share it.
#[derive(Clone, Debug)]
pub struct Trace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    start: Option<Instant>,
    line: String,
    hash: u64,
    lines: Option<Vec<String>>,
    reached: Reached,
}

impl Trace {
    /// Creates an empty trace, which keeps its lines on request.
    #[must_use]
    pub fn new(keeps_lines: bool) -> Self {
        let lines = keeps_lines.then(Vec::new);
        let state = State { start: None, line: String::new(), hash: 0, lines, reached: Reached::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, with the virtual time since the first one.
    pub fn note(&self, text: fmt::Arguments<'_>) {
        let now = Instant::now();
        let mut state = self.state();
        let start = *state.start.get_or_insert(now);
        let micros = now.duration_since(start).as_micros();
        let mut line = std::mem::take(&mut state.line);
        line.clear();
        let _ = write!(line, "{:>7}.{:06} {text}", micros / 1_000_000, micros % 1_000_000);
        let mut add = |word: u64| state.hash = (state.hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
        for bytes in line.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            add(u64::from_le_bytes(word));
        }
        // Two lines are not one.
        add(line.len() as u64);
        match &mut state.lines {
            Some(lines) => lines.push(line),
            None => state.line = line,
        }
    }

    /// Counts an event.
    pub fn reached(&self, event: &'static str) {
        self.reached_times(event, 1);
    }

    /// Counts an event that happened this often.
    pub fn reached_times(&self, event: &'static str, times: u64) {
        *self.state().reached.entry(event).or_default() += times;
    }

    /// Returns the hash of all lines.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.state().hash
    }

    /// Takes the lines, if they were kept.
    #[must_use]
    pub fn take_lines(&self) -> Vec<String> {
        self.state().lines.take().unwrap_or_default()
    }

    /// Takes the counts of events.
    #[must_use]
    pub fn take_reached(&self) -> Reached {
        std::mem::take(&mut self.state().reached)
    }
}

/// Adds a line to a trace, in the form of `format!`.
#[macro_export]
macro_rules! note {
    ($trace:expr, $($text:tt)*) => { $trace.note(::std::format_args!($($text)*)) };
}
