//! Notes with their virtual time, and the comparison of two timelines.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::Instant;

/// A list of notes, each with the virtual time since the record started.
///
/// It is a handle: its clones share the notes. [`assert_timeline!`](crate::assert_timeline) compares them.
///
/// # Why not just push to a `Vec`?
///
/// It adds the time of each note, and shows where two timelines differ.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{Record, World, assert_timeline};
/// use std::time::Duration;
/// use tokio::time::{interval, timeout};
///
/// World::run(async |_| {
///     let record = Record::new();
///     let mut ticks = interval(Duration::from_millis(100));
///     let ticking = async {
///         loop {
///             ticks.tick().await;
///             record.note("tick");
///         }
///     };
///     let _ = timeout(Duration::from_millis(250), ticking).await;
///     record.note("over");
///     assert_timeline!(record, [0 ms "tick", 100 ms "tick", 200 ms "tick", 250 ms "over"]);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    start: Instant,
    notes: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Record {
    /// An empty record that starts now.
    #[must_use]
    pub fn new() -> Self {
        Record { start: Instant::now(), notes: Arc::default() }
    }

    /// Adds a note with the current time.
    pub fn note(&self, what: impl Into<String>) {
        let note = (self.start.elapsed(), what.into());
        #[cfg(feature = "timeline")]
        crate::timeline::mark(note.1.clone());
        lock(&self.notes).push(note);
    }

    /// All notes so far, in their order.
    ///
    /// ```
    /// # use evenkeel_testkit::Record;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let record = Record::new();
    /// record.note(format!("call {}", 1));
    /// assert_eq!(record.timeline(), [(Duration::ZERO, "call 1".to_owned())]);
    /// # }
    /// ```
    #[must_use]
    pub fn timeline(&self) -> Vec<(Duration, String)> {
        lock(&self.notes).clone()
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

/// Asserts that a [`Record`] has exactly these notes, at exactly these times; or that a timeline is a committed one.
///
/// A time is a number and a unit: `ns`, `us`, `ms`, `s`, `min` or `h`. To compare computed times, use
/// [`Record::timeline`].
///
/// With the feature `timeline`, `assert_timeline!(drawn, "name")` compares a `Timeline` with the text in `timelines/name.txt`,
/// beside the source file of the test. It leaves out the places in the source, which move with each change. To write the file,
/// or to accept a change, run the test with the environment variable `EVENKEEL_UPDATE=1`.
///
/// # Panics
///
/// If they differ; the message shows both timelines side by side.
///
/// ```text
/// the timeline differs, in the lines that are marked
///   expected           got
///   0ns    try         0ns    try
/// ! 100ms  try         200ms  try
/// ! 300ms  give up
/// ```
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, assert_timeline};
/// # use std::time::Duration;
/// # use tokio::time::sleep;
/// World::run(async |world| {
///     world.record().note("begin");
///     sleep(Duration::from_secs(90)).await;
///     world.record().note(format!("end {}", 1));
///     assert_timeline!(world.record(), [0 s "begin", 90 s "end 1"]);
/// });
/// ```
#[macro_export]
macro_rules! assert_timeline {
    ($record:expr, [$($at:literal $unit:ident $what:expr),* $(,)?] $(,)?) => {
        $crate::__assert_timeline(
            &$record,
            ::std::vec![$(($crate::__time!($at $unit), ::std::string::ToString::to_string(&$what))),*],
        )
    };
    ($timeline:expr, $name:expr $(,)?) => {
        $crate::timeline::assert_committed(
            &$timeline,
            $name,
            ::core::env!("CARGO_MANIFEST_DIR"),
            ::core::file!(),
        )
    };
}

/// Converts a number and a unit to a duration.
#[doc(hidden)]
#[macro_export]
macro_rules! __time {
    ($number:literal ns) => {
        ::core::time::Duration::from_nanos($number)
    };
    ($number:literal us) => {
        ::core::time::Duration::from_micros($number)
    };
    ($number:literal ms) => {
        ::core::time::Duration::from_millis($number)
    };
    ($number:literal s) => {
        ::core::time::Duration::from_secs($number)
    };
    ($number:literal min) => {
        ::core::time::Duration::from_secs(60 * $number)
    };
    ($number:literal h) => {
        ::core::time::Duration::from_secs(60 * 60 * $number)
    };
}

/// The comparison of [`assert_timeline!`](crate::assert_timeline).
#[doc(hidden)]
#[track_caller]
pub fn __assert_timeline(record: &Record, expected: Vec<(Duration, String)>) {
    let got = record.timeline();
    assert!(got == expected, "{}", difference(&expected, &got));
}

type Note = (Duration, String);

/// Prints both timelines side by side; equal notes share a line.
fn difference(expected: &[Note], got: &[Note]) -> String {
    let text = |note: Option<&Note>, width: usize| {
        note.map_or_else(String::new, |(at, what)| format!("{:<width$}  {what}", format!("{at:?}")))
    };
    let width =
        |notes: &[Note]| notes.iter().map(|(at, _)| format!("{at:?}").chars().count()).max().unwrap_or(0);
    let (left_width, right_width) = (width(expected), width(got));
    let lines: Vec<_> = aligned(expected, got)
        .into_iter()
        .map(|(left, right)| (left == right, text(left, left_width), text(right, right_width)))
        .collect();
    let column = lines.iter().map(|(_, left, _)| left.chars().count()).max().unwrap_or(0).max(8) + 4;
    let mut table = "the timeline differs, in the lines that are marked\n".to_owned();
    let _ = write!(table, "  {:<column$}got", "expected");
    for (same, left, right) in lines {
        let line = format!("{} {left:<column$}{right}", if same { ' ' } else { '!' });
        let _ = write!(table, "\n{}", line.trim_end());
    }
    table
}

/// Pairs equal notes along a longest common subsequence; other notes stand alone.
fn aligned<'a>(expected: &'a [Note], got: &'a [Note]) -> Vec<(Option<&'a Note>, Option<&'a Note>)> {
    // The length of the longest common subsequence of `expected[i..]` and `got[j..]`.
    let mut common = vec![vec![0_usize; got.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..got.len()).rev() {
            common[i][j] = if expected[i] == got[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < expected.len() || j < got.len() {
        let (left, right) = (expected.get(i), got.get(j));
        let both = left.is_some() && right.is_some();
        if both && (left == right || common[i + 1][j + 1] == common[i][j]) {
            pairs.push((left, right));
            (i, j) = (i + 1, j + 1);
        } else if left.is_some() && (right.is_none() || common[i + 1][j] == common[i][j]) {
            pairs.push((left, None));
            i += 1;
        } else {
            pairs.push((None, right));
            j += 1;
        }
    }
    pairs
}
