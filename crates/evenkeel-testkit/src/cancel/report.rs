//! `CancelReport`: the cuts of an operation and their verdicts, as a table.

use std::{fmt, time::Duration};

/// The maximum number of printed rows.
const PRINTED: usize = 60;

/// The runs in which [`every_point`](super::every_point) cut an operation short; displayed as a table.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::cancel;
/// let cuts = cancel::every_point(async || (), |()| tokio::task::yield_now(), async |()| ());
/// assert_eq!(cuts.points(), 1);
/// assert!(cuts.to_string().starts_with("0 of 7 runs failed, at 1 suspension point(s)"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "an operation without suspension points was never cut: assert how many there were"]
pub struct CancelReport {
    points: usize,
    /// Whether the checks returned a value.
    compares_values: bool,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cut: Cut,
    pub(super) at: Duration,
    /// The number of tasks blocked by the operation while it was frozen.
    pub(super) held_up: usize,
    pub(super) verdict: Result<Class, String>,
}

/// The effect of cutting an operation short, from the worst to the best.
///
/// [`every_point`](super::every_point) derives it from the value of its check, which describes the state as seen from
/// outside.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::cancel::{self, Class};
/// use std::{cell::Cell, rc::Rc};
/// use tokio::task::yield_now;
///
/// let set = |states: &'static [u32]| {
///     cancel::every_point(
///         async || Rc::new(Cell::new(0)),
///         move |cell| async move {
///             for state in states {
///                 cell.set(*state);
///                 yield_now().await;
///             }
///         },
///         async |cell| cell.get(),
///     )
/// };
/// assert_eq!(set(&[5]).class(), Class::Atomic); // 0 or 5
/// assert_eq!(set(&[3, 5]).class(), Class::Resumable); // also 3, and it can be done again
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// The check fails, or a task, a waker or a panic is left behind. Then `every_point` panics.
    Unsafe,
    /// Nothing is left behind, but the effect may be partial: work is lost or half done.
    ///
    /// Also if the check returns `()`, and so describes nothing.
    Releases,
    /// Repeating the operation after the cut leads to the same state as without a cut.
    Resumable,
    /// After a cut the operation has had no effect, or its whole effect.
    Atomic,
}

/// The kind of cut, and its suspension point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is not created.
    Unstarted,
    /// It is created, and dropped without a poll.
    Unpolled,
    /// It is dropped at its point.
    Dropped(usize),
    /// It is dropped after it was woken at its point, before the next poll.
    Woken(usize),
    /// Its task is aborted at its point.
    Aborted(usize),
    /// It is dropped at its point while its task unwinds from a panic.
    Unwound(usize),
    /// It is not polled from its point on, and dropped later.
    Frozen(usize),
    /// It completes.
    Uncut,
}

impl CancelReport {
    pub(super) fn new(points: usize, compares_values: bool) -> Self {
        CancelReport { points, compares_values, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn sound(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// The number of suspension points in the complete run.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// The worst effect of a cut.
    #[must_use]
    pub fn class(&self) -> Class {
        let classes = self.rows.iter().map(|row| row.verdict.as_ref().map_or(Class::Unsafe, |class| *class));
        classes.min().unwrap_or(Class::Unsafe)
    }

    /// The highest number of tasks of the setup that the suspended operation blocked while it was not polled.
    ///
    /// These tasks continued only after it was dropped. It held a lock, a permit, or its place in a queue, like a
    /// future in a `select!` loop or a buffered stream while another branch runs: a *futurelock*
    /// ([RFD 609](https://rfd.shared.oxide.computer/rfd/0609)). Tasks that the operation itself spawns are subtracted.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::cancel;
    /// use std::{sync::Arc, time::Duration};
    /// use tokio::{sync::Mutex, time::sleep};
    ///
    /// let cuts = cancel::every_point(
    ///     async || {
    ///         let lock = Arc::new(Mutex::new(()));
    ///         let other = lock.clone();
    ///         tokio::spawn(async move {
    ///             sleep(Duration::from_millis(5)).await;
    ///             let _guard = other.lock().await;
    ///         });
    ///         lock
    ///     },
    ///     async |lock| {
    ///         let _guard = lock.lock().await;
    ///         sleep(Duration::from_millis(10)).await;
    ///     },
    ///     async |_| (),
    /// );
    /// assert_eq!(cuts.held_up(), 1, "{cuts}");
    /// ```
    #[must_use]
    pub fn held_up(&self) -> usize {
        self.rows.iter().map(|row| row.held_up).max().unwrap_or(0)
    }
}

impl fmt::Display for CancelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.rows.iter().filter(|row| row.verdict.is_err()).count();
        writeln!(f, "{failed} of {} runs failed, at {} suspension point(s)", self.rows.len(), self.points)?;
        writeln!(f, "{:>5}  {:<15}  {:>12}  verdict", "point", "cut", "virtual time")?;
        // Of a long table, only failed rows are printed.
        let all = self.rows.len() <= PRINTED;
        let shown = self.rows.iter().filter(|row| all || row.verdict.is_err());
        for Row { cut, at, held_up, verdict } in shown.take(PRINTED) {
            let (point, name) = match cut {
                Cut::Unstarted => (0, "not started"),
                Cut::Unpolled => (0, "never polled"),
                Cut::Dropped(point) => (*point, "dropped"),
                Cut::Woken(point) => (*point, "dropped on wake"),
                Cut::Aborted(point) => (*point, "aborted"),
                Cut::Unwound(point) => (*point, "panicked"),
                Cut::Frozen(point) => (*point, "frozen"),
                Cut::Uncut => (self.points, "completed"),
            };
            let verdict = match verdict {
                Ok(_) if *held_up > 0 => format!("held up {held_up} task(s) while it was not polled"),
                Ok(_) if !self.compares_values => "ok".to_owned(),
                Ok(class) => format!("{class:?}").to_lowercase(),
                Err(why) => why.lines().map(str::trim).collect::<Vec<_>>().join("; "),
            };
            writeln!(f, "{point:>5}  {name:<15}  {:>12}  {verdict}", format!("{at:?}"))?;
        }
        Ok(())
    }
}
