//! Pictures of what happened in a world: tasks, waits, and who they waited for, exact to the nanosecond.
//!
//! A [`World`](crate::World) records, with this feature, what the objects of Evenkeel know of themselves: the tasks of groups
//! with their begin, polls and end; the waits for permits, rates, leases, backoffs, slots and tasks, and who had the thing
//! meanwhile; holds; calls of the servers of the test kit with their faults. Each crate takes part with its feature `inspect`.
//! Nothing of that needs a change of the program. Tasks of plain tokio are seen where they wait for such an object, or have a
//! [`mark`] or a [`span`].
//!
//! [`World::timeline`](crate::World::timeline) draws a run; its picture is the same in each run. A test that fails prints the
//! last part of its timeline, and the path of an SVG with the rest. [`assert_timeline!`](crate::assert_timeline) compares one with a
//! committed text.
//!
//! # How exact it is
//!
//! Begins are the instants that the objects know. Ends are those of the virtual clock, at which the world looks whenever it is
//! about to move: nothing that lasts is lost, and no end is late. Exceptions: `tokio::time::advance` moves the clock without such
//! a look; under [`Clock::Real`](crate::Clock::Real) an end is seen when the thread parks next; and what begins and ends within one
//! instant is not a wait. A limiter that is a `static`, and that several worlds use at the same time, shows all of their tasks.
//!
//! # Limits
//!
//! A picture keeps 2,000 tasks one by one, and counts the others; 50,000 bars, 20,000 marks and as many looks as take about a
//! second. Where something was left out, it says so.
//!
//! # Examples
//!
//! ```
//! use evenkeel_testkit::{World, timeline};
//! use std::time::Duration;
//! use tokio::time::sleep;
//!
//! let drawn = World::timeline(async |_| {
//!     let call = tokio::spawn(async {
//!         let _span = timeline::span("fetch the orders");
//!         sleep(Duration::from_millis(250)).await;
//!     });
//!     call.await.unwrap();
//!     timeline::mark("they are here");
//! });
//! assert!(drawn.to_svg().starts_with("<svg"));
//! assert!(drawn.to_text().contains("250 ms"));
//! ```

// file                 | holds, in reading order
// picture.rs           | the data
// recorder.rs          | how it is recorded: the things that are told
// look.rs              | those that are seen
// state.rs, open.rs    | the picture as it grows, and the bars that have not ended
// words.rs, scale.rs   | texts and times; the axis of time, and its breaks
// rows.rs              | which tracks are shown, in which order
// text.rs, svg.rs, svg/, json.rs | the forms
// committed.rs         | the comparison with a committed text
// failure.rs           | what a test that fails prints

use std::{borrow::Cow, cell::RefCell, fmt, sync::Arc};

use evenkeel_inspect::{ObserverGuard, observe_tasks};

#[doc(hidden)]
pub use self::committed::assert_committed;
pub(crate) use self::{failure::FailureHint, recorder::Recorder};
use self::{
    open::BarKey,
    picture::{BarKind, Picture},
};

mod committed;
mod failure;
mod json;
mod look;
mod open;
mod picture;
mod recorder;
mod rows;
mod scale;
mod state;
mod svg;
mod text;
mod words;

thread_local! {
    /// The recorder of the world to which this thread belongs.
    static CURRENT: RefCell<Option<Arc<Recorder>>> = const { RefCell::new(None) };
}

fn current() -> Option<Arc<Recorder>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Records on this thread until it is dropped.
#[must_use]
pub(crate) struct Attached {
    previous: Option<Arc<Recorder>>,
    _tasks: ObserverGuard,
}

impl Attached {
    pub(crate) fn new(recorder: &Arc<Recorder>) -> Self {
        let previous = CURRENT.replace(Some(Arc::clone(recorder)));
        Self { previous, _tasks: observe_tasks(Arc::clone(recorder) as _) }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        CURRENT.set(self.previous.take());
    }
}

/// Records the marks and spans of this thread until it ends.
pub(crate) fn adopt_thread(recorder: &Arc<Recorder>) {
    CURRENT.set(Some(Arc::clone(recorder)));
}

/// The timeline of a world: all that was recorded from its begin to its end.
///
/// As text, it is that of [`to_text`](Self::to_text).
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::World;
/// use std::time::Duration;
///
/// let drawn = World::timeline(async |_| tokio::time::sleep(Duration::from_secs(60)).await).titled("A minute");
/// assert!(drawn.to_string().starts_with("A minute"));
/// assert!(drawn.to_json().contains("\"traceEvents\""));
/// ```
#[derive(Clone)]
pub struct Timeline {
    picture: Arc<Picture>,
}

impl Timeline {
    /// Ends a recording, and returns it.
    pub(crate) fn of(recorder: &Recorder) -> Self {
        Self { picture: recorder.picture() }
    }

    pub(crate) fn empty() -> Self {
        Self { picture: Arc::new(Picture::new()) }
    }

    /// Sets the title, which is `timeline` otherwise.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.picture).title = title.into();
        self
    }

    /// Draws it as an SVG, 800 units wide.
    ///
    /// It needs no other file and no script, follows the colors of the reader's system, and has a title and a description.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::World;
    ///
    /// let svg = World::timeline(async |_| {}).titled("Nothing").to_svg();
    /// assert!(svg.contains("viewBox=\"0 0 800 ") && svg.contains("<title"));
    /// ```
    #[must_use]
    pub fn to_svg(&self) -> String {
        self.to_svg_of_width(800)
    }

    /// Draws it as an SVG of this width, at least 320 units: for a phone, 390.
    ///
    /// Below 600 units, the names of tasks are above their tracks and not beside them.
    #[must_use]
    pub fn to_svg_of_width(&self, width: u32) -> String {
        svg::write(&self.picture, width.clamp(320, 10_000))
    }

    /// Writes it as text, in lines of at most 80 columns: the tracks, and each event with its exact time.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(&self.picture, true)
    }

    /// Writes it in Chrome's trace format, as JSON: Perfetto opens it.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(&self.picture)
    }

    /// Writes it as it is committed: without places in the source, which move with each change.
    fn to_committed(&self) -> String {
        text::write(&self.picture, false)
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Picture { tracks, .. } = &*self.picture;
        f.debug_struct("Timeline").field("tracks", &tracks.len()).finish_non_exhaustive()
    }
}

/// Puts a mark on the track of the task that runs, at this instant.
///
/// It does nothing outside of a world that records. The notes of a [`Record`](crate::Record) are marks, too.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, timeline};
///
/// let drawn = World::timeline(async |_| timeline::mark("payment sent"));
/// assert!(drawn.to_text().contains("payment sent"));
/// ```
pub fn mark(text: impl Into<Cow<'static, str>>) {
    if let Some(recorder) = current() {
        recorder.mark(text.into(), false);
    }
}

/// Begins a span on the track of the task that runs; it ends when the guard is dropped.
///
/// It does nothing outside of a world that records.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, timeline};
/// use std::time::Duration;
///
/// let drawn = World::timeline(async |_| {
///     let span = timeline::span("GET /orders");
///     tokio::time::sleep(Duration::from_millis(80)).await;
///     span.fault("connection reset");
/// });
/// assert!(drawn.to_text().contains("fault: connection"));
/// ```
pub fn span(text: impl Into<Cow<'static, str>>) -> Span {
    Span::begin(None, BarKind::Span, text)
}

/// Begins a span on a track with a name of its own, such as that of a mock server.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, timeline};
///
/// let drawn = World::timeline(async |_| timeline::span_on("mail server", "HELO").done("250"));
/// assert!(drawn.to_text().contains("mail server"));
/// ```
pub fn span_on(track: &str, text: impl Into<Cow<'static, str>>) -> Span {
    Span::begin(Some(track), BarKind::Call, text)
}

/// A span, until it is dropped: see [`span`].
#[derive(Debug)]
#[must_use = "the span ends when it is dropped"]
pub struct Span {
    open: Option<(Arc<Recorder>, BarKey)>,
    /// In words, and whether it is a fault.
    outcome: Option<(Cow<'static, str>, bool)>,
}

impl Span {
    fn begin(track: Option<&str>, kind: BarKind, text: impl Into<Cow<'static, str>>) -> Self {
        let open = current().and_then(|recorder| {
            let key = recorder.begin_span(track, kind, text.into())?;
            Some((recorder, key))
        });
        Self { open, outcome: None }
    }

    /// Ends it with a result in words, such as a status.
    pub fn done(mut self, outcome: impl Into<Cow<'static, str>>) {
        self.set_outcome(outcome.into(), false);
    }

    /// Ends it with a fault in words.
    pub fn fault(mut self, fault: impl Into<Cow<'static, str>>) {
        self.set_outcome(fault.into(), true);
    }

    /// Sets the result in words, and whether it is a fault, for the end of the span.
    #[doc(hidden)]
    pub fn set_outcome(&mut self, outcome: Cow<'static, str>, is_fault: bool) {
        self.outcome = Some((outcome, is_fault));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some((recorder, key)) = self.open.take() {
            recorder.end_span(key, self.outcome.take());
        }
    }
}
